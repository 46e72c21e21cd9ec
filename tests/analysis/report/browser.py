"""Pages in Chromium, and what a reader would see of them there.

Pages stand in frames, whose widths are those of the windows they are to be read in;
a script beside them measures. Nothing is fetched: there is no network for it.
"""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.host.programs import run_logged, tail_of

_SCRIPT = Path(__file__).with_name("measure.js")
_DEADLINE_S = 240
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    # What an element is called for who listens, as the browser works it out.
    "--enable-blink-features=ComputedAccessibilityInfo",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A page at a width: what is wrong with it, by kind, an element each.

    ``wide`` is what leaves the page, ``scrolling`` what scrolls sideways, ``faint``
    text with a contrast below 4.5, ``cut`` text that leaves its figure, ``over`` what
    lies on another label, ``nameless`` figures that the browser has no name for.
    ``page`` is how wide it is, in CSS pixels; ``folded`` whether each cell of its
    tables is a line with its label; ``dark`` whether it was asked for dark colours.
    """

    page: int
    dark: bool
    wide: list[str]
    scrolling: list[str]
    faint: list[str]
    cut: list[str]
    over: list[str]
    figures: int
    nameless: list[str]
    folded: bool


def see(
    pages: Mapping[str, str],
    widths: tuple[int, ...],
    *,
    chromium: Path,
    folder: Path,
    dark: bool = False,
) -> dict[tuple[str, int], Seen]:
    """Every page at every width, in one run of Chromium, which has this deadline."""
    frames = "\n".join(
        f'<iframe title="{html.escape(f"{name} {width}")}" style="width: {width}px; '
        f'height: 900px; border: 0" srcdoc="{html.escape(page)}"></iframe>'
        for name, page in pages.items()
        for width in widths
    )
    around = folder / "around.html"
    around.write_text(
        f'<!doctype html><meta charset="utf-8"><body>{frames}<pre id="told"></pre>'
        f"<script>{_SCRIPT.read_text()}</script></body>"
    )
    log = folder / "chromium.log"
    status = run_logged(
        [
            str(chromium), *_QUIET, *["--blink-settings=preferredColorScheme=0"] * dark,
            f"--user-data-dir={folder / 'profile'}", "--window-size=1400,900",
            "--dump-dom", around.as_uri(),
        ],
        log, deadline_s=_DEADLINE_S,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
    )  # fmt: skip
    text = log.read_text(errors="replace")
    found = re.search(r'<pre id="told">(\{.*?\})</pre>', text, re.DOTALL)
    if status != 0 or found is None:
        raise AssertionError(f"chromium ended with {status}: {tail_of(log, lines=9)}")
    told = json.loads(html.unescape(found[1]))
    return {
        (name, width): Seen(**told[f"{name} {width}"])
        for name in pages
        for width in widths
    }
