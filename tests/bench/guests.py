"""What is held against C inside a guest: naming, building, memory, forks, noise."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.arch import UM, arch_named
from harness.errors import JobFailed
from harness.host.paths import package_dir
from harness.host.programs import printable, tail_of
from harness.kbuild import build_kernel, variant_named
from harness.targets import GuestTarget, QemuTarget, UmlTarget, memory_mib
from harness.targets.guest import workers_bundle
from harness.worker.measure import Job, PlannedCell, render_job
from harness.workload import Cell, Store, layout_of, naming_from_label
from tests.bench.figures import Figure, Kind, Pair
from tests.bench.guest_side import Request
from tests.bench.programs import built
from tests.bench.taking import Setting, Subject, Taken

_BASE = "6.12"
_SCRIPT = Path(__file__).with_name("guest_side.py")
_VMAS = 65_536

_NAME = Figure(
    name="name",
    what="name 65 536 VMAs one by one",
    against="the C loop, same kernel (uml)",
    kind=Kind.AT_MOST,
    reach=1.6,
)
_BUILD = Figure(
    name="build",
    what="build and verify the process of 65 536 VMAs",
    against="the C program that builds it unverified (uml)",
    kind=Kind.AT_MOST,
    reach=2.5,
)
_MEMORY = Figure(
    name="verify",
    what="most memory while the named process of 65 536 VMAs is verified",
    against="the length of its maps (uml)",
    kind=Kind.AT_MOST,
    reach=2,
    exact=True,
)
_UNNAMED = Figure(
    name="fork-unnamed",
    what="fork of 65 536 unnamed VMAs as we time it",
    against="the C program's, same boot (aarch64, instructions)",
    kind=Kind.WITHIN,
    reach=0.01,
    exact=True,
)
_NAMED = replace(
    _UNNAMED, name="fork-named", what="fork of 65 536 named VMAs as we time it"
)
_DIFFERENCE = replace(
    _UNNAMED,
    name="fork-difference",
    what="named - unnamed fork, as we time them",
    reach=0.005,
    # One repetition of the quick form is off by as much: two in 10 000 of each fork
    # are one in 100 of their difference.
    exact=False,
)
_NOISE = Figure(
    name="noise",
    what="fork of 65 536 unnamed VMAs",
    against="another process of the same cell (aarch64, instructions)",
    kind=Kind.ALWAYS_WITHIN,
    reach=0.0005,
    exact=True,
)


def uml_target(setting: Setting) -> UmlTarget:
    """User-Mode Linux with names, its kernel built if need be."""
    kernel = build_kernel(variant_named("refcount"), _BASE, UM, on_step=setting.on_step)
    return UmlTarget(kernel=kernel.image)


def qemu_target(setting: Setting) -> QemuTarget:
    """An aarch64 guest that counts instructions, its kernel built if need be."""
    kernel = build_kernel(
        variant_named("refcount"), _BASE, arch_named("aarch64"),
        on_step=setting.on_step,
    )  # fmt: skip
    return QemuTarget(arch=kernel.arch, kernel=kernel.image)


def in_guest(
    setting: Setting, target: GuestTarget, request: Request, *, mib: int = 1024
) -> Iterator[Taken]:
    """Run the guest's half; its pairs when it is over.

    Raises GuestError's subclasses, JobFailed where it does not end well.
    """
    if isinstance(target, UmlTarget):
        # Without site, as workers are.
        arch, python = UM, [os.path.realpath(sys.executable), "-S"]
    else:
        arch, python = arch_named("aarch64"), ["/usr/bin/python3"]
    output = bytearray()
    console = setting.scratch / "console.txt"
    told = replace(request, program=target.path_in_guest("arena"))
    status = target.run_command(
        [*python, target.path_in_guest(_SCRIPT.name), json.dumps(asdict(told))],
        output.extend,
        console,
        mib=mib,
        files={
            _SCRIPT.name: _SCRIPT.read_bytes(),
            "arena": built("arena", arch, setting.scratch),
            "start.py": (package_dir() / "worker/guest_start.py").read_bytes(),
            "worker.bundle": workers_bundle().packed,
        },
    )
    if status:
        said = printable(bytes(output[-2000:]).decode(errors="replace"))
        raise JobFailed(
            f"the guest's half ended with status {status}: {said}", tail_of(console)
        )
    unit = target.conditions.unit.value
    for line in bytes(output).splitlines():
        # Between ours are the words of workers.
        if line.startswith(b"{"):
            # Any: what our own script wrote.
            told_pair: Any = json.loads(line)
            figure = told_pair.pop("figure")
            yield figure, Pair(unit=unit, clock="CLOCK_MONOTONIC", **told_pair)


def _measure_uml(setting: Setting) -> Iterator[Taken]:
    target = uml_target(setting)
    vmas = setting.pick(_VMAS, 16_000)
    repetitions = {_NAME: setting.pick(15, 5), _BUILD: setting.pick(15, 5),
                   _MEMORY: setting.pick(3, 1)}  # fmt: skip
    for figure, count in repetitions.items():
        if figure.name in setting.chosen:
            request = Request(
                what=figure.name, program="", sizes=(vmas,), repetitions=count
            )
            for name, pair in in_guest(setting, target, request):
                if figure is _MEMORY:
                    pair = replace(pair, unit="bytes", clock="ru_maxrss")
                yield name, pair


def _measure_forks(setting: Setting) -> Iterator[Taken]:
    target = qemu_target(setting)
    # No fewer when quick: an interpreter's own pages are the same few beside less.
    vmas = _VMAS
    store = Store.REFCOUNTED
    cell = Cell(
        store=store, layout=layout_of(vmas, 0), naming=naming_from_label("none")
    )
    job = Job(
        campaign="bench", session="bench", boot=0, seed=1, variant="refcount",
        base=_BASE, stores=(store,), conditions=target.conditions, launched="",
        warmups=1, repetitions=setting.pick(7, 2),
        cells=(PlannedCell(block=0, cell=cell),),
    )  # fmt: skip
    # Boots differ by as much as the row allows. In each, both orders of the arms.
    boots, each = setting.pick(6, 1), setting.pick(2, 1)
    request = Request(
        what="fork", program="", sizes=(vmas,), repetitions=each,
        job=render_job(job).decode(),
    )  # fmt: skip
    for boot in range(boots):
        for name, pair in in_guest(setting, target, request, mib=memory_mib(job)):
            yield name, replace(pair, repetition=boot * each + pair.repetition)


UML_GUEST = Subject(figures=(_NAME, _BUILD, _MEMORY), measure=_measure_uml, apart=True)
FORKS = Subject(
    figures=(_UNNAMED, _NAMED, _DIFFERENCE, _NOISE), measure=_measure_forks,
    takes_time=False,
)  # fmt: skip
