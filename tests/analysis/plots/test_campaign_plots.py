from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from harness.analysis import aa_checks, cell_costs, cell_effects, load, slopes
from harness.analysis.plots.campaign_plots import (
    plot_aa,
    plot_costs,
    plot_effects,
    plot_lengths,
    plot_order,
    plot_published,
    plot_scale,
    plot_slopes,
)
from harness.analysis.plots.style import (
    BLUE,
    COLOURS,
    GRAY,
    INK,
    MARKERS,
    ORANGE,
    cut,
    drawn,
)
from harness.analysis.plots.svg import svg_files, svg_of
from tests.analysis.campaigns import DATA, HOSTILE, clocks_report

PUBLISHED = load(DATA / "published-6.12-arm64.parquet")
SHARING = load(DATA / "sharing-6.12-arm64.parquet")
LENGTH = load(DATA / "length-6.12-arm64.parquet")
LIFECYCLE = load(DATA / "lifecycle-6.12-arm64.parquet")

PLOTS: dict[str, Callable[[], Figure]] = {
    "slopes": lambda: plot_slopes(slopes(SHARING)),
    "effects": lambda: plot_effects(cell_effects(SHARING, margin=2)),
    "lengths": lambda: plot_lengths(cell_effects(LENGTH, margin=2)),
    "lengths of sharing": lambda: plot_lengths(cell_effects(SHARING, margin=2)),
    "scale": lambda: plot_scale(cell_effects(SHARING, margin=2)),
    "published": lambda: plot_published(cell_effects(PUBLISHED, margin=2)),
    "costs": lambda: plot_costs(cell_costs(LIFECYCLE, margin=2, metric="name")),
    "aa": lambda: plot_aa(aa_checks(PUBLISHED, margin=2)),
    "order": lambda: plot_order(LIFECYCLE),
}


_NO_MARKS = ("None", "|", "_")


def contrast(one: str, other: str) -> float:
    """How far two colours lie apart (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in parts
        ]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colour", [BLUE, ORANGE, GRAY])
@pytest.mark.parametrize("ground", ["#ffffff", "#121417", "#0d1117"])
def test_colours_are_seen_on_light_and_on_dark_ground(colour: str, ground: str) -> None:
    assert contrast(colour, ground) >= 3


def test_stores_are_told_apart_without_colour() -> None:
    stores = ("strdup", "refcounted", "unnamed")
    assert len(set("".join(MARKERS[store] for store in stores))) == 12
    assert len({COLOURS[store] for store in stores}) == 3


@pytest.mark.long
@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_the_same_svg_each_time_and_has_the_ink_of_its_page(
    name: str,
) -> None:
    text = svg_of(PLOTS[name](), "what it shows")

    assert text.startswith('<svg role="img" aria-label="what it shows"')
    assert text.rstrip().endswith("</svg>")
    assert "<script" not in text
    assert "<text" in text
    assert INK not in text
    assert "currentColor" in text
    assert svg_of(PLOTS[name](), "what it shows") == text


@pytest.mark.parametrize(
    "name", ["lengths", "lengths of sharing", "scale", "slopes"],
)  # fmt: skip
def test_no_line_joins_two_kinds_and_no_two_lines_look_alike(name: str) -> None:
    figure = PLOTS[name]()
    (ax,), (legend,) = figure.axes, figure.legends

    labels = [text.get_text() for text in legend.get_texts()]
    # Whiskers, their ends, and what marks slab classes are no lines of data.
    told = [line for line in ax.lines if str(line.get_marker()) not in _NO_MARKS]
    looks = [(ln.get_color(), ln.get_marker(), ln.get_linestyle()) for ln in told]
    assert len(told) == len(labels) == len(set(labels)) == len(set(looks))
    for line in told:
        # One point for each length, or count: of two kinds there would be two.
        at = np.asarray(line.get_xdata()).tolist()
        assert len(at) == len(set(at))


@pytest.mark.long
def test_clocks_have_panels_of_their_own_time_first() -> None:
    figure = plot_published(clocks_report().evidence.effects("fork"))

    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert [title.split(": ")[1].split("\n")[0] for title in titles] == [
        "time", "instructions",
    ]  # fmt: skip


def test_what_was_not_measured_is_no_bar() -> None:
    uml = load(DATA / "published-6.12-uml.parquet")

    figure = plot_published(cell_effects(uml, margin=2))

    (ax,) = figure.axes
    texts = [text.get_text() for text in ax.texts]
    assert texts.count("not measured") == 4
    # Six published bars, two measured ones.
    assert len(ax.patches) == 8


def test_names_of_figures_are_text() -> None:
    @drawn
    def plot() -> Figure:
        figure = Figure()
        figure.add_subplot().set_title(cut(HOSTILE, 90))
        return figure

    for text in (svg_of(plot(), HOSTILE), *svg_files(plot(), HOSTILE)):
        assert "<script" not in text
        assert "\x1b" not in text
        assert "$x_1$" in text


def test_a_file_for_dark_ground_differs_in_its_ink_only() -> None:
    light, dark = svg_files(PLOTS["published"](), "bars")

    assert light != dark
    assert light.replace(INK, "#e6edf3") == dark
    assert "<text" not in light
    assert "<title>bars</title>" in light
