import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign import append_file, appended_records
from harness.errors import EnvironmentFault
from harness.host.campaign_folders import RECORDS
from harness.worker.measure import RunEnd, parse_record, render_record

END = RunEnd(run="a", valid=True, reason="", seal="")


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


@pytest.mark.parametrize("whole", [0, 1, 3])
@pytest.mark.parametrize("half", [b"{", render_record(END)[:-1], b"x" * 200_000])
def test_a_half_written_line_is_set_aside_and_named(
    tmp_path: Path, whole: int, half: bytes
) -> None:
    path = tmp_path / RECORDS
    path.write_bytes(render_record(END) * whole + half)
    told: list[str] = []

    with appended_records(tmp_path, on_step=told.append) as append:
        append(END)

    assert path.read_bytes() == render_record(END) * (whole + 1)
    aside = tmp_path / "half-written-1.txt"
    assert aside.read_bytes() == half
    assert told == [f"an incomplete line of {len(half)} bytes was moved to {aside}"]


def test_no_half_written_line_replaces_another(tmp_path: Path) -> None:
    for number in range(3):
        with open(tmp_path / RECORDS, "ab") as file:
            file.write(b"%d" % number)
        with appended_records(tmp_path):
            pass

    kept = sorted(tmp_path.glob("half-written-*.txt"))
    assert [path.read_bytes() for path in kept] == [b"0", b"1", b"2"]


def test_what_a_full_disk_lets_through_of_a_record_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = os.write

    with appended_records(tmp_path) as append:
        append(END)
        monkeypatch.setattr(os, "write", lambda fd, line: written(fd, line[:9]))

        with pytest.raises(EnvironmentFault, match="the disk is full"):
            append(END)

    assert (tmp_path / RECORDS).read_bytes() == render_record(END)


def test_a_limit_of_file_sizes_ends_the_campaign_with_its_records(
    tmp_path: Path,
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with appended_records(tmp_path) as append:
            append(END)
            size = len(render_record(END))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

            with pytest.raises(EnvironmentFault, match=r"cannot be written.*too large"):
                append(END)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, ignored)

    assert (tmp_path / RECORDS).read_bytes() == render_record(END)


def test_records_of_a_campaign_that_was_removed_are_not_taken(tmp_path: Path) -> None:
    with appended_records(tmp_path) as append:
        append(END)
        (tmp_path / RECORDS).unlink()

        with pytest.raises(EnvironmentFault, match="was removed while"):
            append(END)


def test_a_campaign_that_another_measures_is_refused_with_who_does(
    tmp_path: Path,
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()

        with (
            pytest.raises(EnvironmentFault, match=rf"by process {holder.pid}: wait"),
            appended_records(tmp_path),
        ):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with appended_records(tmp_path) as append:
        append(END)


WRITER = """
import sys
from pathlib import Path
from harness.campaign import appended_records
from harness.worker.measure import RunEnd
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


_APPENDED_UNTIL_KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from harness.campaign import append_file, appended_records

folder, more, parts = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def copy_and_be_killed(source, to):
    global parts
    to.write(source.read() if parts else source.read()[:-100])
    to.flush()
    if not parts:
        os.kill(os.getpid(), signal.SIGKILL)
    parts -= 1

shutil.copyfileobj = copy_and_be_killed
with appended_records(folder):
    append_file(folder, more)
"""


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_a_file_is_appended_whole_or_not_at_all(tmp_path: Path, parts: int) -> None:
    more = tmp_path / "more.jsonl"
    more.write_bytes(render_record(replace(END, run="b")) * 100)
    records = tmp_path / RECORDS
    records.write_bytes(render_record(END))
    both = records.read_bytes() + more.read_bytes()

    done = subprocess.run(
        [sys.executable, "-c", _APPENDED_UNTIL_KILLED, tmp_path, more, str(parts)]
    )

    assert done.returncode == (0 if parts == 2 else -signal.SIGKILL)
    assert records.read_bytes() == (both if parts == 2 else render_record(END))
    if parts < 2:
        # What is left of it is in nobody's way.
        with appended_records(tmp_path):
            append_file(tmp_path, more)
        assert records.read_bytes() == both
    assert {path.name for path in tmp_path.iterdir()} == {RECORDS, more.name}


def test_a_file_that_a_full_disk_has_no_room_for_is_not_appended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: object, to: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with appended_records(tmp_path) as append:
        append(END)
        with pytest.raises(EnvironmentFault, match=r"nothing was added to .*: No sp"):
            append_file(tmp_path, tmp_path / RECORDS)

    assert (tmp_path / RECORDS).read_bytes() == render_record(END)
    assert len(list(tmp_path.iterdir())) == 1
