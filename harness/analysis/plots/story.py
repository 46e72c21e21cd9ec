"""The figure in README, from the campaigns that come with the project.

``python -m harness.analysis.plots.story DATA OUT`` draws it for light and for dark
backgrounds; the same data gives the same bytes (``make figures``).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from harness.analysis.effects import Effect, cell_effects
from harness.analysis.plots.campaign_plots import plot_published
from harness.analysis.plots.svg import svg_files
from harness.analysis.records.frames import load
from harness.analysis.records.provenance import identity_of

# Time first, because the published figures are times.
CAMPAIGNS = ("published-6.12-uml", "published-6.12-arm64")
FILES = ("published-light.svg", "published-dark.svg")
LABEL = (
    "Extra cost of a fork of 65,536 VMAs with copied and with shared names, in "
    "percent: published in 2021, and measured in time and in instructions"
)


def story_effects(data: Path) -> list[Effect]:
    """The effects on fork in the campaigns that the figure shows."""
    effects: list[Effect] = []
    for name in CAMPAIGNS:
        path = data / f"{name}.parquet"
        effects += cell_effects(load(path), margin=identity_of(path).margin)
    return effects


def story_figure(data: Path) -> Figure:
    """The published cells beside the measured ones, with a panel per clock."""
    return plot_published(story_effects(data), columns=2)


def draw_story(data: Path, out: Path) -> None:
    """Write the figure as ``FILES`` into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in zip(FILES, svg_files(story_figure(data), LABEL), strict=True):
        (out / name).write_text(text)


def main(arguments: Sequence[str]) -> None:
    """Draw the figure: from a folder of data into another folder."""
    data, out = map(Path, arguments)
    draw_story(data, out)


if __name__ == "__main__":
    main(sys.argv[1:])
