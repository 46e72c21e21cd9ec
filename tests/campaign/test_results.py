import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign import (
    Plan,
    appended_records,
    campaign_folder,
    keep_plan,
    remove_empty_campaign,
)
from harness.errors import UsageError


def test_a_campaign_has_the_folder_of_its_name_again_and_again(tmp_path: Path) -> None:
    folders = [campaign_folder(tmp_path / "results", "a b") for _ in range(2)]

    assert folders == [tmp_path / "results" / "a b"] * 2
    assert folders[0].is_dir()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/a", "a\n", "a\0", "\x1b"])
def test_what_is_not_one_folder_s_name_is_refused_and_makes_nothing(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError) as raised:
        campaign_folder(tmp_path, name)

    assert repr(name) in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_campaigns_without_a_name_never_share_a_folder(tmp_path: Path) -> None:
    folders = {campaign_folder(tmp_path, None) for _ in range(5)}

    assert len(folders) == 5
    assert folders == set(tmp_path.iterdir())


def test_the_plan_is_written_down_with_the_command(tmp_path: Path) -> None:
    keep_plan(tmp_path, Plan(vmas=(5,)), ["anonvma", "run", "--vmas", "5"])

    (path,) = tmp_path.iterdir()
    kept = json.loads(path.read_text())
    assert kept["plan"]["vmas"] == [5]
    assert kept["command"] == ["anonvma", "run", "--vmas", "5"]


def test_a_campaign_goes_on_with_the_same_plan(tmp_path: Path) -> None:
    keep_plan(tmp_path, Plan(), ["first"])
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()

    keep_plan(tmp_path, Plan(), ["second"])

    assert path.read_bytes() == before


def test_a_campaign_of_a_version_whose_plans_had_one_base_goes_on(
    tmp_path: Path,
) -> None:
    keep_plan(tmp_path, Plan(bases=("6.1",)), ["first"])
    (path,) = tmp_path.iterdir()
    document = json.loads(path.read_text())
    (document["plan"]["base"],) = document["plan"].pop("bases")
    path.write_text(json.dumps(document))

    keep_plan(tmp_path, Plan(bases=("6.1",)), ["second"])

    with pytest.raises(UsageError, match=r"\(bases differ\)"):
        keep_plan(tmp_path, Plan(), [])


def test_a_campaign_gets_more_boots_but_never_fewer(tmp_path: Path) -> None:
    keep_plan(tmp_path, Plan(boots=4), ["first"])
    (path,) = tmp_path.iterdir()
    began = json.loads(path.read_text())["began"]

    keep_plan(tmp_path, Plan(boots=6), ["second"])

    kept = json.loads(path.read_text())
    assert (kept["plan"]["boots"], kept["command"]) == (6, ["second"])
    assert kept["began"] == began
    with pytest.raises(UsageError, match=r"has 6 boots planned.*not lowered to 4"):
        keep_plan(tmp_path, Plan(boots=4), ["third"])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"plan": 1}', '{"plan": {"boots": "4"}}', "[" * 9000]
)
def test_a_plan_that_is_none_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(UsageError, match=r"plan\.json is not the plan of a campaign"):
        keep_plan(tmp_path, Plan(), [])


def test_a_plan_without_an_end_is_not_read_to_it(tmp_path: Path) -> None:
    (tmp_path / "plan.json").symlink_to("/dev/zero")

    with pytest.raises(UsageError, match=r"plan\.json is not the plan of a campaign"):
        keep_plan(tmp_path, Plan(), [])


def test_another_plan_is_refused_with_what_differs(tmp_path: Path) -> None:
    keep_plan(tmp_path, Plan(), [])
    other = replace(Plan(), vmas=(7,), repetitions=3, seed=9)

    with pytest.raises(UsageError, match=r"\(vmas, repetitions, seed differ\)"):
        keep_plan(tmp_path, other, [])


def test_a_campaign_of_which_nothing_came_is_removed(tmp_path: Path) -> None:
    folder = campaign_folder(tmp_path, "n")
    keep_plan(folder, Plan(), ["anonvma"])
    with appended_records(folder):
        pass

    assert remove_empty_campaign(folder)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["records.jsonl", "console-1.txt"])
def test_a_campaign_with_anything_in_it_is_kept(tmp_path: Path, name: str) -> None:
    folder = campaign_folder(tmp_path, "n")
    keep_plan(folder, Plan(), ["anonvma"])
    (folder / name).write_text("x")

    assert not remove_empty_campaign(folder)
    assert (folder / name).read_text() == "x"
    assert (folder / "plan.json").exists()
