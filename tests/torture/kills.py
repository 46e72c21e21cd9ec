"""kill -9 at random instants: acknowledged samples stay, each is there once.

A campaign is begun, something of it is killed, it is begun again with the same
command, and so on; then it is left alone and must come to its end.
"""

import contextlib
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from harness.linux import read_sysctl
from tests.torture.campaigns import (
    Broken,
    Place,
    Small,
    check_complete,
    check_gone,
    check_kept,
    descendants,
    end_of,
    run_to_end,
    running,
    wait_until,
)

# The running kernel may have no names: there, forks of unnamed VMAs.
_KINDS = (
    Small(target="uml"),
    Small(target="uml", boots=1, blocks=8),
    Small(target="qemu", boots=2, blocks=2),
    Small(target="host", naming="none"),
    # More VMAs than vm.max_map_count allows by default: it is raised, and put back.
    Small(target="host", naming="none", vmas=66_000, boots=1, blocks=2),
)
_MOST_KILLS = 8
_LIMIT = "vm.max_map_count"


@dataclass
class Kills:
    """What was killed, and what the campaigns came to; ``samples`` are of all."""

    kills: Counter[str] = field(default_factory=Counter)
    campaigns: int = 0
    samples: int = 0


def kill_until(
    end: float, rng: random.Random, folder: Path, on_line: Callable[[str], None]
) -> Kills:
    """Kill campaigns until a time of ``time.monotonic``; each comes to its end.

    Raises Broken where a sample is lost or doubled, or anything stays behind.
    """
    kills = Kills()
    usual = _how_long(folder)
    while time.monotonic() < end:
        small = rng.choice(_KINDS)
        place = Place(results=folder, name=f"killed-{kills.campaigns}")
        _one_campaign(small, place, rng, usual[small], kills, end)
        kills.campaigns += 1
        on_line(
            f"kills: {sum(kills.kills.values())} of {kills.campaigns} campaigns, "
            f"{kills.samples} samples, none lost, none doubled"
        )
    return kills


def _how_long(folder: Path) -> dict[Small, float]:
    # From command to end, undisturbed: instants are drawn from that.
    took = {}
    for number, small in enumerate(_KINDS):
        started = time.monotonic()
        place = Place(results=folder, name=f"undisturbed-{number}")
        status, words = run_to_end(small, place)
        if status:
            raise Broken(f"{small} ended with status {status}: {words[-2000:]}")
        check_complete(small, place)
        took[small] = time.monotonic() - started
    return took


def _one_campaign(
    small: Small,
    place: Place,
    rng: random.Random,
    usual_s: float,
    kills: Kills,
    end: float,
) -> None:
    limit = read_sysctl(_LIMIT)
    for _ in range(rng.randint(1, _MOST_KILLS)):
        if time.monotonic() > end:
            break
        with running(small, place) as (process, said):
            instant = time.monotonic() + rng.uniform(0, usual_s)
            if not wait_until(instant, process):
                break
            before = place.whole_lines()
            below = descendants(process)
            victim = _kill_one(process, below, rng)
            _check_aftermath(process, said, victim)
            check_gone(below)
        kills.kills[victim] += 1
        check_kept(before, place)
        _check_limit(limit)
    status, words = run_to_end(small, place)
    if status:
        raise Broken(
            f"{small} cannot be gone on with: status {status}: {words[-2000:]}"
        )
    kills.samples += check_complete(small, place)
    _check_limit(limit)


def _kill_one(
    process: subprocess.Popen[bytes], below: list[psutil.Process], rng: random.Random
) -> str:
    """Kill the harness, or one of the processes below it: what that was."""
    everyone = [("harness", psutil.Process(process.pid))]
    for each in below:
        with contextlib.suppress(psutil.NoSuchProcess):
            everyone.append((_role(each.cmdline()), each))
    role = rng.choice(sorted({role for role, _ in everyone}))
    victim = rng.choice([each for name, each in everyone if name == role])
    with contextlib.suppress(psutil.NoSuchProcess):
        victim.send_signal(signal.SIGKILL)
    return role


def _role(argv: list[str]) -> str:
    words = " ".join(argv)
    for role, sign in (
        ("leash", "programs.py"), ("qemu", "qemu-system"), ("cage", "bwrap"),
        ("uml", "root=hostfs"), ("worker", "measure.worker"),
        ("asked", "measure.facts"),
    ):  # fmt: skip
        if sign in words:
            return role
    return "other"


def _check_aftermath(process: subprocess.Popen[bytes], said: Path, victim: str) -> None:
    if victim == "harness":
        process.wait()
    else:
        status, words = end_of(process, said)
        # Done just before, a cell that was not measured, or one clear error.
        told = {0: "", 1: "not measured: ", 3: "anonvma: "}.get(status)
        if told is None or told not in words:
            raise Broken(f"{victim} killed: status {status}: {words[-2000:]}")


def _check_limit(limit: str) -> None:
    deadline = time.monotonic() + 20
    while read_sysctl(_LIMIT) != limit:
        if time.monotonic() > deadline:
            raise Broken(f"{_LIMIT} was {limit} and is {read_sysctl(_LIMIT)}")
        time.sleep(0.1)
