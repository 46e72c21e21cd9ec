from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.kselftest.ktap import (
    Directive,
    Outcome,
    Report,
    Result,
    parse_ktap,
    render_ktap,
    render_opening,
    render_result,
)

PASSED = Result(ok=True, number=1, name="vma.renaming")


def parse(*lines: str) -> Report:
    return parse_ktap("".join(f"{line}\n" for line in lines).encode())


def test_what_a_selftest_prints_is_a_report_with_its_notes_in_place() -> None:
    report = parse(
        "TAP version 13",
        "1..1",
        "# Starting 1 tests from 1 test cases.",
        "#  RUN           vma.renaming ...",
        "ok 1 vma.renaming",
        "# PASSED: 1 / 1 tests passed.",
    )

    assert report == Report(
        plan=1,
        results=(
            Result(
                ok=True, number=1, name="vma.renaming",
                notes=(
                    "Starting 1 tests from 1 test cases.",
                    " RUN           vma.renaming ...",
                ),
            ),
        ),
        notes=("PASSED: 1 / 1 tests passed.",),
    )  # fmt: skip
    assert report.outcome is Outcome.PASS


def test_subtests_lie_in_their_result_at_any_depth() -> None:
    report = parse(
        "KTAP version 1",
        "1..2",
        "  KTAP version 1",
        "  1..2",
        "    KTAP version 1",
        "    1..1",
        "    ok 1 innermost",
        "  ok 1 inner",
        "  ok 2 other # SKIP no such thing",
        "ok 1 outer",
        "ok 2 last",
    )

    innermost = Report(plan=1, results=(Result(ok=True, number=1, name="innermost"),))
    inner = Report(
        plan=2,
        results=(
            Result(ok=True, number=1, name="inner", subtests=innermost),
            Result(
                ok=True, number=2, name="other", directive=Directive.SKIP,
                remark="no such thing",
            ),
        ),
    )  # fmt: skip
    assert report == Report(
        plan=2,
        results=(
            Result(ok=True, number=1, name="outer", subtests=inner),
            Result(ok=True, number=2, name="last"),
        ),
    )


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("ok 1", Outcome.PASS),
        ("ok 1 - named", Outcome.PASS),
        ("ok 1 check return code # rcode=0", Outcome.PASS),
        ("ok 1 odd # NOSUCH directive", Outcome.PASS),
        ("not ok 1 plain", Outcome.FAIL),
        ("not ok 1 odd # NOSUCH directive", Outcome.FAIL),
        ("ok 1 late # TIMEOUT 30 seconds", Outcome.FAIL),
        ("ok 1 broken # ERROR", Outcome.FAIL),
        ("ok 1 # SKIP", Outcome.NEITHER),
        ("not ok 1 a # skip why", Outcome.NEITHER),
        ("not ok 1 a # TODO", Outcome.NEITHER),
        ("ok 1 a # XFAIL known", Outcome.NEITHER),
    ],
)
def test_a_result_is_what_its_directive_makes_of_it(
    line: str, outcome: Outcome
) -> None:
    report = parse("KTAP version 1", "1..1", line)

    assert report.faults == ()
    assert [result.outcome for result in report.results] == [outcome]
    assert report.outcome is outcome


def test_a_report_passes_only_where_something_did() -> None:
    some = ("KTAP version 1", "1..2", "ok 1 a # SKIP", "ok 2 b")

    assert parse(*some).outcome is Outcome.PASS
    assert parse(*some[:3], "ok 2 b # SKIP").outcome is Outcome.NEITHER
    assert parse(*some[:3], "not ok 2 b").outcome is Outcome.FAIL
    assert parse("TAP version 13", "1..0 # SKIP no prctl") == Report(
        plan=0, skipped="no prctl"
    )
    assert parse("TAP version 13", "1..0 # SKIP").outcome is Outcome.NEITHER


@pytest.mark.parametrize(
    "inner",
    [("1..1", "not ok 1 a"), ("1..2", "ok 1 a"), ("1..1", "ok 1 a # TIMEOUT")],
)
def test_a_result_fails_with_its_subtests_whatever_it_says(
    inner: tuple[str, ...],
) -> None:
    lines = (f"  {line}" for line in ("KTAP version 1", *inner))

    report = parse("KTAP version 1", "1..1", *lines, "ok 1 all is well")

    assert report.results[0].ok
    assert report.outcome is Outcome.FAIL


VERSION = "KTAP version 1"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ((), "no version line"),
        ((VERSION,), "no plan"),
        (("1..1", "ok 1 a"), "no version line"),
        ((VERSION, "ok 1 a"), "no plan"),
        ((VERSION, "1..2", "ok 1 a"), "the plan is 1..2, but got 1 results"),
        ((VERSION, "1..0", "ok 1 a"), "the plan is 1..0, but got 1 results"),
        ((VERSION, "1..0"), "a plan of 0 tests without SKIP"),
        ((VERSION, "ok 1 a", "1..1"), "the plan does not follow the version line"),
        ((VERSION, "1..1", "1..1", "ok 1 a"), "a second plan"),
        ((VERSION, "1..1", "ok 1 a", VERSION), "a second version line"),
        (("ok 1 a", VERSION, "1..1"), "a result before the version line"),
        ((VERSION, "1..1", "ok 2 a"), "a result has number 2, expected 1"),
        ((VERSION, "1..2", "ok 1 a", "ok 1 a"), "a result has number 1, expected 2"),
        ((VERSION, "1..1", "ok 1 a", "Bail out! no mmap"), "Bail out! no mmap"),
        ((VERSION, "1..1", "  not ok 1 a", "ok 1 b"),
         "a line that belongs to no report: not ok 1 a"),
        ((VERSION, "1..1", "ok 1 a", f"    {VERSION}"),
         f"a line that belongs to no report: {VERSION}"),
        ((VERSION, "1..1", "ok 1 a", f"  {VERSION}", "  1..1", "  ok 1 b"),
         "subtests without a result after them"),
    ],
)  # fmt: skip
def test_what_the_protocol_does_not_allow_is_a_fault_and_fails(
    lines: tuple[str, ...], fault: str
) -> None:
    report = parse(*lines)

    assert fault in report.faults
    assert report.outcome is Outcome.FAIL
    assert f"# fault: {fault}\n" in render_ktap(report)


def test_lines_that_are_none_of_the_protocol_s_change_no_result() -> None:
    report = parse(
        "[    0.1] early words",
        VERSION,
        "1..1",
        "## /proc/self/maps file opening error",
        "",
        "   1..x",
        "ok1 a",
        "ok 1 a",
    )

    assert report.outcome is Outcome.PASS
    assert report.results[0].notes == (
        "[    0.1] early words",
        "# /proc/self/maps file opening error",
        "1..x",
        "ok1 a",
    )


@pytest.mark.parametrize(
    "hostile",
    [b"\x1b[2J", b"\r", b"\xff\x9b31m", "\N{RIGHT-TO-LEFT OVERRIDE}".encode(), b"\0"],
)
def test_nothing_that_could_steer_a_terminal_is_left_anywhere(hostile: bytes) -> None:
    report = parse_ktap(
        b"KTAP version 1\n1..1\n# a %b\nok 1 b%b # SKIP %b\nc %b\nBail out! %b\n"
        % ((hostile,) * 5)
    )

    shown = render_ktap(report)
    assert shown.replace("\n", "").isprintable()
    assert [line[:4] for line in shown.splitlines()] == [
        "KTAP", "1..1", "# a ", "ok 1", "# c ", "# Ba", "# fa",
    ]  # fmt: skip


def test_a_result_s_line_is_indented_no_further_than_it_may_be() -> None:
    """Reports that lie in one another without end are read as far as makes sense."""
    deep = [f"{'  ' * depth}{VERSION}" for depth in range(2000)]

    assert parse(*deep).outcome is Outcome.FAIL


def test_three_levels_shaped_as_in_the_specification_are_read_as_it_says() -> None:
    example = Path(__file__).parents[1] / "data" / "ktap" / "example.ktap"

    report = parse_ktap(example.read_bytes())

    assert report.faults == ()
    (main,) = report.results
    assert (main.name, main.outcome) == ("main_test", Outcome.FAIL)
    assert main.subtests is not None
    assert [(test.name, test.outcome) for test in main.subtests.results] == [
        ("first", Outcome.PASS), ("second", Outcome.PASS), ("third", Outcome.FAIL),
    ]  # fmt: skip


words = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="#"), min_size=1
).filter(lambda word: word.isprintable() and word.upper() not in Directive.__members__)
phrases = st.lists(words, min_size=1, max_size=3).map(" ".join)
notes = st.lists(phrases, max_size=2).map(tuple)


def results(subtests: st.SearchStrategy[Report]) -> st.SearchStrategy[Result]:
    return st.builds(
        Result,
        ok=st.booleans(),
        number=st.just(1),
        name=st.one_of(st.just(""), phrases),
        directive=st.one_of(st.none(), st.sampled_from(Directive)),
        remark=st.one_of(st.just(""), phrases),
        notes=notes,
        subtests=st.one_of(st.none(), subtests),
    )


def numbered(members: list[Result], after: tuple[str, ...], why: str) -> Report:
    return Report(
        plan=len(members),
        results=tuple(
            Result(
                ok=result.ok, number=number, name=result.name,
                directive=result.directive, remark=result.remark,
                notes=result.notes, subtests=result.subtests,
            )
            for number, result in enumerate(members, 1)
        ),
        notes=after,
        skipped="" if members else why,
    )  # fmt: skip


def reports_of(subtests: st.SearchStrategy[Report]) -> st.SearchStrategy[Report]:
    return st.builds(numbered, st.lists(results(subtests), max_size=3), notes, phrases)


reports = st.recursive(reports_of(st.nothing()), reports_of, max_leaves=6)


@pytest.mark.long
@given(reports)
def test_what_is_rendered_is_read_as_the_same_report(report: Report) -> None:
    text = render_ktap(report)

    assert parse_ktap(text.encode()) == report
    assert render_ktap(parse_ktap(text.encode())) == text


@given(
    st.lists(
        st.sampled_from(
            [VERSION, "1..1", "ok 1 a", "not ok 2", "Bail out!", "# x", "\x1b", "\xa0"]
        ).flatmap(lambda line: st.integers(0, 5).map(lambda n: " " * n + line))
    )
)
def test_whatever_was_printed_is_rendered_safely_inside_one_result(
    lines: list[str],
) -> None:
    """A guest cannot write a result of the report that its own is put in."""
    inner = parse(*lines)
    outer = Result(ok=inner.outcome is Outcome.PASS, number=1, subtests=inner)

    shown = render_opening(1) + render_result(outer)

    assert shown.replace("\n", "").isprintable()
    outermost = [line for line in shown.splitlines() if not line.startswith("  ")]
    assert outermost == [VERSION, "1..1", f"{'' if outer.ok else 'not '}ok 1"]
    assert parse_ktap(shown.encode()).outcome is outer.outcome
