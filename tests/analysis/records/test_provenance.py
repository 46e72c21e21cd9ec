import json
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import load
from harness.analysis.records.provenance import export_campaign, identity_of
from harness.errors import HarnessError, UsageError
from tests.synthetic import cell_records, write_records


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    folder = write_records(tmp_path / "nightly", cell_records([100, 101]))
    command = ["anonvma", "run", "--results", "/home/me/there", "--name", "nightly"]
    document = {"plan": {"margin": 3.0}, "command": command, "began": "2026-01-01"}
    (folder / "plan.json").write_text(json.dumps(document))
    return folder


def test_a_campaign_travels_with_what_it_is(campaign: Path, tmp_path: Path) -> None:
    out = tmp_path / "n.parquet"

    export_campaign(campaign, out)

    pd.testing.assert_frame_equal(load(out), load(campaign))
    assert identity_of(out) == identity_of(campaign)
    identity = identity_of(out)
    assert (identity.name, identity.margin) == ("nightly", 3.0)
    # Where it was kept is its machine's own business.
    assert identity.command == ("anonvma", "run", "--name", "nightly")


@pytest.mark.parametrize(
    "place", [["--results", "/home/me"], ["--results=/home/me"], ["--resu", "/home/me"],
              ["--res=/home/me"], ["--results=a", "--results", "/home/me"],
              ["--results"]],
    ids=" ".join,
)  # fmt: skip
def test_where_results_were_kept_is_not_told_however_it_was_written(
    place: list[str], campaign: Path
) -> None:
    said = ["anonvma", "run", "--repetitions", "3", *place]
    document = {"plan": {}, "command": said, "began": ""}
    (campaign / "plan.json").write_text(json.dumps(document))

    assert identity_of(campaign).command == ("anonvma", "run", "--repetitions", "3")


def test_a_campaign_that_was_measured_elsewhere_has_the_default_margin(
    campaign: Path, tmp_path: Path
) -> None:
    (campaign / "plan.json").unlink()

    export_campaign(campaign, tmp_path / "n.parquet")

    identity = identity_of(tmp_path / "n.parquet")
    assert identity == identity_of(campaign)
    assert (identity.name, identity.margin) == ("nightly", 2.0)
    assert (identity.command, identity.plan) == ((), {})


def test_a_campaign_has_a_name_from_inside_it_too(
    campaign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(campaign)

    assert identity_of(Path()).name == "nightly"


def test_a_campaign_cut_short_is_one_error(campaign: Path, tmp_path: Path) -> None:
    out = tmp_path / "n.parquet"
    export_campaign(campaign, out)
    whole = out.read_bytes()

    words = {0: "is empty", 4: "is damaged", 9: "is cut off", len(whole) - 1: "is cut"}
    for length, why in words.items():
        out.write_bytes(whole[:length])
        with pytest.raises(UsageError, match=f"^{out} {why}"):
            load(out)
        told = f"^{out} does not identify a campaign: it {why}"
        with pytest.raises(UsageError, match=told):
            identity_of(out)


def test_parquet_of_others_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(path)

    with pytest.raises(HarnessError, match="not an exported campaign"):
        load(path)
    with pytest.raises(UsageError, match="does not identify a campaign"):
        identity_of(path)


def test_the_data_that_comes_with_us_says_what_it_is() -> None:
    shipped = sorted((Path(__file__).parents[3] / "notebooks/data").glob("*.parquet"))

    assert len(shipped) >= 6
    for path in shipped:
        identity = identity_of(path)
        assert path.stem.startswith(identity.name)
        assert identity.margin == 2.0
        assert not any(word.startswith("/") for word in identity.command)
        assert path.stat().st_size < 1 << 20
