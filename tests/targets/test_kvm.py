import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.arch import arch_named
from harness.errors import EnvironmentFault, GuestHung, GuestPanicked
from harness.targets import Accelerator, Deadlines, QemuTarget, best_accelerator

TARGET = QemuTarget(arch=arch_named("x86_64"), kernel=Path("/k/image"))
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Boot = Callable[[QemuTarget], int]


class Machine(SimpleNamespace):
    """What is asked of this machine, and what it answers.

    ``boots`` are the targets that were booted; ``boot`` says how that ends.
    """

    boots: list[QemuTarget]
    boot: Boot
    boot_id: str
    kvm: bool
    name: str


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """An x86-64 where KVM works."""
    machine = Machine(
        boots=[], boot=lambda target: 0, boot_id="first", kvm=True, name="x86_64"
    )
    read, access = Path.read_text, os.access

    def run_command(
        target: QemuTarget,
        argv: Sequence[str],
        on_output: Callable[[bytes], None],
        console: Path,
    ) -> int:
        machine.boots.append(target)
        return machine.boot(target)

    def reading(path: Path) -> str:
        return f"{machine.boot_id}\n" if path == BOOT_ID else read(path)

    def may(path: str, mode: int) -> bool:
        return machine.kvm if path == "/dev/kvm" else access(path, mode)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(platform, "machine", lambda: machine.name)
    monkeypatch.setattr(os, "access", may)
    monkeypatch.setattr(Path, "read_text", reading)
    monkeypatch.setattr(QemuTarget, "run_command", run_command)
    return machine


def fails(error: Exception) -> Boot:
    def boot(target: QemuTarget) -> int:
        raise error

    return boot


def test_kvm_is_best_where_a_guest_boots_under_it(machine: Machine) -> None:
    assert best_accelerator(TARGET) is Accelerator.KVM

    (booted,) = machine.boots
    assert booted.accelerator is Accelerator.KVM
    assert (booted.arch, booted.kernel) == (TARGET.arch, TARGET.kernel)


def test_a_guest_that_hangs_is_not_waited_for_long(machine: Machine) -> None:
    best_accelerator(TARGET)

    limits = machine.boots[0].deadlines
    assert max(limits.boot_s, limits.silence_s, limits.total_s) <= 15
    assert limits != Deadlines()


def test_without_access_to_kvm_nothing_is_booted(machine: Machine) -> None:
    machine.kvm = False

    assert best_accelerator(TARGET) is Accelerator.ICOUNT
    assert machine.boots == []


def test_a_guest_of_another_machine_is_not_booted(machine: Machine) -> None:
    machine.name = "aarch64"

    assert best_accelerator(TARGET) is Accelerator.ICOUNT
    assert machine.boots == []


@pytest.mark.parametrize(
    "boot",
    [
        fails(GuestHung("it said nothing", "")),
        fails(GuestPanicked("it panicked", "")),
        fails(EnvironmentFault("no qemu-system-x86_64")),
        lambda target: 1,
    ],
    ids=["hangs", "panics", "no QEMU", "command fails"],
)
def test_a_kvm_that_boots_no_guest_is_not_used(machine: Machine, boot: Boot) -> None:
    machine.boot = boot

    assert best_accelerator(TARGET) is Accelerator.ICOUNT
    assert len(machine.boots) == 1


@pytest.mark.parametrize(
    ("boot", "best"),
    [
        (lambda target: 0, Accelerator.KVM),
        (fails(GuestHung("it said nothing", "")), Accelerator.ICOUNT),
    ],
    ids=["works", "hangs"],
)
def test_the_answer_is_kept(machine: Machine, boot: Boot, best: Accelerator) -> None:
    machine.boot = boot

    answers = [best_accelerator(TARGET) for _ in range(3)]

    assert answers == [best] * 3
    assert len(machine.boots) == 1


def test_after_a_restart_it_is_asked_again(machine: Machine, tmp_path: Path) -> None:
    best_accelerator(TARGET)
    machine.boot_id = "second"
    machine.boot = lambda target: 1

    assert best_accelerator(TARGET) is Accelerator.ICOUNT
    assert len(machine.boots) == 2
    # The answer of before is nobody's any more.
    kept = [path.name for path in (tmp_path / "cache/anon-vma-harness").iterdir()]
    assert kept == ["kvm-x86_64-second"]


@pytest.mark.parametrize("half", ["", "wor", "does not boot"])
def test_half_an_answer_is_none(machine: Machine, tmp_path: Path, half: str) -> None:
    best_accelerator(TARGET)
    (kept,) = (tmp_path / "cache/anon-vma-harness").iterdir()
    kept.write_text(half)

    assert best_accelerator(TARGET) is Accelerator.KVM
    assert len(machine.boots) == 2
    assert kept.read_text() == "works\n"


def test_what_a_full_disk_cuts_short_is_not_kept(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(path: Path, content: object) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fill)
    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match="No space"):
        best_accelerator(TARGET)

    assert list((tmp_path / "cache/anon-vma-harness").iterdir()) == []


def test_an_answer_is_not_one_for_another_machine(machine: Machine) -> None:
    best_accelerator(TARGET)
    machine.name = "aarch64"
    machine.boot = lambda target: 1
    other = QemuTarget(arch=arch_named("aarch64"), kernel=Path("/k/image"))

    assert best_accelerator(other) is Accelerator.ICOUNT
    assert len(machine.boots) == 2


def test_an_error_of_this_machine_s_is_no_answer(machine: Machine) -> None:
    machine.boot = fails(OSError(28, "No space left on device"))

    with pytest.raises(OSError, match="No space"):
        best_accelerator(TARGET)

    machine.boot = lambda target: 0
    assert best_accelerator(TARGET) is Accelerator.KVM
