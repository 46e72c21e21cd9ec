"""The harness on machines that are not ours: one file, an image, a wheel."""

import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.analysis import load
from harness.cli import main
from harness.targets import QemuTarget, UmlTarget, make_image, write_pyz
from harness.targets.guest import COMMAND_MIB

pytestmark = pytest.mark.guest

Boot = Callable[..., QemuTarget]

# In a Debian root with Python and nothing of ours on its path.
CARRY = """
import subprocess, sys
one_file = [sys.executable, "-I", sys.argv[1]]
done = subprocess.run([*one_file, "doctor"], stdout=sys.stderr)
assert done.returncode == 0
done = subprocess.run([*one_file, "run", "--vmas", "300,700", "--naming", "distinct:40",
                       "--blocks", "2", "--repetitions", "2", "--out", "r.jsonl"],
                      stderr=subprocess.DEVNULL)
assert done.returncode == 0
sys.stdout.write("RECORDS\\n" + open("r.jsonl").read())
"""


def test_one_file_alone_gives_records_that_import_and_changed_ones_do_not(
    boot_target: Boot,
    console: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_pyz(tmp_path / "anonvma.pyz")
    target, output = boot_target("refcount"), bytearray()

    # An argument of a program has at most 128 KiB, and the one file is near that.
    status = target.run_command(
        ["env", "-u", "PYTHONPATH", "python3", "-c", CARRY,
         target.path_in_guest("anonvma.pyz")],
        output.extend,
        console,
        files={"anonvma.pyz": (tmp_path / "anonvma.pyz").read_bytes()},
    )  # fmt: skip

    said, _, records = output.decode().partition("RECORDS\n")
    assert status == 0, output.decode()
    assert "clock          insns (tcg icount shift=0)" in said
    assert "store          refcounted" in said
    path = tmp_path / "records.jsonl"
    path.write_text(records)
    place = ["--name", "n", "--results", str(tmp_path / "results")]
    assert main(["import", str(path), *place]) == 0
    frame = load(tmp_path / "results" / "n")
    assert set(frame["unit"]) == {"insns"}
    assert set(frame["vmas"]) == {300, 700}
    assert main(["show", str(tmp_path / "results" / "n")]) == 0
    assert "kernel host, host aarch64 (tcg icount shift=0)" in capsys.readouterr().out

    # Again: the runs are there. Changed: the seal says so.
    assert main(["import", str(path), *place]) == 2
    assert "already has these runs" in capsys.readouterr().err
    path.write_text(records.replace('"vmas":300', '"vmas":301', 1))
    assert main(["import", str(path), "--results", str(tmp_path / "other")]) == 3
    assert "do not match its seal" in capsys.readouterr().err
    assert not list((tmp_path / "other").glob("*"))


def test_an_image_has_the_whole_harness_and_its_kernel_tests_pass(
    boot_target: Boot, console: Path, tmp_path: Path
) -> None:
    built = boot_target()
    image = make_image(
        tmp_path / "image", built.kernel, built.arch, wheels=None,
        on_step=lambda step: None,
    )  # fmt: skip
    target = QemuTarget(arch=image.arch, kernel=image.kernel, root=image.root)
    output = bytearray()
    script = (
        'python3 -c "import pandas, psutil, ptrace" && '
        "anonvma run --target host --vmas 2000 --naming distinct:79 --boots 2 "
        "--repetitions 2 --results /run/results && "
        "anonvma show --results /run/results && "
        "python3 -m pytest -q -m kernel --require-names -p no:cacheprovider "
        "--color=no tests/kernel"
    )

    status = target.run_command(
        ["sh", "-c", script], output.extend, console, mib=3 * COMMAND_MIB
    )

    said = output.decode()
    assert status == 0, said
    assert said.count("kernel host, host aarch64 (tcg icount shift=0)") == 2
    assert " passed" in said
    # Rows of what a kernel lacks are skipped; tests/test_rows.py has which may be.
    assert " failed" not in said


def test_the_wheel_alone_builds_a_kernel_and_measures(
    uml_target: Callable[..., UmlTarget], tmp_path: Path
) -> None:
    """The kernel's build is found in the cache where it is the checkout's."""
    uml_target()
    checkout = Path(__file__).parents[2]
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps",
             "--no-build-isolation", f"--wheel-dir={tmp_path}"]  # fmt: skip
    subprocess.run([*build, str(checkout)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    binaries, empty = tmp_path / "env" / "bin", tmp_path / "empty"
    empty.mkdir()
    lock = checkout / "requirements.lock"
    install = [str(binaries / "pip"), "install", "--quiet"]
    subprocess.run([*install, "--require-hashes", "-r", str(lock)], check=True)
    subprocess.run([*install, "--no-deps", str(wheel)], check=True)

    done = subprocess.run(
        [binaries / "anonvma", "run", "--target", "uml", "--vmas", "1000", "--naming",
         "distinct:79", "--boots", "1", "--repetitions", "1"],
        cwd=empty, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(Path.home())},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "linux 6.12, kernel switch, uml x86_64 (native)" in done.stdout
    assert len(list((empty / "results").glob("*/records.jsonl"))) == 1
