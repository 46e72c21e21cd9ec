"""The kernel's own test in real guests: where it passes, and where it must not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.arch import UM
from harness.cli import main
from harness.kbuild import SELFTEST, build_selftest
from harness.kselftest.ktap import Outcome, parse_ktap
from harness.kselftest.running import Guest, result_of, run_selftest
from harness.targets import GuestTarget, QemuTarget, UmlTarget

pytestmark = pytest.mark.guest


def tried(target: GuestTarget, console: Path, base: str = "6.12") -> tuple[str, str]:
    """Its outcome in a guest, and all that it printed."""
    arch = target.arch if isinstance(target, QemuTarget) else UM
    selftest = build_selftest(base, arch, on_step=lambda step: None)
    guest = Guest(title="it", note="", target=target, selftest=selftest)
    result = run_selftest(guest, 1, console)
    assert result.subtests is not None, result
    (renaming,) = result.subtests.results
    assert (renaming.name, renaming.outcome) == ("vma.renaming", result.outcome)
    return result.outcome.value, "\n".join(renaming.notes)


@pytest.mark.parametrize("base", ["6.12", "6.1"])
@pytest.mark.parametrize("variant", ["refcount", "strdup", "switch"])
def test_it_passes_on_user_mode_linux(
    uml_target: Callable[..., UmlTarget], console: Path, variant: str, base: str
) -> None:
    outcome, printed = tried(uml_target(variant, base), console, base)

    assert outcome == "pass"
    assert "Expected" not in printed


@pytest.mark.parametrize("arch", ["aarch64", "x86_64"])
def test_it_passes_under_qemu(
    boot_target: Callable[..., QemuTarget], console: Path, arch: str
) -> None:
    outcome, _ = tried(boot_target("refcount", arch=arch), console)

    assert outcome == "pass"


def test_it_fails_on_a_kernel_without_names(
    uml_target: Callable[..., UmlTarget],
    boot_target: Callable[..., QemuTarget],
    console: Path,
) -> None:
    """By its first case alone: refused is what the other two ask for."""
    for target in (uml_target("none"), boot_target("none")):
        outcome, printed = tried(target, console)

        assert outcome == "fail"
        assert [
            line.partition("Expected ")[2]
            for line in printed.splitlines()
            if "Expected" in line
        ] == [
            "rename_vma((unsigned long)self->ptr_anon, AREA_SIZE, GOOD_NAME) "
            "(-22) >= 0 (0)",
            "0 (0) != was_renaming_successful(GOOD_NAME, "
            "(unsigned long)self->ptr_anon) (0)",
        ]


# What the test's fixture does with standard input.
MAP_INPUT = """
import errno, mmap
try:
    mmap.mmap(0, 1024, flags=mmap.MAP_PRIVATE)
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def test_a_command_s_input_cannot_be_mapped(
    uml_target: Callable[..., UmlTarget],
    boot_target: Callable[..., QemuTarget],
    console: Path,
) -> None:
    """So that the test's third case gets the EINVAL that it asks for."""
    for target in (uml_target("refcount"), boot_target("refcount")):
        output = bytearray()

        target.run_command(["python3", "-c", MAP_INPUT], output.extend, console)

        assert output == b"ENODEV\n"


def test_its_third_case_names_no_mapping_at_all(
    uml_target: Callable[..., UmlTarget], console: Path
) -> None:
    """What it calls not anonymous is standard input, which must not be mappable.

    Where it can be mapped, the kernel's answer is EBADF, and the test fails.
    """
    target = uml_target("refcount")
    program = build_selftest("6.12", UM, on_step=lambda step: None).program
    place = target.path_in_guest(SELFTEST)
    output = bytearray()

    status = target.run_command(
        ["sh", "-c", f"{place} < {place}"], output.extend, console,
        files={SELFTEST: program.read_bytes()},
    )  # fmt: skip

    assert result_of(bytes(output), status).outcome is Outcome.FAIL
    assert "GOOD_NAME) (-9) == -EINVAL (-22)" in output.decode()


def test_the_command_reports_each_guest_and_fails_where_one_does(
    uml_target: Callable[..., UmlTarget], capsys: pytest.CaptureFixture[str]
) -> None:
    assert uml_target("refcount").kernel != uml_target("none").kernel

    status = main(["kselftest", "--target", "uml", "--variant", "refcount,none"])

    report = parse_ktap(capsys.readouterr().out.encode())
    assert status == 1
    assert report.faults == ()
    assert [(result.ok, result.name) for result in report.results] == [
        (True, "uml 6.12 refcount"),
        (False, "uml 6.12 none"),
    ]


def test_a_kernel_of_one_s_own_is_tested_too(
    uml_target: Callable[..., UmlTarget], capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = uml_target("refcount").kernel

    assert main(["kselftest", "--kernel", str(kernel)]) == 0

    (result,) = parse_ktap(capsys.readouterr().out.encode()).results
    assert (result.ok, result.name) == (True, "uml own")
