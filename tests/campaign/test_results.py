import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign import (
    RECORDS,
    Plan,
    appended_records,
    campaign_folder,
    keep_plan,
    remove_empty_campaign,
)
from harness.errors import EnvironmentFault, UsageError
from harness.measure import RunEnd, parse_record, render_record

END = RunEnd(run="a", valid=True, reason="", seal="")


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


def test_a_campaign_goes_on_with_the_same_plan_and_any_seed(tmp_path: Path) -> None:
    keep_plan(tmp_path, Plan(seed=1), ["first"])
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()

    keep_plan(tmp_path, Plan(seed=2), ["second"])

    assert path.read_bytes() == before


def test_another_plan_is_refused_with_what_differs(tmp_path: Path) -> None:
    keep_plan(tmp_path, Plan(), [])
    other = replace(Plan(), vmas=(7,), repetitions=3, seed=9)

    with pytest.raises(UsageError, match=r"\(vmas, repetitions differ\)"):
        keep_plan(tmp_path, other, [])


def test_records_are_appended_to_those_before(tmp_path: Path) -> None:
    for number in range(3):
        with appended_records(tmp_path) as append:
            append(replace(END, reason=str(number)))

    lines = (tmp_path / RECORDS).read_bytes().splitlines()
    assert [parse_record(line) for line in lines] == [
        replace(END, reason=str(number)) for number in range(3)
    ]


def test_a_record_is_in_the_file_when_it_is_acknowledged(tmp_path: Path) -> None:
    with appended_records(tmp_path) as append:
        append(END)

        assert (tmp_path / RECORDS).read_bytes() == render_record(END)


def test_a_file_that_ends_inside_a_line_is_refused_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / RECORDS
    text = render_record(END) + render_record(END)[:-1]
    path.write_bytes(text)

    with (
        pytest.raises(EnvironmentFault, match=r"records\.jsonl ends inside a line"),
        appended_records(tmp_path),
    ):
        pass

    assert path.read_bytes() == text


def test_a_record_that_does_not_fit_on_the_disk_ends_the_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = os.write

    with appended_records(tmp_path) as append:
        append(END)
        monkeypatch.setattr(os, "write", lambda fd, line: written(fd, line[:9]))

        with pytest.raises(EnvironmentFault, match="the disk is full"):
            append(END)

    assert (tmp_path / RECORDS).read_bytes() == render_record(END) + b'{"kind":"'


WRITER = """
import sys
from pathlib import Path
from harness.campaign.results import appended_records
from harness.measure import RunEnd
with appended_records(Path(sys.argv[1])) as append:
    number = 0
    while True:
        append(RunEnd(run=str(number), valid=True, reason="", seal=""))
        print(number, flush=True)
        number += 1
"""


def test_kill_9_loses_no_record_that_was_acknowledged(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(200):
        writer.stdout.readline()
    writer.kill()
    acknowledged = 200 + len(writer.stdout.readlines())
    writer.communicate()

    lines = (tmp_path / RECORDS).read_bytes().splitlines(keepends=True)
    assert len(lines) in (acknowledged, acknowledged + 1)
    assert [parse_record(line) for line in lines] == [
        RunEnd(run=str(number), valid=True, reason="", seal="")
        for number in range(len(lines))
    ]
    with appended_records(tmp_path) as append:
        append(END)


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
