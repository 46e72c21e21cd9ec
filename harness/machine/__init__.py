"""Checks and tunes this machine, and cleans up after killed runs."""
