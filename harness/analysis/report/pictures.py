"""The figures of a page, with descriptions for readers who cannot see them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from harness.analysis.aa_check import AACheck
from harness.analysis.costs import Cost
from harness.analysis.display.formats import PER_VMA, bounds, per_vma, percent, shown
from harness.analysis.effects import Effect
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
from harness.analysis.plots.svg import svg_of
from harness.analysis.processes import PLACE, Place, place_of, time_first
from harness.analysis.published import PUBLISHED_PERCENT, like_2021, published_percent
from harness.analysis.records.frames import usable
from harness.analysis.report.topic import Evidence, Topic
from harness.analysis.slopes import Slope

_T = TypeVar("_T", Effect, Slope, AACheck, Cost)
# The most values in a description; the tables have all of them.
_MOST_DESCRIBED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One figure of the page: its panels as SVG, and its caption."""

    panels: tuple[Markup, ...]
    caption: str


def first_pictures(evidence: Evidence) -> list[Picture]:
    """The figure that fits a campaign's question; none without samples of fork."""
    effects = evidence.effects("fork")
    match evidence.topic:
        case Topic.PUBLISHED:
            picture = published_picture(effects)
        case Topic.SCALE:
            picture = scale_picture(effects)
        case Topic.LENGTH:
            picture = lengths_picture(effects)
        case Topic.LIFECYCLE:
            picture = effects_picture([e for m in evidence.metrics for e in m.effects])
        case Topic.UNNAMED:
            fork = evidence.of_metric("fork")
            picture = costs_picture(fork.costs if fork else (), largest=True)
        case Topic.SHARING | Topic.GENERAL:
            picture = effects_picture(effects)
    return [picture] if picture.panels else []


def published_picture(found: Sequence[Effect]) -> Picture:
    """The published cells beside the measured ones."""
    panels = _panels(
        [e for e in found if published_percent(e.arm) is not None],
        plot_published, _published_label,
    )  # fmt: skip
    caption = (
        "Extra cost of a fork of 65,536 named VMAs, in percent of an unnamed one: as "
        "published in 2021 (time, hatched) and as measured here (filled; the "
        f"whiskers are the {bounds([e.percent for e in found])})."
    )
    return Picture(panels=panels, caption=caption)


def effects_picture(found: Sequence[Effect]) -> Picture:
    """What names cost, cell by cell."""
    panels = _panels(found, plot_effects, _effects_label)
    held = bounds([e.percent for e in found]) if found else ""
    caption = f"What names add, in percent of the unnamed call; whiskers: {held}."
    return Picture(panels=panels, caption=caption)


def scale_picture(found: Sequence[Effect]) -> Picture:
    """What names cost per VMA over the number of VMAs."""
    panels = _panels(found, plot_scale, _extra_label("over the number of VMAs"))
    held = bounds([e.extra for e in found])
    caption = f"What names add to a fork per VMA; whiskers: {held}."
    return Picture(panels=panels, caption=caption)


def lengths_picture(found: Sequence[Effect]) -> Picture:
    """What a name costs over its length."""
    panels = _panels(found, plot_lengths, _extra_label("over the length of a name"))
    held = bounds([e.extra for e in found])
    caption = f"What names of each length add to a fork per VMA; whiskers: {held}."
    return Picture(panels=panels, caption=caption)


def costs_picture(found: Sequence[Cost], *, largest: bool = False) -> Picture:
    """The whole cost of a metric, with a panel per layout and clock.

    With ``largest``, only the largest layout of each clock has a panel.
    """
    groups: dict[str, dict[tuple[int, int, int], list[Cost]]] = {}
    for cost in sorted(found, key=lambda cost: time_first(cost.place)):
        layouts = groups.setdefault(cost.place.unit, {})
        layouts.setdefault(cost.arm.layout, []).append(cost)
    panels = []
    for layouts in groups.values():
        chosen = [max(layouts, key=_size)] if largest else list(layouts)
        panels += [
            _panel(plot_costs(layouts[each]), _costs_label(layouts[each]))
            for each in chosen
        ]
    held = bounds([c.total for c in found]) if found else ""
    where = " in the largest layout" * largest
    caption = f"The whole cost{where}; whiskers: {held}. The axes do not begin at 0."
    return Picture(panels=tuple(panels), caption=caption)


def _size(layout: tuple[int, int, int]) -> tuple[int, int]:
    vmas, _, written = layout
    return vmas, -written


def slopes_picture(found: Sequence[Slope]) -> Picture:
    """The cost of a fork over the number of VMAs."""
    panels = _panels(found, plot_slopes, _slopes_label)
    caption = "The cost of a fork over the number of VMAs, on logarithmic axes."
    return Picture(panels=panels, caption=caption)


def aa_picture(found: Sequence[AACheck]) -> Picture:
    """The differences of identical arms."""
    panels = _panels(found, plot_aa, _aa_label)
    caption = "The difference of two identical arms of a layout."
    return Picture(panels=panels, caption=caption)


def order_picture(frame: pd.DataFrame) -> Picture:
    """Samples of fork in the order of measurement, to show drift."""
    samples = usable(frame, "fork")
    panels = []
    places = {
        place_of(tuple(key)): here
        for key, here in samples.groupby(PLACE, observed=True)
    }
    for place in sorted(places, key=time_first):
        here = places[place]
        what = f"{len(here):,} samples of fork in the order of measurement"
        panels.append(_panel(plot_order(here), f"{place.words}: {what}"))
    caption = (
        "Every sample relative to the median of its cell, in the order of "
        "measurement: a rise or fall along a boot is drift."
    )
    return Picture(panels=tuple(panels), caption=caption)


def _panels(
    found: Sequence[_T],
    plot: Callable[[Sequence[_T]], Figure],
    label: Callable[[Place, Sequence[_T]], str],
) -> tuple[Markup, ...]:
    """One panel per place, so that they can stand side by side on wide pages."""
    places = sorted({each.place for each in found}, key=time_first)
    panels = []
    for place in places:
        here = [each for each in found if each.place == place]
        panels.append(_panel(plot(here), f"{place.words}: {label(place, here)}"))
    return tuple(panels)


def _panel(figure: Figure, label: str) -> Markup:
    # The only markup that no template makes: matplotlib makes it and escapes its text.
    return Markup(svg_of(figure, label))


def _published_label(place: Place, here: Sequence[Effect]) -> str:
    words = []
    for pages, cell in PUBLISHED_PERCENT.items():
        for store, published in cell.items():
            effect = like_2021(here, store, written_pages=pages)
            measured = "not measured" if effect is None else percent(effect.percent)
            words.append(f"{store}, {pages} pages: published {published}, {measured}")
    return f"percent more than unnamed. {'; '.join(words)}"


def _effects_label(place: Place, here: Sequence[Effect]) -> str:
    words = (f"{e.metric}, {e.arm.words}: {percent(e.percent)}" for e in here)
    return f"percent more than unnamed. {_some(words, len(here))}"


def _extra_label(over: str) -> Callable[[Place, Sequence[Effect]], str]:
    def label(place: Place, here: Sequence[Effect]) -> str:
        words = (f"{e.arm.words}: {per_vma(e.extra)}" for e in here)
        return f"extra {place.unit} per VMA {over}. {_some(words, len(here))}"

    return label


def _costs_label(here: Sequence[Cost]) -> str:
    words = (
        f"{c.place.variant}, {c.arm.words}: {shown(c.per_vma, PER_VMA, sign=False)} "
        f"{c.place.unit} per VMA"
        for c in here
    )
    return f"cost of {here[0].metric}. {_some(words, len(here))}"


def _slopes_label(place: Place, here: Sequence[Slope]) -> str:
    words = (f"{s.words}: {shown(s.per_vma, PER_VMA, sign=False)}" for s in here)
    return f"{place.unit} per additional VMA. {_some(words, len(here))}"


def _aa_label(place: Place, here: Sequence[AACheck]) -> str:
    differ = sum(not check.holds for check in here)
    return f"two identical arms differ in {differ} of {len(here)} cells"


def _some(words: Iterable[str], count: int) -> str:
    first = [each for each, _ in zip(words, range(_MOST_DESCRIBED), strict=False)]
    more = count - len(first)
    return "; ".join(first) + (f"; and {more} more in the tables" if more > 0 else "")
