"""Figures as SVG: an element of a page, or a file for light or dark ground.

The same figure gives the same bytes: no date, no random identifier.
"""

import html
import io
import re

import matplotlib as mpl
from matplotlib.figure import Figure

from harness.analysis.plots.style import INK
from harness.host.programs import printable

_LIGHT_INK = "#e6edf3"
# Of what is a bitmap in a figure.
_DPI = 216
_XML = '<?xml version="1.0" encoding="utf-8"?>\n'


def svg_of(figure: Figure, label: str) -> str:
    """A figure as an SVG element that stands in HTML, named ``label`` for who listens.

    It has no size of its own and its ink is the colour of the text around it.
    """
    svg = _rendered(figure, fonttype="none")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (width|height)="[^"]*pt"', "", svg)
    svg = svg.replace(INK, "currentColor")
    # Letters are those of the page.
    svg = re.sub(r"font-family: [^;\"]*; ", "", svg)
    # A page has several figures, and an id only once; what is referred to is named
    # by a hash of what it is.
    used = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(
        r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg
    )
    name = html.escape(printable(label))
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def svg_files(figure: Figure, label: str) -> tuple[str, str]:
    """A figure as two SVG files, for light and for dark ground.

    Letters are shapes, which any viewer has.
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
