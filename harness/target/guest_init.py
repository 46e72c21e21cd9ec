#!/usr/bin/python3
"""PID 1 of a guest: mounts, runs the one job it was given, says how it ended.

Runs on its own, on a bare Python: it imports nothing of the package. The job
is /job/init.json: {"argv": [...], "stdout": "records" | "output" | "console"}; for
"records", a worker, the descriptor of its port is its last argument.
Its status goes to the port harness.records as a record of kind "status"; a
host that sees none knows that the guest was lost.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

_MOUNTS = (
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/tmp"),
)


def _mount_all() -> None:
    for kind, where in _MOUNTS:
        Path(where).mkdir(parents=True, exist_ok=True)
        subprocess.run(["/bin/busybox", "mount", "-t", kind, kind, where], check=True)


def _open_port(name: str) -> int:
    for port in Path("/sys/class/virtio-ports").iterdir():
        if (port / "name").read_text().strip() == name:
            return os.open(f"/dev/{port.name}", os.O_WRONLY)
    raise FileNotFoundError(f"the host gave the guest no port called {name}")


def _run(job: dict[str, object], records: int) -> int:
    argv = [str(word) for word in job["argv"]]  # type: ignore[attr-defined]
    if job["stdout"] != "records":
        subprocess.run(["/bin/busybox", "--install", "-s", "/bin"], check=True)
    if job["stdout"] == "console":
        return _run_on_console(argv)
    if job["stdout"] == "records":
        return subprocess.run(
            [*argv, str(records)], pass_fds=(records,), cwd="/tmp"
        ).returncode
    output = _open_port("harness.output")
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/tmp"
    ).returncode


def _run_on_console(argv: list[str]) -> int:
    # A session of its own on a real terminal, which /dev/console is not, so that
    # the shell has job control and Ctrl-C.
    active = Path("/sys/class/tty/console/active").read_text().split()[-1]
    with open(f"/dev/{active}", "r+b", buffering=0) as terminal:
        return subprocess.run(
            ["/bin/busybox", "setsid", "-c", *argv],
            stdin=terminal, stdout=terminal, stderr=terminal, cwd="/tmp",
        ).returncode  # fmt: skip


def main() -> None:
    """Run the job, report its status, and end the guest."""
    os.environ.update(
        PATH="/usr/bin:/bin:/usr/sbin:/sbin", HOME="/tmp", PYTHONHOME="/usr",
        PYTHONHASHSEED="0",
        PYTHONPATH="/harness", PYTHONDONTWRITEBYTECODE="1", LANG="C.UTF-8",
        TERM=os.environ.get("TERM", "linux"),
    )  # fmt: skip
    _mount_all()
    records = _open_port("harness.records")
    job = json.loads(Path("/job/init.json").read_text())
    try:
        code = _run(job, records)
    except OSError as error:
        print(f"init: {error}", file=sys.stderr, flush=True)
        code = 127
    sys.stdout.flush()
    os.write(records, json.dumps({"kind": "status", "code": code}).encode() + b"\n")
    # With QEMU's -no-reboot this ends the guest at once.
    Path("/proc/sysrq-trigger").write_text("b")


if __name__ == "__main__":
    main()
