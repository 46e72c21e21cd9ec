"""Measures what a named anonymous VMA costs, and whether the kernel keeps its word."""

__version__ = "0.3.2"
