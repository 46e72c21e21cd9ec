"""Campaigns: a seeded plan of runs, its execution, and where its records go."""

from harness.campaign.execute import Listener, Outcome, build_kernels, run_plan
from harness.campaign.plan import Plan, read_plan
from harness.campaign.results import (
    RECORDS,
    appended_records,
    campaign_folder,
    keep_plan,
)

__all__ = [
    "RECORDS",
    "Listener",
    "Outcome",
    "Plan",
    "appended_records",
    "build_kernels",
    "campaign_folder",
    "keep_plan",
    "read_plan",
    "run_plan",
]
