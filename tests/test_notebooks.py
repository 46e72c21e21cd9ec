"""The notebooks as they are stored: thin, without outputs, on one path of data."""

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells_of(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook, each with its text."""
    document = json.loads(path.read_text())
    return [{**cell, "text": "".join(cell["source"])} for cell in document["cells"]]


def test_there_are_the_five() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_asks_first_and_answers_last(path: Path) -> None:
    cells = cells_of(path)

    assert cells[0]["cell_type"] == "markdown"
    assert "?" in cells[0]["text"]
    assert cells[-2]["text"] == "## The answer"
    assert "print(" in cells[-1]["text"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_data_is_one_path_and_is_there(path: Path) -> None:
    code = [cell["text"] for cell in cells_of(path) if cell["cell_type"] == "code"]
    paths: dict[str, Path] = {}

    exec(code[0], {}, paths)

    assert "DATA" in paths
    for name, value in paths.items():
        if name.isupper():
            assert (FOLDER / value).exists()
    assert all("Path(" not in text for text in code[1:])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_thin_and_stored_without_what_it_showed(path: Path) -> None:
    for cell in cells_of(path):
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            assert len(cell["text"].splitlines()) <= 15
