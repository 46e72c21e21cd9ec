"""Formats numbers, tables and figures."""
