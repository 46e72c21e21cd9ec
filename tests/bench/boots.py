"""How long a guest takes to its first record, beside its kernel's own boot."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness.arch import UM
from harness.errors import GuestLost
from harness.host.programs import leashed, tail_of
from harness.targets import GuestTarget, UmlTarget
from harness.targets.channel import RECORDS, port
from harness.targets.cpio import folder_entry, render_cpio
from harness.worker.measure import Job, PlannedCell, Record, Run
from harness.workload import Cell, Store, layout_of, naming_from_label
from tests.bench.figures import Figure, Kind
from tests.bench.guests import qemu_target, uml_target
from tests.bench.programs import built
from tests.bench.taking import Setting, Subject, Taken, by_turns

_UML = Figure(
    name="start-uml",
    what="guest's start to its first record",
    against="the kernel's own boot to a C init that writes a byte (uml)",
    kind=Kind.AT_MOST,
    reach=3,
)
_QEMU = replace(
    _UML,
    name="start-qemu",
    against="the kernel's own boot to a C init that writes a byte (aarch64)",
)
_DEADLINE_S = 120.0


class _Heard(Exception):
    """The first record is there; nothing more is of interest."""


def first_record_ns(target: GuestTarget, console: Path) -> int:
    """From the launch of a guest until the record of its first run is here."""
    store = Store.REFCOUNTED
    cell = Cell(store=store, layout=layout_of(2, 0), naming=naming_from_label("none"))
    job = Job(
        campaign="bench", session="bench", boot=0, seed=1, variant="refcount",
        base="6.12", stores=(store,), conditions=target.conditions, launched="",
        warmups=0, repetitions=1, cells=(PlannedCell(block=0, cell=cell),),
    )  # fmt: skip
    heard = 0

    def on_record(record: Record) -> None:
        nonlocal heard
        if isinstance(record, Run):
            heard = time.perf_counter_ns()
            raise _Heard

    began = time.perf_counter_ns()
    with contextlib.suppress(_Heard):
        target.run_job(job, on_record, console)
    assert heard, "a job ended well and had no run"
    return heard - began


def bare_boot_ns(target: GuestTarget, program: bytes, console: Path) -> int:
    """From the launch of the same kernel until a C init's byte is here.

    ``program`` is first.c; GuestLost when nothing comes of it.
    """
    console.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        ours, theirs = stack.enter_context(port())
        began = time.perf_counter_ns()
        launch = stack.enter_context(
            # Nothing public launches a guest without our init in it.
            target._launch(
                {"init": program}, mib=512, ports={RECORDS: theirs.fileno()},
                console=console, interactive=False,
            )
        )  # fmt: skip
        argv = list(launch.argv)
        if isinstance(target, UmlTarget):
            # Instead of Python, and of the script that it is given.
            at = next(i for i, word in enumerate(argv) if word.startswith("init="))
            argv[at:] = [f"init={argv[-1]}", "--", "/dev/ttyS0"]
        stack.enter_context(
            leashed(
                argv,
                stdout=launch.stdout,
                pass_fds=launch.pass_fds,
                stderr=subprocess.DEVNULL,
            )
        )
        theirs.close()
        ours.settimeout(_DEADLINE_S)
        if not ours.recv(1):
            raise GuestLost("the bare guest wrote no byte", tail_of(console))
        return time.perf_counter_ns() - began


def _measure(setting: Setting) -> Iterator[Taken]:
    console = setting.scratch / "console.txt"
    for figure, target, bare, program in _targets(setting):
        for pair in by_turns(
            partial(first_record_ns, target, console),
            partial(bare_boot_ns, bare, program, console),
            repetitions=setting.pick(9, 3),
        ):
            yield figure.name, pair


def _targets(
    setting: Setting,
) -> Iterator[tuple[Figure, GuestTarget, GuestTarget, bytes]]:
    if _UML.name in setting.chosen:
        uml = uml_target(setting)
        yield _UML, uml, uml, built("first", UM, setting.scratch)
    if _QEMU.name in setting.chosen:
        qemu = qemu_target(setting)
        # An initramfs with nothing in it but where devices go; init follows it.
        empty = setting.scratch / "empty.cpio"
        empty.write_bytes(render_cpio([folder_entry("dev")]))
        program = built("first", qemu.arch, setting.scratch)
        yield _QEMU, qemu, replace(qemu, root=empty), program


BOOTS = Subject(figures=(_UML, _QEMU), measure=_measure, apart=True)
