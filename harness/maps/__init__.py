"""/proc/pid/maps as values: of one line, or of a whole text at once."""

from harness.maps.columns import Header, MapsColumns, parse_columns, parse_maps
from harness.maps.lines import (
    WIDTH,
    MapsEntry,
    PathKind,
    classify_pathname,
    parse_line,
    render_line,
    render_maps,
    smaps_headers,
)

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
