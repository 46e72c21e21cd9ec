"""Reasons to distrust a campaign's numbers, as sentences."""

from collections.abc import Sequence

import pandas as pd

from harness.analysis.aa_check import AACheck, aa_checks
from harness.analysis.display.formats import AA_PERCENT, shown
from harness.analysis.processes import BOOT, PLACE
from harness.analysis.records.frames import impossible, plain, usable
from harness.worker.measure.pooling import MUST_MATCH

# The columns that ``distrust`` and the command line's tables need.
TABLE_COLUMNS = (
    *PLACE, *MUST_MATCH, "vmas", "vma_pages", "written_pages",
    "store", "naming", "name_length", *BOOT, "block", "position",
    "metric", "value", "warmup", "valid", "reason", "run_valid", "run", "fifo",
)  # fmt: skip


def distrust(frame: pd.DataFrame, metric: str = "fork", *, margin: float) -> list[str]:
    """One sentence for each reason to distrust a campaign's numbers."""
    return [
        *_different(aa_checks(frame, margin=margin, metric=metric)),
        *_few_boots(frame, metric), *_left_out(frame), *_conditions(frame),
    ]  # fmt: skip


def _different(checks: Sequence[AACheck]) -> list[str]:
    return [
        f"two identical arms differ by {percent} % ({check.arm.words}, "
        f"{check.place.words}): do not trust its effects"
        for check in checks
        if not check.holds
        for percent in [shown(check.percent, AA_PERCENT)]
    ]


def _few_boots(frame: pd.DataFrame, metric: str) -> list[str]:
    # Only boots with a valid sample count, because tables use no others.
    analysed = plain(usable(frame, metric)[[*PLACE, *BOOT]].drop_duplicates())
    boots = analysed.groupby(PLACE).size()
    single = sorted(map(_place_words, boots[boots < 2].index))
    if not single:
        return []
    return [f"one boot only, so the spread is unknown: {', '.join(single)}"]


def _left_out(frame: pd.DataFrame) -> list[str]:
    warnings = []
    unfinished = frame.loc[~frame["run_valid"], "run"].nunique()
    if unfinished:
        warnings.append(f"{unfinished} runs did not end, or ended invalid: left out")
    invalid = frame[frame["run_valid"] & ~frame["valid"]]
    for reason, count in plain(invalid[["reason"]])["reason"].value_counts().items():
        warnings.append(f"{count} samples left out: {reason}")
    if excluded := int((impossible(frame) & frame["run_valid"] & frame["valid"]).sum()):
        warnings.append(
            f"{excluded} impossible samples left out (a cost below 1 or above 2^53, no "
            "VMAs, or names on a kernel that keeps none)"
        )
    return warnings


def _conditions(frame: pd.DataFrame) -> list[str]:
    warnings = []
    no_fifo = int((~frame["fifo"]).sum())
    if no_fifo:
        warnings.append(
            f"{no_fifo} samples without SCHED_FIFO: other tasks may have preempted them"
        )
    if ((frame["target"] == "uml") & (frame["written_pages"] > 0)).any():
        warnings.append(
            "User-Mode Linux handles written pages with its own address-space code, so "
            "these cells do not predict other machines"
        )
    return warnings


def _place_words(place: tuple[str, ...]) -> str:
    at = dict(zip(PLACE, place, strict=True))
    return (
        f"{at['variant']} (linux {at['base']}, {at['target']} {at['machine']}, "
        f"{at['accelerator']}, {at['unit']})"
    )
