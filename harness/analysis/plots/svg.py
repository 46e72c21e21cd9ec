"""Figures as SVG: an element of a page, or a file for a light or dark background.

The same figure gives the same bytes: no date, no random identifiers.
"""

import html
import io
import re

import matplotlib as mpl
from matplotlib.figure import Figure

from harness.analysis.plots.style import INK
from harness.host.programs import printable

_LIGHT_INK = "#e6edf3"
# The resolution of bitmaps in a figure.
_DPI = 216
_XML = '<?xml version="1.0" encoding="utf-8"?>\n'


def svg_of(figure: Figure, label: str) -> str:
    """A figure as an SVG element for HTML, with ``label`` for screen readers.

    It has no fixed size, and its text has the colour of the surrounding text.
    """
    svg = _rendered(figure, fonttype="none")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (width|height)="[^"]*pt"', "", svg)
    svg = svg.replace(INK, "currentColor")
    # Use the fonts of the page.
    svg = re.sub(r"font-family: [^;\"]*; ", "", svg)
    # A page has several figures, but each id only once. Ids that are referred to are
    # hashes of their content, so equal ids mean equal elements.
    used = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(
        r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg
    )
    name = html.escape(printable(label))
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def svg_files(figure: Figure, label: str) -> tuple[str, str]:
    """A figure as two SVG files, for light and for dark backgrounds.

    Letters are drawn as shapes, which every viewer shows.
    """
    svg = _rendered(figure, fonttype="path")
    begin, close, rest = svg[svg.index("<svg") :].partition(">")
    title = f"<title>{html.escape(printable(label))}</title>"
    light = f'{_XML}{begin} role="img"{close}{title}{rest}'
    return light, light.replace(INK, _LIGHT_INK)


def _rendered(figure: Figure, *, fonttype: str) -> str:
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": fonttype, "svg.hashsalt": "anonvma"}):
        figure.savefig(
            out, format="svg", transparent=True, dpi=_DPI, metadata={"Date": None}
        )
    svg = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue(), flags=re.DOTALL)
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines() if line.strip())
