"""``make setup`` where apt, dpkg and the environment are ones that we wrote."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts import REST, TEST, begun_with

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None, reason="there is no make here"
)

ROOT = Path(__file__).parents[1]
# Each is told what there is by files beside it; apt-get update brings the lists, and
# apt takes a name that it does not know for a pattern, and is content.
PROGRAMS = {
    "bin/dpkg-query": 'for p; do :; done; grep -qx "$p" installed && echo installed',
    "bin/apt-get": """\
echo "$@" >> calls
case $1 in
    update) [ ! -e broken ] || exit 100; cp listed bases;;
    install) for p; do
        grep -qx "${p#linux-source-}" listed || [ "$p" = "${p#linux-}" ] || continue
        echo "$p" >> installed
    done;;
esac
""",
    "bin/id": "cat user",
    "bin/sudo": 'echo sudo >> calls; "$@"',
    "venv/bin/anonvma": "cat bases",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A folder that stands for a machine."""

    folder: Path

    def setup(self) -> "subprocess.CompletedProcess[str]":
        """What make setup comes to on it."""
        # A make that we run under has flags for its own.
        env = {k: v for k, v in os.environ.items() if k not in _MAKES_OWN}
        return subprocess.run(
            ["make", "--silent", "setup", f"VENV={self.folder}/venv"],
            cwd=ROOT, env={**env, "PATH": f"{self.folder}/bin:/usr/bin:/bin"},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def asked_to_install(self) -> set[str]:
        """The packages that apt-get was asked for, since the last time."""
        calls = self.folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        words = {word for line in lines if line.startswith("install ")
                 for word in line.split()[1:]}  # fmt: skip
        return {word for word in words if not word.startswith("-")}


_MAKES_OWN = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS")


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Machine]:
    """A function from the bases that apt lists before and after an update.

    Nothing is installed, and it is root that asks.
    """

    def make(*, before: str, after: str, user: str = "0") -> Machine:
        for name, text in PROGRAMS.items():
            program = tmp_path / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
            program.chmod(0o755)
        for name, text in (("bases", before), ("listed", after), ("user", user)):
            (tmp_path / name).write_text("".join(f"{x}\n" for x in text.split()))
        (tmp_path / "installed").touch()
        (tmp_path / "venv/installed").touch()
        return Machine(tmp_path)

    return make


def test_every_source_that_debian_has_is_installed_and_once(
    machine: Callable[..., Machine],
) -> None:
    debian_12 = machine(before="6.1 6.12", after="6.1 6.12")

    done = debian_12.setup()

    assert done.returncode == 0, done
    asked = debian_12.asked_to_install()
    assert {"linux-source-6.1", "linux-source-6.12", "mmdebstrap"} <= asked
    assert debian_12.setup().stdout == ""
    assert debian_12.asked_to_install() == set()


@pytest.mark.parametrize("before", ["6.12", "6.1 6.12", ""],
                         ids=["known", "no lists yet", "old lists"])  # fmt: skip
def test_a_source_that_debian_lacks_is_not_asked_for(
    machine: Callable[..., Machine], before: str
) -> None:
    """apt-get would end well, install nothing, and be asked again by every make."""
    debian_13 = machine(before=before, after="6.12")

    done = debian_13.setup()

    assert done.returncode == 0, done
    asked = debian_13.asked_to_install()
    assert "linux-source-6.12" in asked
    assert "linux-source-6.1" not in asked
    assert debian_13.setup().stdout == ""
    assert not (debian_13.folder / "calls").exists()


def test_a_source_that_came_to_be_known_is_all_that_is_installed(
    machine: Callable[..., Machine],
) -> None:
    grown = machine(before="6.12", after="6.12")
    grown.setup()
    grown.asked_to_install()
    for name in ("bases", "listed"):
        (grown.folder / name).write_text("6.1\n6.12\n")

    grown.setup()

    assert grown.asked_to_install() == {"linux-source-6.1"}


def test_lists_that_cannot_be_had_end_it(machine: Callable[..., Machine]) -> None:
    offline = machine(before="6.12", after="6.12")
    (offline.folder / "broken").touch()

    assert offline.setup().returncode != 0
    assert offline.asked_to_install() == set()


def test_who_is_not_root_installs_through_sudo(machine: Callable[..., Machine]) -> None:
    mine = machine(before="6.12", after="6.12", user="1000")

    assert mine.setup().returncode == 0
    assert (mine.folder / "calls").read_text().startswith("sudo\nupdate -qq\nsudo\n")


@pytest.mark.skipif(
    shutil.which("sudo", path="/usr/bin:/bin") is not None, reason="there is a sudo"
)
def test_who_has_no_sudo_is_told_what_to_install(
    machine: Callable[..., Machine],
) -> None:
    mine = machine(before="6.12", after="6.12", user="1000")
    (mine.folder / "bin/sudo").unlink()

    done = mine.setup()

    assert done.returncode != 0
    assert done.stdout.startswith("as root: apt-get install bc bison ")
    assert not (mine.folder / "calls").exists()


def test_every_guest_test_is_in_one_part_of_make_test_rest() -> None:
    """A file that no part names would never run."""
    makefile = (ROOT / "Makefile").read_text()
    named = " ".join(re.findall(r"\$\(call guest-tests,([a-z0-9_ ]+)\)", makefile))
    there = {path.stem for path in (ROOT / "tests/guest").glob("test_*.py")}

    assert sorted(named.split()) == sorted(name[5:] for name in there)


def test_the_parts_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))

    assert {part.target for part in (*TEST, *REST)} <= targets


def test_each_day_begins_with_another_part_and_runs_all() -> None:
    days = [begun_with(REST, day) for day in range(len(REST))]

    assert {day[0] for day in days} == set(REST)
    assert all(set(day) == set(REST) for day in days)
