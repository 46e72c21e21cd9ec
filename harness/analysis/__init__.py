"""Records to answers; the only room with pandas."""

from harness.analysis.effects import (
    PUBLISHED_PERCENT,
    PUBLISHED_VMAS,
    TABLE_COLUMNS,
    ForkRow,
    StoreEffect,
    UnnamedRow,
    distrust,
    fork_effects,
    fork_table,
    unnamed_table,
)
from harness.analysis.frames import (
    check_poolable,
    frame_of_runs,
    load,
    plain,
    stream_parquet,
    usable,
    write_parquet,
)
from harness.analysis.vmas import maps_frame

__all__ = [
    "PUBLISHED_PERCENT",
    "PUBLISHED_VMAS",
    "TABLE_COLUMNS",
    "ForkRow",
    "StoreEffect",
    "UnnamedRow",
    "check_poolable",
    "distrust",
    "fork_effects",
    "fork_table",
    "frame_of_runs",
    "load",
    "maps_frame",
    "plain",
    "stream_parquet",
    "unnamed_table",
    "usable",
    "write_parquet",
]
