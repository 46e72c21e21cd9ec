"""The one figure that tells the story: README's, from the campaigns that come with us.

``python -m harness.analysis.plots.story DATA OUT`` draws it for light and for dark
ground; the same data gives the same bytes (``make figures``).
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

# Time first, as what was published is time.
CAMPAIGNS = ("published-6.12-uml", "published-6.12-arm64")
FILES = ("published-light.svg", "published-dark.svg")
LABEL = (
    "What a fork of 65,536 VMAs costs more where they are named, copied and shared, "
    "in percent: published in 2021, and measured in time and in instructions"
)


def story_effects(data: Path) -> list[Effect]:
    """What names cost at fork in the campaigns that the figure shows."""
    effects: list[Effect] = []
    for name in CAMPAIGNS:
        path = data / f"{name}.parquet"
        effects += cell_effects(load(path), margin=identity_of(path).margin)
    return effects


def story_figure(data: Path) -> Figure:
    """The published cells beside ours, a panel each clock, side by side."""
    return plot_published(story_effects(data), columns=2)


def draw_story(data: Path, out: Path) -> None:
    """Write the figure as ``FILES`` into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in zip(FILES, svg_files(story_figure(data), LABEL), strict=True):
        (out / name).write_text(text)


def main(arguments: Sequence[str]) -> None:
    """Draw it: from a folder of data into another."""
    data, out = map(Path, arguments)
    draw_story(data, out)


if __name__ == "__main__":
    main(sys.argv[1:])
