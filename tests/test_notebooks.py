"""The notebooks: thin, stored with what they show, and true of the data they have."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.model.mm import Mm
from tests.notebooks import (
    NOTEBOOKS,
    Notebook,
    code_cells,
    cut_words,
    environment,
    executed,
    images,
    is_plotting,
    staged,
    texts,
)
from tests.synthetic import cell_records, write_records

_LARGEST = 300_000
_UPDATE = "where it is meant to be so: make notebooks-update"
# A campaign, what a kernel holds, or recordings: one call loads it.
_LOADS = re.compile(r"(?:[.]load|[.]newest|read_recordings)\(")
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


class Images(HTMLParser):
    """The images of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.sources += [value or "" for name, value in attrs if name == "src"]


def stored(path: Path) -> Notebook:
    """A notebook as it is stored, the source of each cell in one piece."""
    document = json.loads(path.read_text())
    for cell in document["cells"]:
        cell["source"] = "".join(cell["source"])
        for output in cell.get("outputs", ()):
            if "text" in output:
                output["text"] = "".join(output["text"])
            for kind, data in output.get("data", {}).items():
                output["data"][kind] = "".join(data)
    return document


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebooks' folder in a checkout that has no results."""
    return staged(tmp_path_factory.mktemp("checkout"))


def test_there_are_the_six() -> None:
    numbers = [path.stem[:2] for path in NOTEBOOKS]

    assert numbers == ["00", "01", "02", "03", "04", "05"]


@every_notebook
def test_it_asks_first_and_answers_last(path: Path) -> None:
    cells = stored(path)["cells"]

    assert cells[0]["cell_type"] == "markdown"
    assert cells[0]["source"].startswith("# ")
    assert "?" in cells[0]["source"]
    assert cells[-2]["source"] == "## The answer"
    assert "print(" in cells[-1]["source"]
    assert texts(cells[-1])


@every_notebook
def test_its_first_code_imports_and_loads(path: Path) -> None:
    first, *others = code_cells(stored(path))

    if path.stem[:2] != "03":
        assert first["source"].startswith("from harness import ")
    assert _LOADS.search(first["source"])
    assert not any(_LOADS.search(cell["source"]) for cell in others)
    for name in re.findall(r'"([^"]*[.](?:parquet|jsonl))"', first["source"]):
        assert (path.parent / name).is_file()


@every_notebook
def test_it_is_thin(path: Path) -> None:
    for cell in code_cells(stored(path)):
        lines = cell["source"].splitlines()
        assert len(lines) <= 15
        assert "import pandas" not in cell["source"]


@every_notebook
def test_it_is_stored_with_what_it_shows(path: Path) -> None:
    notebook = stored(path)

    cells = code_cells(notebook)
    counts = [cell["execution_count"] for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    assert path.stat().st_size < _LARGEST
    assert {output["output_type"] for cell in cells for output in cell["outputs"]} <= {
        "execute_result", "stream",
    }  # fmt: skip
    check_shown(notebook)


@every_notebook
def test_nothing_of_a_machine_is_stored(path: Path) -> None:
    notebook = stored(path)

    assert notebook["metadata"]["language_info"] == {"name": "python"}
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    assert not re.search(r"/(home|root|tmp|work)/|0x[0-9a-f]{8}", path.read_text())


@pytest.mark.notebook
@every_notebook
def test_it_shows_today_what_is_stored(path: Path, checkout: Path) -> None:
    fresh = executed(checkout / path.name)

    check_shown(fresh)
    then, now = (
        [(cell["source"], texts(cell)) for cell in code_cells(notebook)]
        for notebook in (stored(path), fresh)
    )
    assert now == then, _UPDATE


@pytest.mark.notebook
@every_notebook
def test_it_shows_its_plots_as_a_page(path: Path, checkout: Path) -> None:
    made = subprocess.run(
        [
            Path(sys.executable).parent / "jupyter", "nbconvert", "--to", "html",
            "--execute", "--stdout", checkout / path.name,
        ],
        env=environment(checkout), capture_output=True, text=True, timeout=300,
        check=True,
    ).stdout  # fmt: skip

    plots = sum(map(is_plotting, code_cells(stored(path))))
    sources = Images(made).sources
    assert len(sources) == plots
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "Figure size" not in made


@pytest.mark.notebook
def test_the_first_one_loads_the_reader_s_own_newest_campaign(tmp_path: Path) -> None:
    folder = staged(tmp_path)
    records = [
        *cell_records([1000, 1001]),
        *cell_records([1100, 1101], naming="distinct:79"),
    ]
    write_records(tmp_path / "results/mine", records)

    notebook = executed(folder / "00-start-here.ipynb")

    shown = "".join(text for cell in code_cells(notebook) for _, text in texts(cell))
    assert "Campaign mine: " in shown
    assert "published-6.12" not in shown
    check_shown(notebook)


def test_a_cell_that_fails_leaves_the_model_as_it_was() -> None:
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith("03"))
    (patching,) = (
        cell["source"]
        for cell in code_cells(stored(path))
        if "forgetful" in cell["source"]
    )
    real = Mm.forked
    world: dict[str, Any] = {
        "Mm": Mm,
        "recordings": [None],
        "check_recording": _failing,
    }

    with pytest.raises(ZeroDivisionError):
        exec(patching, world)

    assert Mm.forked is real


def _failing(recording: object) -> None:
    raise ZeroDivisionError


def check_shown(notebook: Notebook) -> None:
    """Assert an image in each plotting cell, and that no text is cut anywhere."""
    for cell in code_cells(notebook):
        assert images(cell) == is_plotting(cell), cell["source"]
    assert cut_words(notebook) == []


def shows(text: str, source: str = "campaign.effects()") -> Notebook:
    """A notebook of one cell that shows a text."""
    data = {"text/plain": text}
    output = {"output_type": "execute_result", "data": data}
    cell = {"cell_type": "code", "source": source, "outputs": [output]}
    return {"cells": [cell]}


@pytest.mark.parametrize(
    "text", ["linux 6.12 switch, qemu aarch64 (tcg icount sh...", "1  ...  5", "a…"]
)
def test_a_text_that_was_cut_is_seen(text: str) -> None:
    with pytest.raises(AssertionError):
        check_shown(shows(text))


@pytest.mark.parametrize("text", ["before    .....Aaaa......", "a. b.", "0..1"])
def test_a_drawing_is_not_taken_for_a_text_that_was_cut(text: str) -> None:
    check_shown(shows(text))


@pytest.mark.parametrize(
    "source", ["campaign.plot.effects()", "counts.plot()", "plot_effects(found)"]
)
def test_a_plot_without_an_image_is_seen(source: str) -> None:
    with pytest.raises(AssertionError):
        check_shown(shows("<Figure size 720x340 with 1 Axes>", source))
