"""Another user than root, with folders of its own: all that the kernel allows."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.host.paths import cache_dir, package_dir
from harness.targets import QemuTarget, UmlTarget

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, as root may"),
]

USER = 61_236
PYTHON = "/usr/bin/python3"
TINY = [
    "run", "--vmas", "200", "--naming", "distinct:20", "--boots", "1", "--blocks", "1",
    "--repetitions", "1", "--name", "tiny",
]  # fmt: skip
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    uml_target: Callable[..., UmlTarget], boot_target: Callable[..., QemuTarget]
) -> Iterator[Command]:
    """A function that runs a command as that user: its status, output and words."""
    kernels = [uml_target().kernel.parent, boot_target().kernel.parent]
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    probe = [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    if subprocess.run(probe, capture_output=True, text=True).stdout.strip() != here:
        pytest.skip(f"{PYTHON} is not Python {here}, whose packages are here")
    become = [
        "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--",
    ]  # fmt: skip
    packages = sysconfig.get_path("purelib")
    if subprocess.run([*become, "test", "-r", packages]).returncode:
        pytest.skip(f"another user may not read {packages}")
    # Not in pytest's folder, which only its user may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "cache/anon-vma-harness"
        for kernel in kernels:
            shutil.copytree(kernel, cache / "kernels" / kernel.name)
        shutil.copytree(cache_dir() / "rootfs", cache / "rootfs")
        (folder / "temp").mkdir()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER)

        def run(*words: str) -> tuple[int, str, str]:
            done = subprocess.run(
                [*become, PYTHON, "-m", "harness", *words],
                cwd=folder, capture_output=True, text=True, check=False,
                env={
                    "PATH": "/usr/bin:/bin", "HOME": name, "TMPDIR": f"{name}/temp",
                    "XDG_CACHE_HOME": f"{name}/cache", "PYTHONDONTWRITEBYTECODE": "1",
                    "PYTHONPATH": f"{package_dir().parent}:{packages}",
                },
            )  # fmt: skip
            assert list((folder / "temp").iterdir()) == []
            return done.returncode, done.stdout, done.stderr

        yield run


@pytest.mark.parametrize("target", ["uml", "qemu"])
def test_guests_are_measured_and_commands_run_in_them(
    command: Command, target: str
) -> None:
    status, table, words = command(*TINY, "--target", target)
    booted, output, said = command("boot", "--target", target, "--", "id", "-u")

    assert status == 0, words
    assert "What names cost at fork" in table
    assert (booted, output) == (0, "0\n"), said


def test_doctor_tells_the_same_and_there_is_nothing_to_mend(command: Command) -> None:
    status, _, words = command("doctor")
    mended, output, said = command("doctor", "--mend")

    assert (status, words) in ((0, ""), (3, ""))
    assert (mended, output, said) == (0, "nothing was left behind\n", "")


def test_a_kernel_without_names_says_so_in_one_line(command: Command) -> None:
    status, output, words = command(*TINY, "--target", "host")
    if status == 0:
        pytest.skip("this kernel has names")

    said = [line for line in words.splitlines() if line.startswith("anonvma: ")]
    assert (status, output, len(said)) == (4, "", 1)
    assert "cannot name memory" in said[0]


def test_a_tuning_that_may_not_be_is_one_line_with_what_root_would_do(
    command: Command,
) -> None:
    status, output, words = command("tune", "--apply")
    if output == "no setting needs a change\n":
        pytest.skip("nothing disturbs on this machine")

    assert status == 3
    assert len(words.splitlines()) == 1
    assert "as root: echo" in words
