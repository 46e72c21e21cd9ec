"""A figure that notebooks show without pyplot.

matplotlib shows a figure in a notebook only if pyplot made it. A ``NotebookFigure``
comes with a PNG, which code hosts and untrusted notebooks show too. Its background is
white, so that it is readable on a dark page.
"""

import io
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

# A higher resolution than the shown one, and enough colours for our plots.
_DPI, _SHOWN_DPI, _COLOURS = 195, 130, 128


class NotebookFigure(Figure):
    """A figure with a PNG and a description in words, for notebooks."""

    @property
    def words(self) -> str:
        """A description of the figure, for readers who cannot see it."""
        panels = [panel for ax in self.axes if (panel := _panel_words(ax))]
        panels = panels or [text.get_text() for text in self.texts]
        return f"Plot: {'; '.join(panels)}".replace("\n", ", ")

    def png(self) -> bytes:
        """The figure as PNG; the same plot gives the same bytes."""
        drawn, packed = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=_DPI, facecolor="white")
        with Image.open(drawn) as image:
            few = image.convert("RGB").quantize(_COLOURS)
        few.save(packed, format="png", optimize=True)
        return packed.getvalue()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
        width = round(float(self.get_figwidth()) * _SHOWN_DPI)
        return (
            {"image/png": self.png(), "text/plain": self.words},
            {"image/png": {"alt": self.words, "width": width}},
        )


def figure_of_words(words: str) -> NotebookFigure:
    """A figure with the reason why there is nothing to plot."""
    picture = NotebookFigure(figsize=(5, 1))
    lines = "\n".join(textwrap.wrap(words, 60))
    picture.text(
        0.5, 0.5, lines, ha="center", va="center", fontsize=10, parse_math=False
    )  # fmt: skip
    return picture


def _panel_words(ax: Axes) -> str:
    axes = " over ".join(filter(None, [ax.get_ylabel(), ax.get_xlabel()]))
    titles = [ax.get_title(loc=side) for side in ("left", "center", "right")]
    return ", ".join(filter(None, [axes, *titles]))
