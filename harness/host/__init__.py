"""Processes, locks, scratch folders, files and paths on this machine."""
