"""Campaigns: plans them, runs them, resumes them and stores their records."""

from harness.campaign.appending import append_file, appended_records
from harness.campaign.execute import Listener, Outcome, check_names, run_plan
from harness.campaign.plan import Plan, preset_names, read_plan, read_preset
from harness.campaign.results import campaign_folder, keep_plan, remove_empty_campaign

__all__ = [
    "Listener",
    "Outcome",
    "Plan",
    "append_file",
    "appended_records",
    "campaign_folder",
    "check_names",
    "keep_plan",
    "preset_names",
    "read_plan",
    "read_preset",
    "remove_empty_campaign",
    "run_plan",
]
