"""Parses and renders /proc/pid/maps: one line, or a whole text at once."""

from harness.maps.columns import Header, MapsColumns, parse_columns, parse_maps
from harness.maps.entry import WIDTH, MapsEntry, render_line, render_maps
from harness.maps.lines import PathKind, classify_pathname, parse_line, smaps_headers

__all__ = [
    "WIDTH",
    "Header",
    "MapsColumns",
    "MapsEntry",
    "PathKind",
    "classify_pathname",
    "parse_columns",
    "parse_line",
    "parse_maps",
    "render_line",
    "render_maps",
    "smaps_headers",
]
