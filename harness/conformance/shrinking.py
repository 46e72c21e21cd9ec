"""Makes the trace of a divergence shorter: leaves out steps while it still diverges."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from harness.conformance.playing import Found
from harness.errors import UsageError
from harness.workload.ops import Step, check_steps

Play = Callable[[Sequence[Sequence[Step]]], dict[int, Found]]


def shrink(
    found: Found, play: Play, *, together: int, on_step: Callable[[str], None]
) -> Iterator[Found]:
    """Yield the same divergence with fewer and fewer steps.

    The first is without the steps after the divergence. The last has the fewest
    steps that leaving out can reach. ``play`` plays traces and returns those that
    diverge. It gets up to ``together`` traces per call; 1 if the kernel prints a
    warning only once per boot. A shorter trace is taken if it diverges at the same
    kind of operation in the same way.
    """
    best = _without_rest(found)
    yield best
    steps = best.recording.steps[: best.divergence.index + 1]
    pages = best.recording.pages
    size = max(1, len(steps) // 2)
    while True:
        on_step(f"shrinking: {len(steps)} steps, leaving out {size} at a time")
        shorter = _without_chunks(best, steps, size, play, together, pages)
        if shorter is not None:
            best = _without_rest(shorter)
            yield best
            steps = best.recording.steps[: best.divergence.index + 1]
            size = min(size, max(1, len(steps) // 2))
        elif size == 1:
            return
        else:
            size //= 2


def _without_rest(found: Found) -> Found:
    if found.divergence.kind == "died":
        # The step that caused the death may have no reported result.
        return found
    end = found.divergence.index + 1
    recording = replace(
        found.recording,
        steps=found.recording.steps[:end],
        seen=found.recording.seen[:end],
    )
    return replace(found, recording=recording)


def _without_chunks(
    best: Found,
    steps: Sequence[Step],
    size: int,
    play: Play,
    together: int,
    pages: int,
) -> Found | None:
    # The last step is the one that diverges.
    chunks = [range(at, min(at + size, len(steps) - 1))
              for at in range(0, len(steps) - 1, size)]  # fmt: skip
    single = {tuple(c): _without(steps, [c]) for c in chunks}
    removable = []
    best_found: Found | None = None
    for chunk, found in _played(single, play, together, pages, best).items():
        removable.append(range(chunk[0], chunk[-1] + 1))
        best_found = best_found or found
        if together == 1:
            return found
    if len(removable) > 1:
        # Each chunk can be left out alone. Now leave out as many as possible together.
        joint = {
            tuple(range(k)): _without(steps, removable[:k])
            for k in range(2, len(removable) + 1)
        }
        for found in _played(joint, play, together, pages, best).values():
            best_found = found
    return best_found


def _without(steps: Sequence[Step], chunks: Sequence[range]) -> list[Step]:
    left_out = {index for chunk in chunks for index in chunk}
    return [step for index, step in enumerate(steps) if index not in left_out]


def _played(
    candidates: dict[tuple[int, ...], list[Step]],
    play: Play,
    together: int,
    pages: int,
    best: Found,
) -> dict[tuple[int, ...], Found]:
    # The candidates that diverge as ``best`` does, in the order of ``candidates``.
    playable = {}
    for key, steps in candidates.items():
        try:
            check_steps(steps, pages)
        except UsageError:
            continue
        playable[key] = steps
    keys = list(playable)
    same: dict[tuple[int, ...], Found] = {}
    for at in range(0, len(keys), together):
        batch = keys[at : at + together]
        for index, found in play([playable[key] for key in batch]).items():
            if _alike(found, best):
                same[batch[index]] = found
        if same and together == 1:
            break
    return same


def _alike(one: Found, other: Found) -> bool:
    a, b = one.divergence, other.divergence
    return (a.kind, a.step.word) == (b.kind, b.step.word)
