"""Campaigns: a seeded plan of runs, its execution, and where its records go."""

from harness.campaign.appending import append_file, appended_records
from harness.campaign.execute import Listener, Outcome, check_names, run_plan
from harness.campaign.plan import Plan, preset_names, read_plan, read_preset
from harness.campaign.results import (
    campaign_folder,
    keep_plan,
    remove_empty_campaign,
)
from harness.campaign.subjects import (
    TARGETS,
    Subject,
    TargetChoice,
    chosen_target,
    fitted_choice,
    guest_target,
    subjects_of,
    variant_target,
)

__all__ = [
    "TARGETS",
    "Listener",
    "Outcome",
    "Plan",
    "Subject",
    "TargetChoice",
    "append_file",
    "appended_records",
    "campaign_folder",
    "check_names",
    "chosen_target",
    "fitted_choice",
    "guest_target",
    "keep_plan",
    "preset_names",
    "read_plan",
    "read_preset",
    "remove_empty_campaign",
    "run_plan",
    "subjects_of",
    "variant_target",
]
