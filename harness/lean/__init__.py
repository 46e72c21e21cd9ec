"""Small replacements for standard modules that a worker takes too long to import."""
