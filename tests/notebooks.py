"""Executes the notebooks, and stores them with what they show.

``python -m tests.notebooks`` executes each and writes it back (make notebooks-update);
``make test-notebooks`` executes each and compares. Both do it in a copy of the folder
without results, so that nobody's own campaigns are shown. What is stored has nothing
of the machine: no times, no paths, no versions.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
_TRACES = Path("tests/data/traces")
_TIMEOUT_S = 300
# Three dots alone, or the character: what was cut. A drawing has more dots, or fewer.
_CUT = re.compile(r"…|(?<![.])[.]{3}(?![.])")
_METADATA = {
    "kernelspec": {
        "display_name": "Python 3", "language": "python", "name": "python3",
    },
    "language_info": {"name": "python"},
}  # fmt: skip

# A notebook is JSON: what is in it depends on the cell.
Notebook = Any


def staged(folder: Path) -> Path:
    """A checkout in ``folder`` that has notebooks and their data, and no results."""
    shutil.copytree(FOLDER, folder / "notebooks")
    (folder / _TRACES).parent.mkdir(parents=True)
    (folder / _TRACES).symlink_to(ROOT / _TRACES)
    return folder / "notebooks"


def executed(path: Path) -> Notebook:
    """A notebook with what its cells show; CellExecutionError where one fails."""
    # Imported here: they take two seconds, in every run of other tests.
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.reads(path.read_text(), as_version=4)
    client = NotebookClient(
        notebook, timeout=_TIMEOUT_S, kernel_name="python3", record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )  # fmt: skip
    client.execute(env=environment(path.parent))
    notebook["metadata"] = _METADATA
    return notebook


def environment(folder: Path) -> dict[str, str]:
    """Of a kernel that imports this checkout, and nothing of the user's own."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder / ".ipython"),
    }


def code_cells(notebook: Notebook) -> list[Notebook]:
    """The cells that show something."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def texts(cell: Notebook) -> list[tuple[str, str]]:
    """What a cell shows as text or table, with its kind; an image is its kind alone."""
    found = []
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            found.append((output["name"], str(output["text"])))
            continue
        for kind, data in sorted(output.get("data", {}).items()):
            found.append((kind, "" if kind.startswith("image/") else str(data)))
    return found


def is_plotting(cell: Notebook) -> bool:
    """Whether a cell is there to show a plot."""
    return re.search(r"[.]plot\b|\bplot_", cell["source"]) is not None


def images(cell: Notebook) -> int:
    """How many images a cell shows."""
    return sum(kind.startswith("image/") for kind, _ in texts(cell))


def cut_words(notebook: Notebook) -> list[str]:
    """What is shown of texts that were cut."""
    return [
        text[max(0, found.start() - 40) : found.end()]
        for cell in code_cells(notebook)
        for _, text in texts(cell)
        if (found := _CUT.search(text))
    ]


def main() -> None:
    """Execute every notebook, and store it."""
    import nbformat

    with tempfile.TemporaryDirectory() as scratch:
        folder = staged(Path(scratch))
        for path in NOTEBOOKS:
            path.write_text(f"{nbformat.writes(executed(folder / path.name))}\n")
            print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
