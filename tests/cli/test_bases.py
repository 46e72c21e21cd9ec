"""Which Linux is meant by all, where this Debian lacks the source of one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.arch import Arch
from harness.cli import audit, choices, guests, kernels, main
from harness.cli.audit import AuditRequest
from harness.cli.choices import bases_here, chosen_kernels
from harness.errors import EnvironmentFault, NoSuchSource
from harness.kbuild import BuiltKernel, Variant, base_names
from harness.kbuild.source import SourcePackage

HERE = SourcePackage(Path("/usr/src/linux.tar.xz"), "1-1")
LEFT_OUT = "anonvma: left out: no linux-source-6.1 here\n"


def find_all_but_6_1(base: str) -> SourcePackage:
    """As on Debian 13."""
    if base == "6.1":
        raise NoSuchSource(f"no linux-source-{base} here")
    return HERE


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """A function that says what looks for a source."""
    return lambda find: monkeypatch.setattr(choices, "find_source", find)


def test_all_are_those_whose_source_can_be_had_and_the_others_are_named(
    sources: Callable[[object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    sources(find_all_but_6_1)

    status = main(["doctor", "--bases"])

    assert status == 0
    assert capsys.readouterr() == ("6.12\n", LEFT_OUT)


def test_a_source_that_is_not_installed_yet_can_be_had(
    sources: Callable[[object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def find(base: str) -> SourcePackage:
        raise EnvironmentFault("as root: apt-get install it")

    sources(find)

    assert bases_here() == tuple(base_names())
    assert capsys.readouterr() == ("", "")


def test_where_no_source_can_be_had_all_is_refused(
    sources: Callable[[object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing done is not all done: make would pass tests that never ran."""

    def find(base: str) -> SourcePackage:
        raise NoSuchSource(f"no linux-source-{base} here")

    sources(find)

    assert main(["doctor", "--bases"]) == 3
    assert capsys.readouterr() == ("", "anonvma: no linux-source-6.12 here\n")


def test_what_was_asked_for_by_its_name_is_not_left_out(
    sources: Callable[[object], None],
) -> None:
    sources(find_all_but_6_1)

    assert chosen_kernels(("switch",), ("6.1",))[1] == ("6.1",)


def test_build_leaves_out_what_cannot_be_had(
    sources: Callable[[object], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def build(
        variant: Variant, base: str, arch: Arch, *, on_step: object
    ) -> BuiltKernel:
        return BuiltKernel(
            image=Path("/image"), variant=variant, base=base, arch=arch,
            source_version="1-1", config_sha256="0",
        )  # fmt: skip

    sources(find_all_but_6_1)
    monkeypatch.setattr(kernels, "build_kernel", build)

    status = main(["build", "--base", "all"])

    assert status == 0
    assert capsys.readouterr() == ("switch 6.12 aarch64: /image\n", LEFT_OUT)


def test_kselftest_leaves_out_what_cannot_be_had(
    sources: Callable[[object], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def no_guests(
        _: object, __: object, bases: object, *, on_step: object
    ) -> list[None]:
        asked.append(bases)
        return []

    sources(find_all_but_6_1)
    monkeypatch.setattr(guests, "guests_of", no_guests)

    main(["kselftest", "--base", "all"])

    assert asked == [("6.12",)]
    assert capsys.readouterr().err == LEFT_OUT


def test_audit_leaves_out_what_cannot_be_had(
    sources: Callable[[object], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    asked = []

    def look(request: AuditRequest, *_: object) -> list[None]:
        asked.append(request.bases)
        return []

    sources(find_all_but_6_1)
    monkeypatch.setattr(audit, "_look_into_all", look)

    main(["audit", "--base", "all", "--results", str(tmp_path)])

    assert asked == [("6.12",)]
    assert capsys.readouterr().err == LEFT_OUT
