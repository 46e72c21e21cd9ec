"""What it costs to have /proc/pid/maps as values, beside reading it at all."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from harness.errors import EnvironmentFault
from harness.linux import die_with_parent, read_maps
from harness.maps import parse_maps
from harness.worker.measure.arena import Arena
from harness.worker.measure.settings import map_count_up_to
from harness.workload import layout_of
from tests.bench.figures import Figure, Kind
from tests.bench.taking import Setting, Subject, Taken, by_turns, elapsed_ns

_READ = Figure(
    name="parse-read",
    what="read and parse 65 536 maps lines to values",
    against="the bare read of the same file",
    kind=Kind.AT_MOST,
    reach=3,
)
_PEER = Figure(
    name="parse-peer",
    what="read and parse 65 536 maps lines to values",
    against="procmaps (Rust), the fastest on PyPI, which makes no values until asked; "
    "psutil reads smaps, so its time is the kernel's",
    kind=Kind.FASTER,
    reach=1.2,
)
_FRAME = Figure(
    name="parse-frame",
    what="read 65 536 maps lines to a DataFrame",
    against="the bare read of the same file",
    kind=Kind.AT_MOST,
    reach=2.5,
)
_VMAS = 65_536
# What a process has that has imported the scientific stack, and room for more.
_OURS = 5_000


@contextlib.contextmanager
def process_of(vmas: int) -> Iterator[int]:
    """The pid of a child that has these VMAs and sleeps.

    Raises EnvironmentFault where vm.max_map_count is too low and may not be
    raised.
    """
    layout = layout_of(vmas, 0)
    needed = layout.map_count_needed + _OURS
    with map_count_up_to(needed) as limit:
        if limit < needed:
            raise EnvironmentFault(
                f"vm.max_map_count is {limit} and cannot be raised here; as root: "
                f"sysctl vm.max_map_count={needed}"
            )
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                die_with_parent()
                with Arena(layout, seed=1):
                    os.write(writing, b".")
                    signal.pause()
            finally:
                os._exit(1)
        os.close(writing)
        try:
            with open(reading, "rb") as pipe:
                if not pipe.read(1):
                    raise EnvironmentFault(f"a child could not map {vmas} VMAs")
            yield pid
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _bare_read(path: Path) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def _measure(setting: Setting) -> Iterator[Taken]:
    vmas = setting.pick(_VMAS, 16_000)
    with process_of(vmas) as pid:
        path = Path(f"/proc/{pid}/maps")

        def read() -> int:
            return elapsed_ns(lambda: _bare_read(path))

        def parsed() -> int:
            return elapsed_ns(lambda: list(parse_maps(read_maps(pid))))

        if _READ.name in setting.chosen:
            for pair in by_turns(parsed, read, repetitions=setting.pick(15, 5)):
                yield _READ.name, pair
        if _PEER.name in setting.chosen:
            # Here only: it is built for x86-64 alone.
            import procmaps

            def by_peer() -> int:
                return elapsed_ns(lambda: procmaps.from_pid(pid))

            for pair in by_turns(parsed, by_peer, repetitions=setting.pick(15, 5)):
                yield _PEER.name, pair
        if _FRAME.name in setting.chosen:
            from harness.analysis import maps_frame

            def framed() -> int:
                return elapsed_ns(lambda: maps_frame(read_maps(pid)))

            for pair in by_turns(framed, read, repetitions=setting.pick(15, 5)):
                yield _FRAME.name, pair


PARSING = Subject(figures=(_READ, _PEER, _FRAME), measure=_measure, apart=True)
