"""Which campaign is meant."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.host.campaign_folders import campaigns_in, find_campaign, newest_campaign


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


RESULTS = Path("results")


def campaign(path: str, *, age_s: int = 0) -> None:
    """A campaign's folder, begun so long ago."""
    Path(path).mkdir(parents=True)
    records = Path(path) / "records.jsonl"
    records.touch()
    os.utime(records, (10**9 - age_s, 10**9 - age_s))


def test_a_name_is_that_of_a_campaign_in_results(here: Path) -> None:
    campaign("results/nightly")

    assert find_campaign(Path("nightly"), RESULTS) == Path("results/nightly")
    assert find_campaign(Path("nightly"), here / "results") == here / "results/nightly"


@pytest.mark.parametrize(
    "given", ["other/nightly", "results/nightly", "n.parquet", "n.jsonl", "records"]
)
def test_a_path_that_is_a_campaign_is_that_campaign(given: str, here: Path) -> None:
    campaign("other/nightly")
    campaign("results/nightly")
    for name in ("n.parquet", "n.jsonl", "records"):
        Path(name).touch()

    assert find_campaign(Path(given), RESULTS) == Path(given)
    assert find_campaign(here / given, RESULTS) == here / given


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_what_is_no_campaign_hides_none(
    make: Callable[[Path], None], here: Path
) -> None:
    campaign("results/nightly")
    make(here / "nightly")

    assert find_campaign(Path("nightly"), RESULTS) == Path("results/nightly")


@pytest.mark.parametrize("name", ["nightly", "nightly.parquet"])
def test_a_word_that_is_two_campaigns_is_refused_with_both(
    name: str, here: Path
) -> None:
    for place in (name, f"results/{name}"):
        if name.endswith(".parquet"):
            Path(place).parent.mkdir(exist_ok=True)
            Path(place).touch()
        else:
            campaign(place)

    with pytest.raises(UsageError) as raised:
        find_campaign(Path(name), RESULTS)

    assert f"{here / name} and results/{name}" in str(raised.value)
    for whole in (here / name, Path("results") / name):
        assert find_campaign(whole, RESULTS) == whole


def test_a_campaign_in_two_ways_is_one(here: Path) -> None:
    campaign("results/nightly")
    Path("nightly").symlink_to("results/nightly")

    assert find_campaign(Path("nightly"), RESULTS) == Path("nightly")
    assert find_campaign(Path("nightly"), Path()) == Path("nightly")


def test_a_name_of_nothing_is_answered_with_the_closest(here: Path) -> None:
    for name in ("nightly-1", "nightly-2", "published"):
        campaign(f"results/{name}")

    with pytest.raises(UsageError, match="did you mean nightly-1, nightly-2") as raised:
        find_campaign(Path("nigthly-1"), RESULTS)
    assert "published" not in str(raised.value)


def test_a_name_that_is_like_none_is_answered_with_the_newest(here: Path) -> None:
    for age_s in range(9):
        campaign(f"results/of-{age_s}", age_s=age_s)

    with pytest.raises(UsageError, match=r"the newest in results: of-0, of-1, of-2$"):
        find_campaign(Path("x"), RESULTS)


def test_without_any_campaign_it_is_said_how_one_is_made(here: Path) -> None:
    for given in (Path("x"), here / "x"):
        with pytest.raises(UsageError, match="results has no campaigns; try anonvma"):
            find_campaign(given, RESULTS)
    with pytest.raises(UsageError, match="there is no campaign in results; try"):
        newest_campaign(RESULTS)


def test_the_newest_campaign_is_that_whose_records_are(here: Path) -> None:
    campaign("results/a", age_s=5)
    campaign("results/b", age_s=3)
    campaign("results/c", age_s=4)
    Path("results/d").mkdir()

    assert newest_campaign(RESULTS) == Path("results/b")
    assert [folder.name for folder in campaigns_in(RESULTS)] == ["b", "c", "a"]
