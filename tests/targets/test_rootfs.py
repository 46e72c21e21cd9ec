import ast
import io
import marshal
import shutil
import stat
import sys
import tarfile
from pathlib import Path
from types import CodeType

import pytest

from harness.arch import arch_named
from harness.errors import EnvironmentFault
from harness.host.paths import package_dir
from harness.targets import guest_root
from harness.targets.rootfs import WHEEL_PACKAGES, harness_archive, job_archive
from tests.targets.test_cpio import Member, read_cpio

ARM64 = arch_named("aarch64")
HERE = f"python3.{sys.version_info.minor}"


def by_path(archive: bytes) -> dict[str, Member]:
    return {member.path: member for member in read_cpio(archive)}


def test_the_job_s_archive_holds_init_and_the_files_of_the_job() -> None:
    inside = by_path(job_archive({"init": b"#!", "job.json": b"{}"}))

    assert inside["job/init"].fields["mode"] == stat.S_IFREG | 0o755
    assert inside["job/init"].content == b"#!"
    assert inside["job/job.json"].content == b"{}"


def test_the_archive_holds_the_rooms_that_a_guest_needs_and_no_other() -> None:
    paths = [member.path for member in read_cpio(harness_archive())]

    rooms = {p.split("/")[2] for p in paths if p.startswith("harness/harness/")}
    assert rooms == {
        "__init__.py", "__pycache__", "arch.py", "errors.py", "lean", "linux", "maps",
        "worker", "workload",
    }  # fmt: skip
    for room in ("lean", "linux", "maps", "worker", "worker/measure", "workload"):
        here = {path.stem for path in (package_dir() / room).glob("*.py")}
        prefix = f"harness/harness/{room}/"
        there = [p.removeprefix(prefix) for p in paths if p.startswith(prefix)]
        assert {p for p in there if p.endswith(".py") and "/" not in p} == {
             *(f"{name}.py" for name in here)
        }  # fmt: skip
        # A guest that compiled what it imports would be seconds later.
        assert {p for p in there if p.startswith("__pycache__/")} == {
            f"__pycache__/{name}.{sys.implementation.cache_tag}.pyc" for name in here
        }


def test_a_folder_comes_before_what_is_in_it() -> None:
    seen = {""}

    for member in read_cpio(harness_archive()):
        assert member.path.rpartition("/")[0] in seen
        if stat.S_ISDIR(member.fields["mode"]):
            seen.add(member.path)


def imports_of(source: bytes) -> set[str]:
    """Every module that a source names in an import."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=str(module)):
                found.add(module)
    return found


def test_what_is_in_the_archive_imports_nothing_that_is_not_in_the_guest() -> None:
    inside = by_path(harness_archive())
    # The package imports for users what they ask it for, and nothing before.
    package = inside.pop("harness/harness/__init__.py")
    sources = [m.content for path, m in inside.items() if path.endswith(".py")]
    assert b"def __getattr__" in package.content

    named = set().union(*(imports_of(source) for source in sources))
    ours = {name for name in named if name.partition(".")[0] == "harness"}
    assert "harness.worker.measure.job" in ours
    for name in ours:
        path = f"harness/{name.replace('.', '/')}"
        assert {path, f"{path}.py"} & set(inside), name
    # The one that has another name in the Pythons of others.
    standard = sys.stdlib_module_names | {"_sha2", "_sha256"}
    assert {name.partition(".")[0] for name in named - ours} <= standard


ENTRIES = {
    "./etc/hostname": b"guest\n",
    "./usr/share/doc/x": b"left out",
    "./var/lib/dpkg/status": b"left out",
    f"./usr/lib/{HERE}/json/tool.py": b"ANSWER = 42\n",
    f"./usr/lib/{HERE}/broken.py": b"def\n",
    f"./usr/lib/{HERE}/test/test_x.py": b"left out",
    "./usr/lib/python3.2/old.py": b"OLD = 1\n",
    "./usr/lib/aarch64-linux-gnu/libcrypto.so.3": b"an image's",
    f"./usr/lib/{HERE}/lib-dynload/_ssl.so": b"an image's",
    f"./usr/lib/{HERE}/asyncio/base.py": b"# an image's",
    f"./usr/lib/{HERE}/lib-dynload/_ctypes.so": b"all need it",
    f"./usr/lib/{HERE}/asynchat.py": b"# all need it",
}


# What packages of Debian 13 have in /usr alone, and those of Debian 12 outside it.
IN_USR = {
    "./usr/bin/busybox": b"a shell",
    "./usr/bin/tar": b"an image's",
    "./usr/lib/ld-linux-aarch64.so.1": b"the loader",
    "./usr/lib/systemd/system/x.timer": b"left out",
    "./usr/sbin/rmt": b"a program",
}
OUTSIDE_USR = {path.replace("./usr/", "./"): each for path, each in IN_USR.items()}


def make_tar(path: Path, more: dict[str, bytes] = OUTSIDE_USR) -> None:
    """What mmdebstrap would make, in small."""
    files = {**ENTRIES, **more}
    with tarfile.open(path, "w") as tar:
        folders = {str(p) for name in files for p in Path(name).parents}
        for folder in sorted(folders):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o640
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("./etc/link")
        link.type, link.linkname = tarfile.SYMTYPE, "hostname"
        tar.addfile(link)
        hard = tarfile.TarInfo("./etc/hard")
        hard.type, hard.linkname = tarfile.LNKTYPE, "./etc/hostname"
        tar.addfile(hard)


@pytest.fixture
def mmdebstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program instead of it, which writes its arguments to calls, then a tar."""
    make_tar(tmp_path / "root.tar")
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\nfor last; do :; done\n'
        f'{shutil.which("cp")} {tmp_path}/root.tar "$last"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return program


def kept(folder: Path) -> list[str]:
    """The kinds of files in the cache."""
    return sorted(p.suffix for p in (folder / "cache").rglob("*") if p.is_file())


def test_the_root_is_made_once(mmdebstrap: Path, tmp_path: Path) -> None:
    root = guest_root(ARM64)
    content = root.read_bytes()

    assert guest_root(ARM64) == root
    assert root.read_bytes() == content
    (call,) = (tmp_path / "calls").read_text().splitlines()
    # As root, mmdebstrap of Debian 13 refuses this mode: it could overwrite files
    # of the machine, were anything of the packages run.
    assert call.split()[:5] == [
        "--mode=chrootless", "--skip=check/chrootless", "--variant=extract",
        "--arch=arm64", "--include=python3,busybox-static",
    ]  # fmt: skip
    assert kept(tmp_path) == ["", ".cpio", ".log"]
    assert not list(root.parent.glob("making-*"))


def test_the_root_holds_what_a_guest_reads(mmdebstrap: Path) -> None:
    inside = by_path(guest_root(ARM64).read_bytes())

    assert inside["etc/hostname"].content == b"guest\n"
    assert inside["etc/hostname"].fields["mode"] == stat.S_IFREG | 0o640
    assert inside["etc/hard"].content == b"guest\n"
    assert inside["etc/link"].content == b"hostname"
    assert stat.S_ISLNK(inside["etc/link"].fields["mode"])
    assert stat.S_ISDIR(inside["etc"].fields["mode"])
    assert inside["bin/sh"].content == b"busybox"
    assert not [path for path in inside if b"left out" in inside[path].content]


def followed(inside: dict[str, Member], path: str) -> Member:
    """What a guest finds at a path: its first folder may be a link."""
    first, _, rest = path.partition("/")
    if stat.S_ISLNK(inside[first].fields["mode"]):
        path = f"{inside[first].content.decode()}/{rest}"
    return inside[path]


@pytest.mark.parametrize("more", [IN_USR, OUTSIDE_USR], ids=["debian 13", "debian 12"])
def test_programs_and_libraries_are_where_init_looks_for_them(
    mmdebstrap: Path, tmp_path: Path, more: dict[str, bytes]
) -> None:
    """Init is a script of /bin/sh, and every program names its loader in /lib."""
    make_tar(tmp_path / "root.tar", more)

    inside = by_path(guest_root(ARM64).read_bytes())

    assert followed(inside, "bin/busybox").content == b"a shell"
    assert followed(inside, "bin/sh").content == b"busybox"
    assert followed(inside, "lib/ld-linux-aarch64.so.1").content == b"the loader"
    assert followed(inside, "sbin/rmt").content == b"a program"
    assert "lib64" not in inside
    assert not [path for path in inside if b"left out" in inside[path].content]


@pytest.mark.parametrize("more", [IN_USR, OUTSIDE_USR], ids=["debian 13", "debian 12"])
def test_no_entry_is_behind_a_link_and_each_is_there_once(
    mmdebstrap: Path, tmp_path: Path, more: dict[str, bytes]
) -> None:
    """The kernel makes no folder for an entry, and would follow a link to it."""
    make_tar(tmp_path / "root.tar", more)

    members = read_cpio(guest_root(ARM64).read_bytes())

    links = [m.path for m in members if stat.S_ISLNK(m.fields["mode"])]
    paths = [member.path for member in members]
    assert not [p for p in paths for link in links if p.startswith(f"{link}/")]
    others = [m.path for m in members if not stat.S_ISDIR(m.fields["mode"])]
    assert len(others) == len(set(others))


@pytest.mark.parametrize("more", [IN_USR, OUTSIDE_USR], ids=["debian 13", "debian 12"])
def test_what_only_images_are_asked_for_is_in_no_other_root(
    mmdebstrap: Path, tmp_path: Path, more: dict[str, bytes]
) -> None:
    make_tar(tmp_path / "root.tar", more)
    root = by_path(guest_root(ARM64).read_bytes())
    whole = by_path(guest_root(ARM64, WHEEL_PACKAGES).read_bytes())

    assert not [path for path in root if b"an image's" in root[path].content]
    assert len([path for path in root if b"all need it" in root[path].content]) == 2
    assert len([path for path in whole if b"an image's" in whole[path].content]) == 4


def test_the_standard_library_is_compiled_for_an_interpreter_like_ours(
    mmdebstrap: Path,
) -> None:
    inside = by_path(guest_root(ARM64).read_bytes())

    tag = sys.implementation.cache_tag
    compiled, other = [path for path in inside if path.endswith(".pyc")]
    assert other == f"usr/lib/{HERE}/__pycache__/asynchat.{tag}.pyc"
    assert compiled == f"usr/lib/{HERE}/json/__pycache__/tool.{tag}.pyc"
    # 16 bytes of header: magic, "by hash, unchecked", the hash.
    header, code = inside[compiled].content[:16], inside[compiled].content[16:]
    assert header[4:8] == b"\1\0\0\0"
    loaded = marshal.loads(code)
    assert isinstance(loaded, CodeType)
    assert loaded.co_filename == f"/usr/lib/{HERE}/json/tool.py"


def test_a_root_that_cannot_be_made_is_told_with_the_log_and_leaves_nothing(
    mmdebstrap: Path, tmp_path: Path
) -> None:
    mmdebstrap.write_text(
        '#!/bin/sh\nfor last; do :; done\necho half > "$last"\n'
        "echo 'E: no \033[31msuch suite'\nexit 25\n"
    )

    with pytest.raises(EnvironmentFault, match=r"\(exit status 25\)") as raised:
        guest_root(ARM64)

    assert str(raised.value).endswith("\nE: no \\x1b[31msuch suite")
    assert kept(tmp_path) == ["", ".log"]
    assert not list((tmp_path / "cache").rglob("making-*"))


def test_a_tar_that_is_broken_leaves_no_root(mmdebstrap: Path, tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(b"no tar")

    with pytest.raises(EnvironmentFault, match="is not a complete archive"):
        guest_root(ARM64)

    assert kept(tmp_path) == ["", ".log"]


def test_without_mmdebstrap_the_fault_names_it(
    mmdebstrap: Path, tmp_path: Path
) -> None:
    mmdebstrap.unlink()

    with pytest.raises(EnvironmentFault, match="mmdebstrap: No such file or directory"):
        guest_root(ARM64)

    assert kept(tmp_path) == ["", ".log"]


def test_what_was_left_half_made_is_removed_and_the_root_is_made(
    mmdebstrap: Path, tmp_path: Path
) -> None:
    room = tmp_path / "cache/anon-vma-harness/rootfs"
    (room / "making-x").mkdir(parents=True)
    (room / "making-x" / "root.cpio").write_bytes(b"half of it")

    assert by_path(guest_root(ARM64).read_bytes())
    assert kept(tmp_path) == ["", ".cpio", ".log"]
