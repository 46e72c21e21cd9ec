import pytest

from harness.divergence import Divergence
from harness.divergence.drawing import draw
from harness.model import Shown
from harness.workload.ops import PAGE, Fork, Op, SetName, Step, Unmap

STEP = Step(0, SetName(2, 2 * PAGE, "a"))
BEFORE = (Shown(0, 12, "rw-p", 0, ""),)
EXPECTED = (
    Shown(0, 2, "rw-p", 0, ""),
    Shown(2, 4, "rw-p", 0, "[anon:a]"),
    Shown(4, 12, "rw-p", 0, ""),
)


def test_a_divergence_is_drawn_with_a_column_a_page() -> None:
    seen = (
        EXPECTED[0],
        Shown(2, 4, "r--p", 0, "[anon:a]"),
        Shown(6, 12, "rw-p", 0, ""),
    )
    divergence = Divergence(
        kind="content", index=1, step=STEP, who=0, before=BEFORE, expected=EXPECTED,
        seen=seen,
    )  # fmt: skip

    assert draw(divergence, 12).split("\n") == [
        f"step      {STEP}",
        "          0         10",
        "          |         |         ",
        "before    Aaaaaaaaaaaa",
        "expected  AaBbAaaaaaaa",
        "seen      AaCc..Aaaaaa",
        "        a rw-p (no name)",
        "        b rw-p [anon:a]",
        "        c r--p [anon:a]",
    ]


def test_where_outcomes_part_nothing_was_seen() -> None:
    divergence = Divergence(
        kind="outcome", index=1, step=STEP, who=0, before=BEFORE, expected=EXPECTED
    )

    rows = draw(divergence, 12).split("\n")

    assert [row.split()[0] for row in rows[3:5]] == ["before", "expected"]
    assert not any(row.startswith("seen") for row in rows)


def test_of_a_wide_arena_the_part_that_differs_is_drawn() -> None:
    before = tuple(Shown(n, n + 1, "rw-p", 0, f"[anon:{n}]") for n in range(1000))
    seen = (*before[:500], *before[501:])
    divergence = Divergence(
        kind="content", index=0, step=STEP, who=0, before=before, expected=before,
        seen=seen,
    )  # fmt: skip

    rows = draw(divergence, 1000).split("\n")

    assert rows[1].split()[0] == "480"
    drawn = {row.split()[0]: row[10:] for row in rows[3:6]}
    assert drawn["seen"][20] == "."
    assert drawn["seen"][:20] == drawn["expected"][:20]
    assert len(drawn["seen"]) == 100
    assert all(len(row) <= 110 for row in rows)


WIDE = (Shown(0, 500, "rw-p", 0, ""), Shown(500, 900, "r--p", 0, ""))


@pytest.mark.parametrize(
    ("seen", "first"),
    [
        ((*WIDE, Shown(900, 910, "r--p", 0, "[anon:a]")), 880),
        (WIDE[:1], 480),
        ((), 0),
        ((WIDE[0], WIDE[1]._replace(end=800)), 780),
        ((WIDE[0], WIDE[1]._replace(start=510)), 480),
        ((WIDE[0]._replace(path="[anon:a]"), WIDE[1]), 0),
    ],
)
def test_wherever_shapes_part_the_place_is_drawn(
    seen: tuple[Shown, ...], first: int
) -> None:
    divergence = Divergence(
        kind="content", index=0, step=STEP, who=0, before=WIDE, expected=WIDE, seen=seen
    )

    ruler = draw(divergence, 1000).split("\n")[1]

    assert ruler.split()[0] == str(first)


@pytest.mark.parametrize(
    ("op", "first"), [(Unmap(700, 2), "680"), (Unmap(5, 2), "0"), (Fork(1), "0")]
)
def test_where_outcomes_part_the_step_s_own_page_is_drawn(op: Op, first: str) -> None:
    divergence = Divergence(
        kind="outcome", index=0, step=Step(0, op), who=0, before=WIDE, expected=WIDE
    )

    assert draw(divergence, 1000).split("\n")[1].split()[0] == first


def test_the_end_of_a_wide_arena_is_drawn_whole() -> None:
    before = (Shown(0, 1000, "rw-p", 0, ""),)
    seen = (Shown(0, 999, "rw-p", 0, ""), Shown(999, 1000, "rw-p", 0, ""))
    divergence = Divergence(
        kind="shape", index=0, step=STEP, who=0, before=before, expected=before,
        seen=seen,
    )  # fmt: skip

    rows = draw(divergence, 1000).split("\n")

    assert len(rows[3][10:]) == 100


def test_nothing_at_all_is_drawn_as_a_hole() -> None:
    divergence = Divergence(kind="content", index=0, step=STEP, who=0)

    assert "expected  ........" in draw(divergence, 8).split("\n")
