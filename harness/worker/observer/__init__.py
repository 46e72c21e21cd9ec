"""Holds processes still and tells what the kernel counts, for it to be looked into."""
