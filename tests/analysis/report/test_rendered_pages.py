"""The pages of reports as Chromium shows them."""

import shutil
from pathlib import Path

import pytest

from harness.analysis.report.contents import report_of
from harness.analysis.report.page import render_page
from tests.analysis.campaigns import CLOCKS, SHIPPED, hostile_campaign, page_of
from tests.analysis.report.browser import Seen, see

pytestmark = [pytest.mark.page, pytest.mark.slow]

WIDE, NARROW = 1200, 420
HOSTILE, SPOILT = "hostile", "spoilt"
# Those of the older kernel have the shape of the newer one's.
CAMPAIGNS = [*(name for name in SHIPPED if "6.1-" not in name), CLOCKS]
PAGES = [*CAMPAIGNS, HOSTILE]
# What each check is to see: an element too wide, one that scrolls, text of the colour
# of its ground, a figure without a name, whose text leaves it, on another text.
SPOILS = """
<div style="width: 1300px" class="spoils">wide</div>
<div style="overflow-x: auto" class="spoils"><div style="width: 5000px">x</div></div>
<p style="color: Canvas" class="spoils">faint</p>
<svg class="spoils" viewBox="0 0 9 9" style="width: 90px">
<text x="5" font-size="8" style="fill: #888888">leaves</text>
<text x="6" font-size="8" style="fill: #888888">spoils</text></svg>
"""


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> Path:
    """Where Chromium is; without it, skip, or fail with ``--require-chromium``."""
    found = shutil.which("chromium")
    if found is not None:
        return Path(found)
    if request.config.getoption("--require-chromium"):
        pytest.fail("no chromium: apt-get install chromium")
    pytest.skip("no chromium: apt-get install chromium")


@pytest.fixture(scope="module", params=[False, True], ids=["light", "dark"])
def seen(
    request: pytest.FixtureRequest,
    chromium: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[str, int], Seen]:
    """Every page at both widths, on light or on dark ground."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {name: page_of(name) for name in CAMPAIGNS}
    pages[HOSTILE] = render_page(report_of(hostile_campaign(folder / "hostile")))
    whole = pages["lifecycle-6.12-arm64"]
    pages[SPOILT] = whole.replace("<main>", f"<main>{SPOILS}")
    found = see(
        pages, (WIDE, NARROW), chromium=chromium, folder=folder, dark=request.param
    )
    assert {each.dark for each in found.values()} == {request.param}
    return found


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_page_nor_scrolls_nor_is_faint(
    seen: dict[tuple[str, int], Seen], name: str, width: int
) -> None:
    page = seen[(name, width)]

    assert page.page <= width
    assert (page.wide, page.scrolling, page.faint) == ([], [], [])
    assert page.figures
    assert (page.nameless, page.cut, page.over) == ([], [], [])
    assert page.folded == (width == NARROW)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_what_would_be_wrong_is_seen(
    seen: dict[tuple[str, int], Seen], width: int
) -> None:
    page = seen[(SPOILT, width)]

    assert page.page > width
    kinds = (
        page.wide, page.scrolling, page.faint, page.nameless, page.cut, page.over,
    )  # fmt: skip
    for told in kinds:
        assert any("spoils" in each or "leaves" in each for each in told)
