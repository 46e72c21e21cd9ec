"""The kernel's own test of names, in guests, and KTAP, the format of its results."""
