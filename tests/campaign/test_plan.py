from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

from harness.campaign import Plan, preset_names, read_plan, read_preset
from harness.errors import UsageError
from harness.kbuild import base_names, variant_named, variant_names
from harness.worker.measure import PlannedCell
from harness.workload import Cell, Store, layout_of, naming_from_label

BOTH = (Store.REFCOUNTED, Store.STRDUP)


def test_nothing_given_is_the_published_experiment_in_the_switch_kernel() -> None:
    assert Plan() == Plan(
        variants=("switch",),
        bases=("6.12",),
        vmas=(1_000, 4_000, 16_000, 65_536),
        pages=(0,),
        naming=("distinct:63", "distinct:79"),
        boots=4,
        blocks=1,
        warmups=1,
        repetitions=4,
        seed=1,
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"variants": ()}, "variants is empty"),
        ({"vmas": ()}, "vmas is empty"),
        ({"pages": ()}, "pages is empty"),
        ({"naming": ()}, "naming is empty"),
        ({"bases": ()}, "bases is empty"),
        ({"variants": ("none", "none")}, "variants has a value twice"),
        ({"vmas": (5, 5)}, "vmas has a value twice"),
        ({"pages": (0, 1, 0)}, "pages has a value twice"),
        ({"naming": ("shared:5", "shared:5")}, "naming has a value twice"),
        ({"naming": ("shared:5", "shared:05")}, "naming has a value twice"),
        ({"boots": 0}, "boots must be at least 1, not 0"),
        ({"blocks": 0}, "blocks must be at least 1, not 0"),
        ({"warmups": -1}, "warmups must be at least 0, not -1"),
        ({"repetitions": 0}, "repetitions must be at least 1, not 0"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"seed": 2**64}, "seed must be at most 9223372036854775807"),
        ({"seed": 10**5000}, "not a number of 16610 bits"),
        ({"margin": float("nan")}, "margin must be at least 0.0, not nan"),
        ({"margin": float("inf")}, "margin must be at most"),
        ({"boots": 10**9}, "a campaign has at most 1000000 processes"),
        ({"boots": 10**18}, "boots must be at most 1000000000"),
        ({"vmas": (10**12,)}, "vmas must be at most 16777216"),
        ({"pages": (10**12,)}, "do not fit in an address space"),
        ({"bases": ("5.4",)}, "no base is called '5.4'; known: 6.1, 6.12"),
        ({"variants": ("odd",)}, "no variant is called 'odd'; known: none, refcount"),
        ({"vmas": (0,)}, "at least 1 VMA, not 0"),
        ({"pages": (-1,)}, "-1 pages cannot be written"),
        ({"naming": ("distinct",)}, "'distinct' is not a naming scheme"),
        ({"naming": ("distinct:80",)}, "0 to 79 bytes long, not 80"),
        (
            {"naming": ("distinct:1",), "vmas": (63,)},
            "not enough different names of 1 bytes for VMA 62",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_plan_that_cannot_be_run_is_refused(
    fields: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError) as raised:
        Plan(**fields)  # type: ignore[arg-type]  # wrong on purpose

    assert words in str(raised.value)


def test_each_layout_is_unnamed_twice_and_has_each_scheme_once_a_store() -> None:
    plan = Plan(vmas=(10, 20), pages=(0, 3), naming=("shared:9", "distinct:9"))

    cells = plan.cells(BOTH)

    layouts = [layout_of(vmas, pages) for vmas in (10, 20) for pages in (0, 3)]
    unnamed = [(Store.REFCOUNTED, layout, "none") for layout in layouts]
    named = [
        (store, layout, label)
        for store in BOTH
        for layout in layouts
        for label in ("shared:9", "distinct:9")
    ]
    assert Counter(cells) == Counter(
        Cell(store=store, layout=layout, naming=naming_from_label(label))
        for store, layout, label in unnamed + unnamed + named
    )


def test_naming_none_asks_for_no_more_than_the_unnamed_cells() -> None:
    cells = Plan(vmas=(10,), naming=("none",)).cells(BOTH)

    assert [cell.named for cell in cells] == [False, False]


@pytest.mark.parametrize(
    ("variant", "stores"),
    [("refcount", {Store.REFCOUNTED}), ("strdup", {Store.STRDUP}), ("switch", {*BOTH})],
)
def test_names_are_measured_in_the_stores_that_the_variant_has(
    variant: str, stores: set[Store]
) -> None:
    cells = Plan(variants=(variant,)).cells(variant_named(variant).stores)

    assert {cell.store for cell in cells if cell.named} == stores
    assert {cell.store for cell in cells} == stores


def test_the_variant_without_names_is_measured_unnamed_only() -> None:
    cells = Plan(variants=("none",), vmas=(10, 20)).cells((Store.ABSENT,))

    assert [cell.label for cell in cells] == [
        "absent, 10 VMAs of 1 pages (0 written), naming none",
        "absent, 10 VMAs of 1 pages (0 written), naming none",
        "absent, 20 VMAs of 1 pages (0 written), naming none",
        "absent, 20 VMAs of 1 pages (0 written), naming none",
    ]


def test_every_variant_and_base_there_is_can_be_planned() -> None:
    Plan(variants=tuple(variant_names()), bases=tuple(base_names()))


VARIANTS = ("none", "refcount", "strdup", "switch")


def test_in_each_round_of_boots_each_variant_is_booted_once() -> None:
    order = Plan(boots=5).boots_in_order(VARIANTS)

    assert [number for number, _ in order] == list(range(20))
    rounds = [[v for _, v in order[at : at + 4]] for at in range(0, 20, 4)]
    assert [sorted(members) for members in rounds] == [sorted(VARIANTS)] * 5
    assert len({tuple(members) for members in rounds}) > 1


def test_in_each_block_of_a_boot_each_cell_is_run_once() -> None:
    plan = Plan(blocks=3)

    planned = plan.cells_of_boot(2, BOTH)

    cells = plan.cells(BOTH)
    count = len(cells)
    assert [p.block for p in planned] == [0] * count + [1] * count + [2] * count
    blocks = [[p.cell for p in planned if p.block == block] for block in range(3)]
    assert [Counter(members) for members in blocks] == [Counter(cells)] * 3
    assert blocks[0] != blocks[1] != blocks[2]


def test_the_order_is_the_seed_s() -> None:
    def order(seed: int) -> tuple[list[tuple[int, str]], tuple[PlannedCell, ...]]:
        plan = Plan(boots=5, seed=seed)
        return plan.boots_in_order(VARIANTS), plan.cells_of_boot(0, BOTH)

    assert order(7) == order(7)
    assert order(7)[0] != order(8)[0]
    assert order(7)[1] != order(8)[1]


def test_every_boot_has_an_order_of_its_own() -> None:
    plan = Plan()

    assert plan.cells_of_boot(0, BOTH) != plan.cells_of_boot(1, BOTH)


def test_a_plan_file_gives_the_fields_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        'variants = ["none", "switch"]\nvmas = [10, 20]\nbases = ["6.1"]\nboots = 2\n'
    )

    given = read_plan(path)

    assert given == {
        "variants": ("none", "switch"), "vmas": (10, 20), "bases": ("6.1",), "boots": 2
    }  # fmt: skip


def test_a_plan_file_may_give_its_one_base_as_a_word(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text('base = "6.1"\n')

    assert read_plan(tmp_path / "plan.toml") == {"bases": ("6.1",)}


NUMBERS = [f.name for f in fields(Plan) if type(f.default) is float]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_whole_number_is_taken_where_any_number_is(name: str, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(f"{name} = 3\n")

    (value,) = read_plan(tmp_path / "plan.toml").values()

    assert (value, type(value)) == (3.0, float)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_whole_number_that_no_float_holds_is_out_of_range(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "plan.toml").write_text(f"{name} = 1{'0' * 400}\n")

    with pytest.raises(UsageError, match="must be at most"):
        Plan(**read_plan(tmp_path / "plan.toml"))  # type: ignore[arg-type]


def test_an_empty_plan_file_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").touch()

    assert read_plan(tmp_path / "plan.toml") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vma = [1]", "unknown key 'vma'; known: bases, blocks, boots"),
        ("vmas = 1", "vmas should be a list of whole numbers, not 1"),
        ("vmas = [1.0]", "vmas should be a list of whole numbers, not [1.0]"),
        ("vmas = [true]", "vmas should be a list of whole numbers"),
        ('vmas = ["1"]', "vmas should be a list of whole numbers"),
        ("naming = [79]", "naming should be a list of strings"),
        ('variants = "switch"', "variants should be a list of strings"),
        ("boots = true", "boots should be a whole number, not True"),
        ("boots = 1.0", "boots should be a whole number, not 1.0"),
        ('boots = "1"', "boots should be a whole number, not '1'"),
        ("margin = true", "margin should be a number, not True"),
        ('margin = "2"', "margin should be a number, not '2'"),
        ("bases = [6.12]", "bases should be a list of strings"),
        ("base = 6.12", "base should be a string, not 6.12"),
        ('base = "6.1"\nbases = ["6.12"]', "give base or bases, not both"),
        ("boots", "is not TOML"),
        ("boots = 1\nboots = 2", "is not TOML"),
    ],
)
def test_a_plan_file_that_says_something_else_is_refused_by_its_name(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)

    with pytest.raises(UsageError) as raised:
        read_plan(path)

    assert words in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_plan_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(UsageError, match="is not TOML"):
        read_plan(path)


def test_a_plan_file_that_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*No such file or directory"):
        read_plan(tmp_path / "plan.toml")
    with pytest.raises(UsageError, match=r"cannot read .*Is a directory"):
        read_plan(tmp_path)


@pytest.mark.parametrize("name", preset_names())
def test_every_campaign_that_comes_with_us_is_a_plan(name: str) -> None:
    plan = Plan(**read_preset(name))  # type: ignore[arg-type]

    assert plan.margin == 2.0
    assert name == "bystanders" or plan.names


def test_an_unknown_campaign_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"known: bystanders, length, lifecycle"):
        read_preset("odd")
