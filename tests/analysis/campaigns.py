"""Campaigns that tests report on: shipped, joined, made up, and hostile ones."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd

from harness.analysis import load, plain
from harness.analysis.records.provenance import Identity, identity_of
from harness.analysis.report.contents import Report, report_of, report_on
from harness.analysis.report.page import render_page
from harness.worker.measure import Record
from tests.synthetic import run_of, whole_run, write_records

DATA = Path(__file__).parents[2] / "notebooks/data"
SHIPPED = sorted(path.stem for path in DATA.glob("*.parquet"))
# A campaign of both clocks, which is none of those.
CLOCKS = "clocks"
HOSTILE = "<script>alert(1)</script> & $x_1$ \x1b[2J"


@cache
def shipped_report(name: str) -> Report:
    """The report of a campaign that comes with us; each is made once."""
    return report_of(DATA / f"{name}.parquet")


@cache
def clocks_report() -> Report:
    """The published cells on both clocks, as one campaign of two targets has them."""
    names = ("published-6.12-arm64", "published-6.12-uml")
    frame = pd.concat([plain(load(DATA / f"{name}.parquet")) for name in names])
    return report_on(frame, identity_of(DATA / f"{names[0]}.parquet"))


@cache
def page_of(name: str) -> str:
    """The page of a shipped campaign, or of both clocks; each is made once."""
    report = clocks_report() if name == CLOCKS else shipped_report(name)
    return render_page(report)


def campaign_of(folder: Path, command: Sequence[str]) -> Path:
    """A campaign of one boot that such a command made."""
    write_records(folder, whole_run(run_of(), [1000] * 3))
    return planned(folder, command)


def planned(folder: Path, command: Sequence[str] = ("anonvma",)) -> Path:
    """The folder, with a plan whose margin is 2 %."""
    document = {"plan": {"margin": 2.0}, "command": command, "began": ""}
    (folder / "plan.json").write_text(json.dumps(document))
    return folder


def hostile_campaign(folder: Path) -> Path:
    """A campaign whose every word is an attack."""
    records: list[Record] = []
    for boot in range(2):
        for position, naming in enumerate(["none", "none", "distinct:79"]):
            run = run_of(
                run=f"{boot}-{position}", naming=naming, boot=boot, position=position,
                vmas=65_536,
            )  # fmt: skip
            run = replace(
                run, variant=HOSTILE, cpu=HOSTILE, kernel_version=HOSTILE * 9,
                kernel_release=HOSTILE, machine=HOSTILE, accelerator=HOSTILE,
                settings="x" * 4000,
            )  # fmt: skip
            records += whole_run(run, [1000 + position] * 3)
    write_records(folder, records)
    return planned(folder, ["anonvma", HOSTILE])


def identity(name: str = "c", margin: float = 2.0) -> Identity:
    """The identity of a campaign that has a plan and nothing else."""
    return Identity(
        name=name, records_sha256="", margin=margin, command=(), began="", plan={}
    )
