"""Targets that read text: maps, configurations, TOML, KTAP, consoles."""

import json
from pathlib import Path

from harness.errors import GuestError, MapsFormatError, UsageError
from harness.host.paths import kernels_dir
from harness.kselftest.ktap import Report
from tests.torture.fuzz_targets import Feed, Target, check_shown

DATA = Path(__file__).parent.parent / "data"
RECORDED = "traces/um-6.12-merged-with-its-source.jsonl"


def recorded_maps() -> bytes:
    """What maps were after the first steps of a recorded trace, and more kinds."""
    seen = json.loads((DATA / RECORDED).read_bytes())["seen"]
    lines = [line.encode() for line in seen[2][1][0][3]]
    named = lines[0].ljust(73)
    return b"".join(
        line + b"\n"
        for line in (
            *lines[:3], named.replace(b"20000000-20004000", b"20010000-20012000")
            + b"[anon:a name  with spaces]",
            named.replace(b"20000000-20004000", b"20014000-20015000") + b"/a (deleted)",
            named.replace(b"20000000-20004000", b"20015000-20016000") + b"[heap]",
        )
    )  # fmt: skip


def _maps(_: Path) -> Feed:
    from harness.maps import parse_maps, render_maps

    def feed(data: bytes) -> None:
        entries = list(parse_maps(data))
        assert render_maps(entries) == data

    return feed


def _maps_line(_: Path) -> Feed:
    from harness.maps import classify_pathname, parse_line, render_line

    def feed(data: bytes) -> None:
        classify_pathname(data)
        entry = parse_line(data)
        assert render_line(entry) == data
        assert (entry.kind, entry.anon_name) == classify_pathname(entry.pathname)

    return feed


def _smaps(_: Path) -> Feed:
    from harness.maps import smaps_headers

    def feed(data: bytes) -> None:
        assert len(smaps_headers(data)) <= len(data)

    return feed


def _config(_: Path) -> Feed:
    from harness.kbuild.config import parse_config, render_options

    def feed(data: bytes) -> None:
        options = parse_config(data.decode(errors="surrogateescape"), where="x")
        assert parse_config(render_options(options), where="x") == options

    return feed


def _fragment(scratch: Path) -> Feed:
    from harness.kbuild.config import merge_fragments

    path = scratch / "x.config"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        merge_fragments([path])

    return feed


def _plan(scratch: Path) -> Feed:
    from harness.campaign import Plan, read_plan
    from harness.workload import Store

    path = scratch / "plan.toml"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        plan = Plan(**read_plan(path))  # type: ignore[arg-type]
        kernels = list(plan.variants)
        for boot, _ in plan.boots_in_order(kernels)[:2]:
            plan.cells_of_boot(boot, tuple(Store))

    return feed


def _variant(scratch: Path) -> Feed:
    from harness.arch import ARCHES
    from harness.kbuild.variant import patch_paths, read_variant

    path = scratch / "x.toml"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        variant = read_variant(path)
        for name in (*variant.config, *variant.patches):
            assert Path("/x", name).resolve().parent == Path("/x"), name
        for patch in patch_paths(variant, "6.12", ARCHES["um"]):
            assert patch.parent == kernels_dir() / "patches/6.12"

    return feed


def _mutant(scratch: Path) -> Feed:
    from harness.kbuild.mutant import read_mutant

    path = scratch / "x.patch"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        read_mutant(path)

    return feed


def _ktap(_: Path) -> Feed:
    from harness.kselftest.ktap import parse_ktap, render_ktap, render_result
    from harness.kselftest.running import result_of

    def feed(data: bytes) -> None:
        report = parse_ktap(data)
        text = render_ktap(report)
        check_shown(text)
        if _faultless(report):
            assert parse_ktap(text.encode()) == report
        check_shown(render_result(result_of(data, 0)))

    return feed


def _faultless(report: Report | None) -> bool:
    return report is None or (
        not report.faults and all(_faultless(r.subtests) for r in report.results)
    )


def _console(scratch: Path) -> Feed:
    from harness.host.programs import printable, tail_of
    from harness.targets.channel import ended_without_status

    path = scratch / "console.txt"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        check_shown(tail_of(path))
        check_shown(printable(data.decode(errors="surrogateescape")))
        raise ended_without_status(path)

    return feed


def _seed_plan() -> tuple[bytes, ...]:
    presets = Path(__file__).parents[2] / "harness/campaign/presets"
    return tuple(path.read_bytes() for path in sorted(presets.glob("*.toml"))[:3])


def _seed_variants() -> tuple[bytes, ...]:
    return tuple(p.read_bytes() for p in (kernels_dir() / "variants").glob("*.toml"))


def _seed_mutants() -> tuple[bytes, ...]:
    paths = sorted((kernels_dir() / "mutants").glob("*.patch"))
    return tuple(path.read_bytes() for path in paths[:3])


def _seed_configs() -> tuple[bytes, ...]:
    return tuple(p.read_bytes() for p in (kernels_dir() / "config").glob("*.config"))


_PANIC = (
    b"[    0.5] \x1b[31mBooting\r\n[    1.0] Kernel panic - not syncing: Attempted to "
    b"kill init! exitcode=0x00000100\n[    1.1] CPU: 0 PID: 1\n"
)
_SMAPS_FIELDS = b"Size:                 16 kB\nVmFlags: rd wr mr mw me ac \n"

TARGETS = (
    Target(name="maps", make=_maps, refuses=(MapsFormatError,),
           seeds=lambda: (recorded_maps(), b"")),
    Target(name="maps-line", make=_maps_line, refuses=(MapsFormatError,),
           seeds=lambda: tuple(recorded_maps().splitlines())),
    Target(name="smaps", make=_smaps, refuses=(), seeds=lambda: (
           b"\n".join(x + b"\n" + _SMAPS_FIELDS for x in recorded_maps().split(b"\n")),
           )),
    Target(name="config", make=_config, refuses=(UsageError,), seeds=_seed_configs),
    Target(name="fragment", make=_fragment, refuses=(UsageError,),
           seeds=_seed_configs),
    Target(name="plan", make=_plan, refuses=(UsageError,), seeds=_seed_plan),
    Target(name="variant", make=_variant, refuses=(UsageError,), seeds=_seed_variants),
    Target(name="mutant", make=_mutant, refuses=(UsageError,), seeds=_seed_mutants),
    Target(name="ktap", make=_ktap, refuses=(),
           seeds=lambda: ((DATA / "ktap/example.ktap").read_bytes(),)),
    Target(name="console", make=_console, refuses=(GuestError,),
           seeds=lambda: (_PANIC,)),
)  # fmt: skip
