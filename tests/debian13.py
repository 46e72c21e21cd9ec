"""make test-debian13: what README promises, in a new Debian 13, from nothing.

    python -m tests.debian13            # make check, make run, make unit
    python -m tests.debian13 test-model

A root is made with mmdebstrap, what is committed here is cloned into it, and make
runs in it: check before anything is installed, and its tests again after run, which
installs what they skip for. Its mounts and its processes are in namespaces of their
own, which end with it, and the root is removed, however this ends. Debian's packages
and Python's come from where this machine has its own from.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.errors import EnvironmentFault, HarnessError
from harness.host.programs import leashed
from harness.host.scratch import scratch_folder

_SUITE = "trixie"
_PACKAGES = ("ca-certificates", "gcc", "git", "make", "python3", "python3-venv")
_CHECKOUT = Path(__file__).parents[1]
_DEADLINE_S = 4 * 3600
# How apt reaches what it fetches, and what it thinks of its age.
_REACHING = re.compile(r'Acquire::(?:https?|ForceIPv|Retries|Check-)[^ ]* "[^"]+";')
_PATH = re.compile(r"(file://|['\" ]|\\n)(/[^'\" \\]+)")
_ENVIRONMENT = re.compile(r"PIP_.*|TERM|(?i:https?_proxy|no_proxy)")
# $1 is the root, $2 the folder in it, and what follows is run there. The root must be
# one for the kernel too, and not for chroot only: bubblewrap turns to one of its own.
_ENTER = """\
mount --bind "$1" "$1"
cd "$1"
mount --rbind /dev dev
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
{binds}
pivot_root . mnt
umount --lazy mnt
cd "$2"
shift 2
exec "$@"
"""


def main() -> int:
    """Make the root and run make in it: 1 where one of the targets failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.debian13")
    parser.add_argument("targets", nargs="*", default=["check", "run", "unit"])
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("make test-debian13 needs root: it makes and enters a root of Debian 13")
        return EnvironmentFault.status
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        with scratch_folder() as scratch:
            return _test(scratch / "root", options.targets)
    except KeyboardInterrupt:
        print("stopped")
        return 130
    except HarnessError as error:
        print(error)
        return error.status


def _test(root: Path, targets: Sequence[str]) -> int:
    apt = reaching(_said("apt-config", "dump"))
    pip = _said(sys.executable, "-m", "pip", "config", "list")
    configs = config_files(_said(sys.executable, "-m", "pip", "config", "debug"))
    listed = _said(
        "apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI) $(COMPONENT)",
        "Created-By: Packages",
    )  # fmt: skip
    _must("mmdebstrap", [
        "mmdebstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}",
        *(f"--aptopt={line}" for line in apt),
        _SUITE, str(root), *suites(listed),
    ])  # fmt: skip
    home = Path(os.environ.get("HOME", "/root"))
    (root / home.relative_to("/")).mkdir(mode=0o700, parents=True, exist_ok=True)
    clone = home / "anon-vma-harness"
    _must("git clone", [
        "git", "-c", "safe.directory=*", "clone", "--quiet", "--no-hardlinks",
        str(_CHECKOUT), str(root / clone.relative_to("/")),
    ])  # fmt: skip
    paths = [Path("/etc/resolv.conf"), *configs, *paths_in("\n".join((pip, *apt)))]
    binds = [path for path in dict.fromkeys(paths) if path.exists()]
    status = {
        target: _run(f"make {target}", [
            *entering(root, clone, binds), "make", target,
        ], env=_environment(home))
        for target in targets
    }  # fmt: skip
    return 1 if any(status.values()) else 0


def suites(listed: str) -> Iterator[str]:
    """Apt's sources for Debian 13 on the mirrors that this Debian comes from.

    ``listed`` has a release, an address and a component a line. What is not of
    Debian's own suites, as bookworm and bookworm-security are, is left out; of none
    mmdebstrap knows where they are.
    """
    rows = [row for line in listed.splitlines() if len(row := line.split()) == 3]
    codenames = {row[0] for row in rows} & {
        release.removesuffix("-security") for release, _, _ in rows
        if release.endswith("-security")
    }  # fmt: skip
    for release, address, component in rows:
        codename, dash, pocket = release.partition("-")
        if codename in codenames and component == "main":
            yield f"deb {address} {_SUITE}{dash}{pocket} main"


def reaching(apt: str) -> list[str]:
    """The lines of ``apt-config dump`` that say how an archive is reached."""
    return _REACHING.findall(apt)


def config_files(debug: str) -> list[Path]:
    """The files of ``pip config debug`` that there are."""
    found = re.findall(r"^ *(/.*), exists: True$", debug, re.MULTILINE)
    return [Path(path) for path in found]


def paths_in(config: str) -> list[Path]:
    """The files and folders that are named in a configuration, by whole paths.

    Of an index that is a folder, the one that it is in: its pages name files beside it.
    """
    found = [(how, Path(path)) for how, path in _PATH.findall(config)]
    return [path.parent if how == "file://" else path for how, path in found]


def entering(root: Path, folder: Path, binds: Sequence[Path]) -> list[str]:
    """The command that runs what follows it in a folder of the root.

    ``binds`` are files and folders of this machine that are in there too, to be read.
    """
    lines = []
    for path in binds:
        here, there = shlex.quote(str(path)), shlex.quote(f".{path}")
        make = f"mkdir -p {there}" if path.is_dir() else (
            f"mkdir -p {shlex.quote(f'.{path.parent}')}; [ -e {there} ] || > {there}"
        )  # fmt: skip
        lines.append(f"{make}; mount --bind -o ro {here} {there}")
    return [
        "unshare", "--mount", "--pid", "--fork", "--kill-child",
        "sh", "-euc", _ENTER.format(binds="\n".join(lines)), "sh",
        str(root), str(folder),
    ]  # fmt: skip


def _environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if _ENVIRONMENT.fullmatch(k)}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**kept, "HOME": str(home), "LANG": "C.UTF-8", "PATH": path}


def _must(title: str, argv: Sequence[str]) -> None:
    if status := _run(title, argv, env=os.environ):
        raise EnvironmentFault(f"there is no Debian 13: {title} ended with {status}")


def _run(title: str, argv: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Run to the end, and say how long it took. EnvironmentFault past the deadline."""
    started = time.monotonic()
    with leashed(argv, env=env) as process:
        try:
            status = process.wait(timeout=_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise EnvironmentFault(f"{title} takes more than {_DEADLINE_S} s") from None
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    told = f"{title} ended with {status} after {minutes}:{seconds:02}"
    print(f"debian 13: {told}", flush=True)
    return status


def _said(*argv: str) -> str:
    """What a program prints; nothing where there is none, or it fails."""
    try:
        return subprocess.run(
            argv, capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


if __name__ == "__main__":
    sys.exit(main())
