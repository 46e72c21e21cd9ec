"""What a guest's records say names no file of the host's."""

import json
from pathlib import Path

import pytest

from harness.analysis import load, write_parquet
from harness.campaign.appending import appended_records
from harness.worker.measure import parse_record, render_record
from tests.synthetic import run_of, whole_run

EVIL = "../../evil"


@pytest.mark.parametrize("field", ["run", "campaign", "session", "variant", "cpu"])
def test_a_record_cannot_write_outside_its_campaign(tmp_path: Path, field: str) -> None:
    folder = tmp_path / "results" / "campaign"
    folder.mkdir(parents=True)
    lines = [json.loads(render_record(r)) for r in whole_run(run_of(), [100, 200])]
    for line in lines if field == "run" else lines[:1]:
        line[field] = EVIL
    sent = [parse_record(json.dumps(line).encode()) for line in lines]

    with appended_records(folder) as append:
        for record in sent:
            append(record)
    write_parquet(load(folder), folder / "records.parquet")

    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == [
        folder / "records.jsonl", folder / "records.parquet",
    ]  # fmt: skip
