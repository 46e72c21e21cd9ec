"""Turns records into answers; the only package that imports pandas."""

from harness.analysis.aa_check import AACheck, aa_checks
from harness.analysis.costs import Cost, cell_costs, unnamed_only
from harness.analysis.distrust import TABLE_COLUMNS, distrust
from harness.analysis.effects import Effect, Reduction, cell_effects, reductions
from harness.analysis.processes import Arm, Place
from harness.analysis.records.frames import (
    check_poolable,
    frame_of_runs,
    load,
    plain,
    stream_parquet,
    usable,
    write_parquet,
)
from harness.analysis.records.maps_frame import maps_frame
from harness.analysis.side_by_side import (
    CostRow,
    MetricTables,
    Row,
    costs_side_by_side,
    metric_tables,
    side_by_side,
)
from harness.analysis.slopes import Slope, slopes
from harness.analysis.stats import Interval

__all__ = [
    "TABLE_COLUMNS",
    "AACheck",
    "Arm",
    "Cost",
    "CostRow",
    "Effect",
    "Interval",
    "MetricTables",
    "Place",
    "Reduction",
    "Row",
    "Slope",
    "aa_checks",
    "cell_costs",
    "cell_effects",
    "check_poolable",
    "costs_side_by_side",
    "distrust",
    "frame_of_runs",
    "load",
    "maps_frame",
    "metric_tables",
    "plain",
    "reductions",
    "side_by_side",
    "slopes",
    "stream_parquet",
    "unnamed_only",
    "usable",
    "write_parquet",
]
