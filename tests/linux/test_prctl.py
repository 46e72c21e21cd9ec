import mmap
from collections.abc import Callable

import pytest

from harness.errors import UnsupportedError
from harness.linux import AnonNameProbe, AnonNameSupport, prctl
from harness.linux.prctl import anon_name_supported, probe_anon_name


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
