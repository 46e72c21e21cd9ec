"""What runs next to a kernel: standard library only, Python 3.10, no answers."""
