"""Compares two campaigns cell by cell."""
