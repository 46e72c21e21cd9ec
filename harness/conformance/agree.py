"""Runs random traces on real kernels until one diverges or all agree with the model."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice

from harness.conformance.playing import (
    EnoughSeen,
    Found,
    Playing,
    TraceTarget,
    diverging,
)
from harness.conformance.shrinking import shrink
from harness.divergence import Recording
from harness.errors import Stopped, UsageError
from harness.host.scratch import scratch_folder
from harness.workload.gen import Theme, traces
from harness.workload.ops import MOST_PAGES, Step

# A boot takes a second or two, so a guest runs many operations. It does not run more,
# because a late divergence in a long run takes long to play again.
_OPERATIONS_PER_GUEST = 10_000
_POLL_S = 0.5
# How many candidates one guest plays when a trace is made shorter.
_TOGETHER = 400


class _Died(EnoughSeen):
    """A guest, or a process of a trace, ended before the trace did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreePlan:
    """What to play: ``operations`` in traces of ``length``, on ``pages`` pages.

    ``guests`` run in parallel. After ``seconds``, no new guest starts.
    ``expected`` has the expected behaviour at the points where kernels differ.
    """

    operations: int
    seed: int
    pages: int = 32
    length: int = 400
    themes: tuple[Theme, ...] = tuple(Theme)
    guests: int = 1
    seconds: float | None = None
    expected: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 8 <= self.pages <= MOST_PAGES:
            raise UsageError(
                f"the arena must have 8 to {MOST_PAGES} pages, not {self.pages}"
            )


@dataclass(kw_only=True)
class Agreement:
    """The result of a plan; ``seconds`` is how long it took to play and check it.

    ``deaths`` counts guests and processes that ended early. Their trace is then
    played again. If they end early again, that is a divergence.
    """

    operations: int = 0
    by_content: int = 0
    traces: int = 0
    seconds: float = 0
    deaths: int = 0
    found: Found | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def agree(
    plan: AgreePlan,
    target: Callable[[threading.Event], TraceTarget],
    *,
    on_step: Callable[[str], None],
    keep: Callable[[Recording], None] | None = None,
) -> Agreement:
    """Play the plan in parallel guests, until the first divergence.

    ``keep`` gets a recording of every trace that was played. If nothing diverged, an
    exception of the target is raised.
    """
    agreement = Agreement()
    stop = threading.Event()
    started = time.monotonic()

    def on_found(found: Found) -> None:
        with agreement.lock:
            first = agreement.found is None
            if first:
                agreement.found = found
        stop.set()
        raise EnoughSeen

    def on_trace(checked: int, by_content: int) -> None:
        with agreement.lock:
            agreement.operations += checked
            agreement.by_content += by_content
            agreement.traces += 1
            elapsed = time.monotonic() - started
            of = "" if plan.seconds else f" of {plan.operations}"
            on_step(
                f"agreeing: {agreement.operations}{of} operations, "
                f"{agreement.operations / elapsed:.0f} per second"
            )

    batches = _batches(plan)

    busy: set[int] = set()

    def play_batches() -> None:
        busy.add(threading.get_ident())
        try:
            while not stop.is_set():
                elapsed = time.monotonic() - started
                if plan.seconds is not None and elapsed > plan.seconds:
                    return
                with agreement.lock:
                    batch = next(batches, None)
                if batch is None:
                    return
                play(batch)
        finally:
            busy.discard(threading.get_ident())

    def play(batch: list[tuple[Step, ...]], *, again: bool = False) -> None:
        def on_any(found: Found) -> None:
            died = found.divergence.kind == "died"
            if died and not (again and playing.at == 0):
                raise _Died(found.divergence.headline)
            on_found(found)

        playing = Playing(
            plan.pages, batch, on_any, on_trace, keep, expected=plan.expected
        )
        with scratch_folder() as scratch:
            try:
                playing.run(target(stop), scratch / "console.txt")
            except _Died as died:
                # A machine under load sometimes loses a guest. A bug in the kernel
                # shows up the second time too.
                with agreement.lock:
                    agreement.deaths += 1
                on_step(f"playing this trace again: {died}")
                play(batch[playing.at :], again=True)
            except (EnoughSeen, Stopped):
                if not stop.is_set():
                    raise
            except BaseException:
                stop.set()
                raise

    with ThreadPoolExecutor(plan.guests) as pool, _stopping(stop, busy):
        futures = [pool.submit(play_batches) for _ in range(plan.guests)]
        # The wait is short: Python handles a signal that comes just before the wait
        # only after it.
        while wait(futures, timeout=_POLL_S, return_when=FIRST_EXCEPTION).not_done:
            if any(f.done() and f.exception() for f in futures):
                stop.set()
                break
    # A divergence counts even if another guest failed in the meantime.
    if agreement.found is None:
        for future in futures:
            future.result()
    agreement.seconds = time.monotonic() - started
    return agreement


@contextlib.contextmanager
def _stopping(stop: threading.Event, busy: set[int]) -> Iterator[None]:
    # When this thread is interrupted, stop the guests. Otherwise the pool would wait
    # until they end by themselves. The pool does not know a thread that was being
    # started when the interrupt came, so wait until no guest is busy.
    try:
        yield
    except BaseException:
        stop.set()
        while busy:
            time.sleep(_POLL_S)
        raise


def _batches(plan: AgreePlan) -> Iterator[list[tuple[Step, ...]]]:
    all_traces = traces(
        plan.seed, plan.operations, pages=plan.pages, length=plan.length,
        themes=plan.themes,
    )  # fmt: skip
    operations = min(_OPERATIONS_PER_GUEST, -(-plan.operations // plan.guests))
    size = max(1, operations // plan.length)
    while batch := list(islice(all_traces, size)):
        yield batch


def shrunk(
    found: Found,
    target: Callable[[threading.Event], TraceTarget],
    *,
    on_step: Callable[[str], None],
) -> Iterator[Found]:
    """The same divergence with fewer and fewer steps, found on the same kernel.

    Raises what the target raises; the divergences yielded before stay valid.
    """

    def play(candidates: Sequence[Sequence[Step]]) -> dict[int, Found]:
        with scratch_folder() as scratch:
            return diverging(
                target(threading.Event()), found.recording.pages, candidates,
                scratch / "console.txt",
            )  # fmt: skip

    if found.divergence.kind == "probe":
        return iter([found])
    once = found.divergence.kind in ("complaint", "died")
    return shrink(found, play, together=1 if once else _TOGETHER, on_step=on_step)
