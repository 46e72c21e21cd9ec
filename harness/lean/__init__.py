"""What the standard library has too, but takes a worker too long to import."""
