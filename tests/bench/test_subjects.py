from pathlib import Path

import pytest

from harness.analysis import load
from harness.maps import parse_maps
from harness.workload import layout_of, naming_from_label
from tests.bench.figures import Kind, Verdict, judge
from tests.bench.growth import line_through, pairs_on_line
from tests.bench.judging import judge_well, one_pass, recording_of
from tests.bench.loading import write_campaign
from tests.bench.subjects import SUBJECTS
from tests.bench.text import text_of

NAMING = naming_from_label("distinct:79")
LAYOUT = layout_of(10, 0)


def test_no_two_rows_have_one_name() -> None:
    names = [figure.name for subject in SUBJECTS for figure in subject.figures]

    assert len(names) == len(set(names))


def test_what_is_judged_is_what_the_model_says() -> None:
    judge_well(recording_of(LAYOUT, NAMING))


def test_a_recording_that_is_not_so_is_not_timed() -> None:
    recording = recording_of(LAYOUT, naming_from_label("distinct:78"))
    other = recording_of(LAYOUT, NAMING)

    with pytest.raises(AssertionError):
        judge_well(type(recording)(
            pages=other.pages, steps=other.steps, kernel=other.kernel,
            seen=recording.seen,
        ))  # fmt: skip


def test_the_one_pass_looks_at_the_entries() -> None:
    entries = list(parse_maps(text_of(LAYOUT, NAMING)))

    one_pass(entries, LAYOUT, NAMING)
    with pytest.raises(AssertionError):
        one_pass(entries, LAYOUT, naming_from_label("distinct:78"))


def test_a_written_campaign_is_one_that_loads(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    write_campaign(path, 200)

    frame = load(path)

    assert len(frame) == 297
    assert frame["run_valid"].all()
    assert frame["run"].nunique() == 3
    assert frame["value"].nunique() > 200


def test_a_straight_line_is_its_own() -> None:
    sizes = [1_000, 4_000, 65_536]

    assert line_through(sizes, [5 + 3 * size for size in sizes]) == pytest.approx(
        [5 + 3 * size for size in sizes]
    )


def test_what_grows_with_the_square_misses() -> None:
    (growth,) = [s for s in SUBJECTS if s.figures[0].name == "growth-build"]
    costs = {n: float(n * n) for n in (1_000, 4_000, 16_000, 65_536)}

    result = judge(growth.figures[0], list(pairs_on_line(0, costs)))

    assert growth.figures[0].kind is Kind.AT_MOST
    assert result.verdict is Verdict.MISSED
