"""What replaying a trace and judging it costs, beside looking at every entry once."""

from collections.abc import Iterator

from harness.conformance.replaying import check_recording
from harness.divergence import Recording
from harness.divergence.recording import Change, Seen
from harness.maps import MapsEntry, parse_maps
from harness.workload import Layout, NamingScheme, layout_of, naming_from_label
from harness.workload.layout_steps import layout_steps
from tests.bench.figures import Figure, Kind
from tests.bench.taking import Setting, Subject, Taken, by_turns, elapsed_ns
from tests.bench.text import START, entries_of, text_of

_FIGURE = Figure(
    name="judge",
    what="replay and judge the process of 65 536 VMAs, distinct:79",
    against="one pass over its parsed entries in plain Python",
    kind=Kind.AT_MOST,
    reach=4,
)


def recording_of(layout: Layout, naming: NamingScheme) -> Recording:
    """What a player writes of a layout whose maps are looked at in the end."""
    steps = layout_steps(layout, naming)
    lines = tuple(text_of(layout, naming).decode("latin-1").splitlines())
    unseen = Seen(0, (), looked=False)
    last = Seen(0, (Change(0, 0, 0, lines),))
    return Recording(
        pages=layout.arena_pages,
        steps=steps,
        kernel={"behaviour": {}, "start": START, "file": "/file"},
        seen=(*(unseen for _ in steps[1:]), last),
    )


def judge_well(recording: Recording) -> None:
    """Judge it, and do not take a divergence for speed."""
    found = check_recording(recording)
    assert found is None, found.divergence.headline


def one_pass(entries: list[MapsEntry], layout: Layout, naming: NamingScheme) -> None:
    """Hold every entry, all of its fields, against the one that should be there."""
    for entry, expected in zip(entries, entries_of(layout, naming), strict=True):
        if entry != expected:
            raise AssertionError(f"{entry} should be {expected}")


def _measure(setting: Setting) -> Iterator[Taken]:
    layout = layout_of(setting.pick(65_536, 16_000), 0)
    naming = naming_from_label("distinct:79")
    recording = recording_of(layout, naming)
    entries = list(parse_maps(text_of(layout, naming)))
    for pair in by_turns(
        lambda: elapsed_ns(lambda: judge_well(recording)),
        lambda: elapsed_ns(lambda: one_pass(entries, layout, naming)),
        repetitions=setting.pick(9, 3),
    ):
        yield _FIGURE.name, pair


JUDGING = Subject(figures=(_FIGURE,), measure=_measure)
