import mmap
import os
import select
import signal
import time
from collections.abc import Callable

import pytest

from harness.errors import UnsupportedError
from harness.linux import AnonNameProbe, AnonNameSupport, prctl
from harness.linux.prctl import anon_name_supported, bound_fork, probe_anon_name


def refuse(code: int) -> Callable[[int, int, bytes | int | None], None]:
    def set_anon_name(start: int, length: int, name: bytes | int | None) -> None:
        raise OSError(code, "refused")

    return set_anon_name


def test_einval_for_a_good_name_means_not_built_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prctl, "set_anon_name", refuse(22))

    assert probe_anon_name().support is AnonNameSupport.NOT_BUILT_IN
    assert not anon_name_supported()


def test_any_other_refusal_is_neither_yes_nor_no(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prctl, "set_anon_name", refuse(1))

    assert probe_anon_name().support is AnonNameSupport.FAULTY
    with pytest.raises(OSError, match="refused"):
        anon_name_supported()


def test_a_name_that_is_accepted_and_not_shown_is_faulty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prctl, "set_anon_name", lambda *_: None)

    probe = probe_anon_name()

    assert probe == AnonNameProbe(
        AnonNameSupport.FAULTY,
        "the name was accepted, but /proc/self/maps shows b''",
    )


def test_this_kernel_is_one_or_the_other() -> None:
    """Which one is not ours to say; a guest's test says it of ours."""
    assert probe_anon_name().support is not AnonNameSupport.FAULTY
    assert mmap.PAGESIZE
    assert UnsupportedError.status == 4


def outlives_its_parent(monkeypatch: pytest.MonkeyPatch, *, early: bool) -> bool:
    """Whether a child of ``bound_fork`` does; with ``early`` it asks too late."""
    told, telling = os.pipe()
    parent = os.fork()
    if parent == 0:
        if early:
            really, me = prctl._prctl, os.getpid()

            def late(*arguments: object) -> object:
                while os.getppid() == me:
                    time.sleep(0.001)
                return really(*arguments)

            monkeypatch.setattr(prctl, "_prctl", late)
        if bound_fork() == 0:
            select.select([], [], [], 0 if early else 60)
            os.write(telling, b"alive")
            os._exit(0)
        os._exit(0)
    os.close(telling)
    assert os.waitpid(parent, 0)[1] == 0
    said = os.read(told, 9)
    os.close(told)
    return said == b"alive"


@pytest.mark.parametrize("early", [False, True], ids=["after", "before"])
def test_a_bound_child_ends_with_its_parent_even_if_that_ended_before_it_could_ask(
    monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    assert not outlives_its_parent(monkeypatch, early=early)


def test_a_bound_child_is_killed_and_its_parent_has_its_pid() -> None:
    pid = bound_fork()
    if pid == 0:
        signal.pause()
    os.kill(pid, signal.SIGKILL)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
