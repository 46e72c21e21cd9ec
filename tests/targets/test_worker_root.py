"""The part of a root that a worker's guest reads."""

from harness.targets.cpio import file_entry, folder_entry, link_entry, render_cpio
from harness.targets.worker_root import part_for
from tests.targets.test_cpio import read_cpio

LIB = "usr/lib/python3.11"
BIG = b"#" * 1000
SOURCES = {
    "os": b"import stat\nfrom collections import abc\n",
    "stat": b"",
    "collections/__init__": b"from . import deep\ndef f():\n    import turtle\n",
    "collections/abc": b"",
    "collections/deep": b"try:\n    import _deep\nexcept ImportError:\n    pass\n",
    "collections/other": b"",
    "turtle": b"",
    "fractions": b"import numbers\n",
    "numbers": b"",
}


def root() -> bytes:
    entries = [
        folder_entry("bin"), file_entry("bin/busybox", BIG), folder_entry("usr"),
        file_entry("usr/bin/python3.11", BIG, mode=0o755),
        link_entry("usr/bin/python3", "python3.11"), file_entry("etc/motd", BIG),
        file_entry("lib/aarch64-linux-gnu/libc.so.6", BIG),
        file_entry("lib/aarch64-linux-gnu/libcrypt.so.1", BIG),
        folder_entry(f"{LIB}/__pycache__"),
        file_entry(f"{LIB}/lib-dynload/_deep.cpython-311-aarch64-linux-gnu.so", BIG),
        file_entry(f"{LIB}/lib-dynload/_other.cpython-311-aarch64-linux-gnu.so", BIG),
    ]  # fmt: skip
    for name, source in SOURCES.items():
        folder, _, stem = f"{LIB}/{name}".rpartition("/")
        entries.append(file_entry(f"{LIB}/{name}.py", source))
        compiled = f"{folder}/__pycache__/{stem}.cpython-311.pyc"
        entries.append(file_entry(compiled, BIG))
    return render_cpio(entries)


def kept(*modules: str) -> set[str]:
    members = read_cpio(part_for(modules, root()))
    return {m.path.removeprefix(f"{LIB}/") for m in members}


def test_what_python_needs_for_its_start_is_kept_and_what_it_is_linked_with() -> None:
    paths = kept()

    assert {"usr/bin/python3.11", "usr/bin/python3", "os.py", "stat.py"} <= paths
    assert "lib/aarch64-linux-gnu/libc.so.6" in paths
    assert not {"bin/busybox", "lib/aarch64-linux-gnu/libcrypt.so.1"} & paths


def test_a_module_comes_with_what_it_imports_and_its_bytecode() -> None:
    paths = kept("fractions")

    for name in ("fractions", "numbers", "stat"):
        assert {f"{name}.py", f"__pycache__/{name}.cpython-311.pyc"} <= paths
    assert {
        "collections/__init__.py", "collections/__pycache__/__init__.cpython-311.pyc",
        "collections/deep.py", "collections/abc.py",
        "lib-dynload/_deep.cpython-311-aarch64-linux-gnu.so",
    } <= paths  # fmt: skip


def test_what_is_imported_by_nobody_or_in_a_function_only_is_left_out() -> None:
    paths = kept("fractions")

    assert not {
        "turtle.py", "__pycache__/turtle.cpython-311.pyc", "collections/other.py",
        "lib-dynload/_other.cpython-311-aarch64-linux-gnu.so",
    } & paths  # fmt: skip


def test_members_are_as_they_were() -> None:
    whole = {m.path: m for m in read_cpio(root())}

    for member in read_cpio(part_for(["fractions"], root())):
        assert member == whole[member.path]


def test_a_root_without_a_standard_library_is_taken_whole() -> None:
    for odd in (b"", b"the root, sixteen", render_cpio([file_entry("init", BIG)])):
        assert part_for(["os"], odd) == odd
