from pathlib import Path

import pytest

from harness.audit.audit import Audit, records_of
from harness.audit.expected_counts import CountTable, Entry
from harness.campaign import appended_records
from harness.cli import audit as command
from harness.cli.audit import AuditRequest
from harness.cli.main import main, parse_arguments
from harness.errors import EnvironmentFault
from harness.worker.measure import RunEnd
from tests.synthetic import run_of


def test_all_are_the_variants_that_keep_names() -> None:
    request = parse_arguments(["audit", "--variant", "all"])

    assert isinstance(request, AuditRequest)
    assert request.variants == ("refcount", "strdup", "switch")


def test_a_run_is_invalid_for_its_own_divergences_only() -> None:
    runs = tuple(run_of(run=f"r{n}", naming=f"shared:{n}") for n in (7, 79))
    wrong = CountTable("shared:79", "named", (Entry("allocated", 1, 2),))
    found = Audit(
        counts=(wrong,), vmas=0, structs=0,
        divergences=tuple(wrong.divergences), runs=runs,
    )  # fmt: skip

    ends = [each for each in records_of(found) if isinstance(each, RunEnd)]

    assert [(end.run, end.valid) for end in ends] == [("r7", True), ("r79", False)]


def test_what_failed_before_a_record_leaves_no_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise EnvironmentFault("no mmdebstrap")

    monkeypatch.setattr(command, "guest_root", refuse)

    assert main(["audit", "--results", str(tmp_path)]) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_campaign_that_somebody_measures_stays_theirs(tmp_path: Path) -> None:
    """It may be empty as yet: its kernels are being built."""
    folder = tmp_path / "nightly"
    folder.mkdir()
    (folder / "plan.json").write_text("{}")

    with appended_records(folder) as append:
        assert main(["audit", "--name", "nightly", "--results", str(tmp_path)]) == 3
        append(run_of())
    assert {path.name for path in folder.iterdir()} == {"plan.json", "records.jsonl"}
