"""Stops processes at known states and reports the kernel's counters, for an audit."""
