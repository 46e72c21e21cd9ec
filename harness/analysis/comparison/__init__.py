"""Two campaigns compared cell by cell."""
