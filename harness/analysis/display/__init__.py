"""How numbers, tables and figures are shown."""
