"""Targets that read files: Parquet, plans kept, images, dumps, archives; QMP."""

import io
import json
import socket
import tarfile
import threading
import zipfile
from pathlib import Path

from harness.errors import EnvironmentFault, GuestError, UsageError
from tests.torture.fuzz_targets import Feed, Target

_GREETING = {"QMP": {"version": {"qemu": {}, "package": ""}, "capabilities": []}}


def _parquet(scratch: Path) -> Feed:
    from harness.analysis import cell_costs, cell_effects, distrust, load, side_by_side
    from harness.analysis.records.provenance import identity_of

    path = scratch / "x.parquet"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        frame = load(path)
        side_by_side(cell_effects(frame, margin=2))
        cell_costs(frame, margin=2)
        distrust(frame, margin=2)
        identity_of(path)

    return feed


def _identity(scratch: Path) -> Feed:
    from harness.analysis.comparison.promise import promise_of
    from harness.analysis.records.provenance import identity_of

    (scratch / "records.jsonl").write_bytes(b"")

    def feed(data: bytes) -> None:
        (scratch / "plan.json").write_bytes(data)
        found = identity_of(scratch)
        assert 0 <= found.margin < float("inf")
        "\0".join((found.name, found.began, *found.command)).encode()
        promise_of(found.plan, lambda variant: None)

    return feed


def _kept_plan(scratch: Path) -> Feed:
    from harness.campaign import Plan, keep_plan

    def feed(data: bytes) -> None:
        (scratch / "plan.json").write_bytes(data)
        keep_plan(scratch, Plan(), ["anonvma", "run"])

    return feed


def _image(scratch: Path) -> Feed:
    from harness.targets import arch_of_image

    path = scratch / "image"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        arch_of_image(path)

    return feed


def _image_json(scratch: Path) -> Feed:
    from harness.targets import read_image

    def feed(data: bytes) -> None:
        (scratch / "image.json").write_bytes(data)
        assert read_image(scratch).arch.qemu_package

    return feed


def _tuned(_: Path) -> Feed:
    from harness.machine.tune import parse_state

    def feed(data: bytes) -> None:
        try:
            state = parse_state(data.decode())
        except (ValueError, TypeError, RecursionError):
            return
        assert all(Path(path).is_absolute() for path in state["before"])

    return feed


def _kept_settings(_: Path) -> Feed:
    # Parsed only: to put them back is to change this machine.
    from harness.linux.procfs import _sysctl_path
    from harness.machine.abandoned_settings import parse_kept

    def feed(data: bytes) -> None:
        before, changed = parse_kept(data) or ({}, None)
        for name in before if changed is None else changed:
            assert Path(_sysctl_path(name)).is_relative_to("/proc/sys")
            before[name].encode(errors="surrogatepass")

    return feed


def _dump(scratch: Path) -> Feed:
    from harness.audit.vmcore import check_dump

    path = scratch / "dump"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        check_dump(path)

    return feed


def _vmcoreinfo(scratch: Path) -> Feed:
    from harness.audit.vmcore import Vmcore

    dump, vmlinux = scratch / "dump", scratch / "vmlinux"
    dump.write_bytes(_elf())
    vmlinux.write_bytes(b"GNU\0\xab\x12")

    def feed(data: bytes) -> None:
        Vmcore(dump, vmlinux, data)

    return feed


def _notes(_: Path) -> Feed:
    from harness.linux.procfs import parse_build_id

    def feed(data: bytes) -> None:
        parse_build_id(data)

    return feed


def _qmp(scratch: Path) -> Feed:
    from harness.targets.qmp import dump_memory

    console = scratch / "console.txt"
    console.write_text("booted\n")

    def feed(data: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            asked = threading.Thread(target=_serve, args=(theirs, data))
            asked.start()
            try:
                dump_memory(ours, scratch / "memory", console)
            finally:
                ours.close()
                asked.join()

    return feed


def _serve(theirs: socket.socket, data: bytes) -> None:
    # What is said comes at once, whatever is asked; then it is gone.
    try:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        while theirs.recv(1 << 16):
            pass
    except OSError:
        pass


def _wheel(scratch: Path) -> Feed:
    from harness.arch import ARCHES
    from harness.targets.cpio import render_cpio
    from harness.targets.guest_image import wheel_entries

    path = scratch / "x-1-py3-none-any.whl"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        entries = list(wheel_entries([path], ARCHES["aarch64"]))
        _check_inside([entry.path for entry in entries], "usr/lib/python3/")
        render_cpio(entries)

    return feed


def _tar(scratch: Path) -> Feed:
    from harness.targets.cpio import render_cpio
    from harness.targets.rootfs import root_entries

    path = scratch / "root.tar"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        entries = list(root_entries(path, whole=False))
        _check_inside([entry.path for entry in entries], "")
        render_cpio(entries)

    return feed


def _check_inside(paths: list[str], folder: str) -> None:
    for path in paths:
        parts = path.split("/")
        assert ".." not in parts, path
        assert "" not in parts, path
        assert folder.startswith(path) or path.startswith(folder), path


def _elf() -> bytes:
    header = bytearray(64)
    header[:4] = b"\x7fELF"
    header[4:7] = b"\2\1\1"
    header[32:40] = (64).to_bytes(8, "little")
    header[54:58] = (56).to_bytes(2, "little") + (1).to_bytes(2, "little")
    segment = bytearray(56)
    segment[8:16] = (120).to_bytes(8, "little")
    segment[32:40] = (8).to_bytes(8, "little")
    return bytes(header + segment + b"contents")


def _seed_parquet() -> tuple[bytes, ...]:
    import tempfile

    from harness.analysis.records.provenance import export_campaign
    from tests.synthetic import cell_records, write_records

    with tempfile.TemporaryDirectory() as scratch:
        records = cell_records([1000, 1001])
        records += cell_records([2000, 2003], naming="shared:8")
        folder = write_records(Path(scratch) / "c", records)
        (folder / "plan.json").write_bytes(_seed_plans()[0])
        export_campaign(folder, Path(scratch) / "x.parquet")
        return ((Path(scratch) / "x.parquet").read_bytes(),)


def _seed_plans() -> tuple[bytes, ...]:
    from dataclasses import asdict

    from harness.campaign import Plan

    document = {
        "plan": asdict(Plan()), "command": ["anonvma", "run", "--results", "/x"],
        "harness": "0.1.0", "began": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return (json.dumps(document).encode(),)


def _seed_images() -> tuple[bytes, ...]:
    arm, x86 = bytearray(0x300), bytearray(0x300)
    arm[0x38:0x3C] = b"ARM\x64"
    x86[0x202:0x206] = b"HdrS"
    um = b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\x00" + bytes(0x300)
    return bytes(arm), bytes(x86), um + b"User Mode Linux"


def _seed_notes() -> tuple[bytes, ...]:
    note = b"".join(n.to_bytes(4, "little") for n in (4, 20, 3))
    return (note + b"GNU\0" + bytes(range(20)),)


def _seed_qmp() -> tuple[bytes, ...]:
    answers = [_GREETING, *({"return": {}, "id": f"__qmp#0000{n}"} for n in range(3))]
    failed = {"error": {"class": "GenericError", "desc": "no room"}, "id": None}
    said = b"".join(json.dumps(a).encode() + b"\n" for a in answers)
    return said, said + json.dumps(failed).encode() + b"\n"


def _seed_wheels() -> tuple[bytes, ...]:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("x/__init__.py", "A = 1\n")
        archive.writestr("x-1.data/purelib/y.py", "B = 1\n")
        archive.writestr("../../../x", "out")
        archive.writestr("/etc/x", "out")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return (made.getvalue(),)


def _seed_tars() -> tuple[bytes, ...]:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, kind, target in (
            ("./usr", tarfile.DIRTYPE, ""),
            ("./usr/a", tarfile.REGTYPE, ""),
            ("./usr/b", tarfile.SYMTYPE, "/etc/passwd"),
            ("./usr/c", tarfile.LNKTYPE, "./usr/a"),
            ("./usr/d", tarfile.LNKTYPE, "./usr/gone"),
            ("../../e", tarfile.REGTYPE, ""),
            ("/f", tarfile.REGTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return (made.getvalue(),)


TARGETS = (
    Target(name="parquet", make=_parquet, refuses=(UsageError,), seeds=_seed_parquet),
    Target(name="identity", make=_identity, refuses=(UsageError,), seeds=_seed_plans),
    Target(name="kept-plan", make=_kept_plan, refuses=(UsageError,),
           seeds=_seed_plans),
    Target(name="image", make=_image, refuses=(UsageError,), seeds=_seed_images),
    Target(name="image-json", make=_image_json, refuses=(UsageError,),
           seeds=lambda: (b'{"arch": "aarch64", "packages": []}',)),
    Target(name="tuned", make=_tuned, refuses=(),
           seeds=lambda: (b'{"boot_id": "a", "before": {"/x": "1"}, "done": true}',)),
    Target(name="kept-settings", make=_kept_settings, refuses=(),
           seeds=lambda: (b'[{"vm.a": "1"}, {"vm.a": "2"}]', b'[{"vm.a": "1"}, null]')),
    Target(name="dump", make=_dump, refuses=(EnvironmentFault,),
           seeds=lambda: (_elf(),)),
    Target(name="vmcoreinfo", make=_vmcoreinfo, refuses=(EnvironmentFault,),
           seeds=lambda: (b"OSRELEASE=6.12\nBUILD-ID=ab12\nPAGESIZE=4096\n",)),
    Target(name="notes", make=_notes, refuses=(), seeds=_seed_notes),
    Target(name="qmp", make=_qmp, refuses=(EnvironmentFault, GuestError),
           seeds=_seed_qmp),
    Target(name="wheel", make=_wheel, refuses=(EnvironmentFault,),
           seeds=_seed_wheels),
    Target(name="tar", make=_tar, refuses=(EnvironmentFault,), seeds=_seed_tars),
)  # fmt: skip
