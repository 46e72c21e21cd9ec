"""What of this machine a new Debian 13 is given, and how it is entered."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import debian13
from tests.debian13 import config_files, entering, paths_in, reaching, suites

LISTED = """\
bookworm http://mirror/debian/ main
bookworm http://mirror/debian/ non-free-firmware
bookworm-updates http://mirror/debian/ main
bookworm-security http://mirror/debian-security/ main
nodistro https://elsewhere/node main
./ file:/srv/flat/
"""
APT = """\
Acquire "";
Acquire::IndexTargets::deb::Packages::MetaKey "$(COMPONENT)/Packages";
Acquire::http "";
Acquire::http::Proxy "http://proxy:3128";
Acquire::https::CaInfo "/etc/ssl/ours.pem";
Acquire::Check-Date "false";
Dir::Etc "etc/apt";
"""
PIP_DEBUG = """\
env_var:
env:
global:
  /etc/xdg/pip/pip.conf, exists: False
  /etc/pip.conf, exists: True
    global.cert: /etc/ssl/ours.pem
"""
PIP = r"""
:env:.cert='/etc/ssl/ours.pem'
global.extra-index-url='file:///srv/a/simple file:///srv/b/simple'
global.find-links='\n/srv/wheels\n/srv/more'
global.index-url='https://index/simple'
"""


def test_debian_13_comes_from_the_mirrors_of_this_debian() -> None:
    assert list(suites(LISTED)) == [
        "deb http://mirror/debian/ trixie main",
        "deb http://mirror/debian/ trixie-updates main",
        "deb http://mirror/debian-security/ trixie-security main",
    ]


def test_where_nothing_is_of_debian_mmdebstrap_is_given_no_mirror() -> None:
    assert list(suites("jammy http://mirror/ubuntu/ main\n")) == []
    assert list(suites("")) == []


def test_apt_is_told_how_to_reach_it_and_nothing_else() -> None:
    assert reaching(APT) == [
        'Acquire::http::Proxy "http://proxy:3128";',
        'Acquire::https::CaInfo "/etc/ssl/ours.pem";',
        'Acquire::Check-Date "false";',
    ]


def test_pip_has_its_configuration_and_what_that_names() -> None:
    """Beside an index are the files that its pages name."""
    assert config_files(PIP_DEBUG) == [Path("/etc/pip.conf")]
    assert paths_in(PIP) == [
        Path("/etc/ssl/ours.pem"), Path("/srv/a"), Path("/srv/b"),
        Path("/srv/wheels"), Path("/srv/more"),
    ]  # fmt: skip
    assert paths_in("\n".join(reaching(APT))) == [Path("/etc/ssl/ours.pem")]


def test_who_is_not_root_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["debian13"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert debian13.main() == 3
    assert capsys.readouterr().out.startswith("make test-debian13 needs root: ")


def _may_enter() -> bool:
    if os.geteuid() != 0 or not Path("/bin").is_symlink():
        return False
    probe = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "mount",
        "-t",
        "proc",
        "x",
        "/mnt",
    ]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(
    shutil.which("unshare") is None or not _may_enter(),
    reason="entering a root takes root, its right to mount, and programs all in /usr",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root of this machine's programs, once /usr is bound to it."""
    made = tmp_path / "root"
    for name in ("dev", "home", "mnt", "proc", "sys", "tmp"):
        (made / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (made / name).symlink_to(f"usr/{name}")
    return made


@needs_mounts
def test_in_a_root_there_is_what_was_bound_to_be_read_and_nothing_else(
    root: Path, tmp_path: Path
) -> None:
    config = tmp_path / "it's.conf"
    config.write_text("a mirror\n")
    (tmp_path / "secret").touch()
    argv = entering(root, Path("/home"), [Path("/usr"), config])

    script = f"""
    pwd; cat "{config}"; ls {tmp_path}; ls -d /proc/1 /dev/null
    (echo more >> "{config}") 2> /dev/null || echo "may not be written"
    """
    done = subprocess.run(
        [*argv, "sh", "-c", script], capture_output=True, text=True, timeout=60
    )

    assert done.stdout.splitlines() == [
        "/home", "a mirror", config.name, "/dev/null", "/proc/1", "may not be written",
    ], done  # fmt: skip
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


@needs_mounts
def test_what_runs_in_a_root_ends_with_who_started_it(root: Path) -> None:
    argv = entering(root, Path("/home"), [Path("/usr")])
    with subprocess.Popen(
        [*argv, "sh", "-c", "sleep 1000 & echo at it; wait"],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "at it\n"
        process.kill()

        # The pipe ends when nobody has its other end.
        assert process.stdout.read() == ""
    assert str(root) not in Path("/proc/self/mounts").read_text()
