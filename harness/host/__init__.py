"""This machine: processes, locks, temporary folders, files and paths."""
