import io
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from IPython.core.formatters import DisplayFormatter
from PIL import Image

from harness.analysis import aa_checks, cell_effects, load, slopes
from harness.analysis.display.figure import NotebookFigure, figure_of_words
from harness.analysis.plots.campaign_plots import (
    plot_aa,
    plot_effects,
    plot_lengths,
    plot_order,
    plot_slopes,
)

DATA = Path(__file__).parents[3] / "notebooks/data"
SHARING = load(DATA / "sharing-6.12-arm64.parquet")


def shown(figure: object) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """What a notebook shows of an object, in which nothing was registered."""
    data, metadata = DisplayFormatter().format(figure)
    return data, metadata


@pytest.mark.long
def test_every_plot_is_an_image_in_a_notebook() -> None:
    effects = cell_effects(SHARING, margin=2)

    for figure in (
        plot_slopes(slopes(SHARING)),
        plot_effects(effects),
        plot_lengths(effects),
        plot_aa(aa_checks(SHARING, margin=2)),
        plot_order(SHARING),
    ):
        data, metadata = shown(figure)
        assert "<Figure" not in str(data["text/plain"])
        image = data["image/png"]
        assert isinstance(image, bytes)
        with Image.open(io.BytesIO(image)) as picture:
            assert picture.format == "PNG"
            # Finer than it is shown, so that letters are sharp.
            assert picture.width > int(str(metadata["image/png"]["width"])) > 0


def test_the_ground_of_a_picture_is_white_in_any_page() -> None:
    with Image.open(io.BytesIO(figure_of_words("nothing").png())) as picture:
        assert picture.convert("RGBA").getpixel((2, 2)) == (255, 255, 255, 255)


def test_a_picture_is_the_same_bytes_each_time() -> None:
    assert figure_of_words("nothing").png() == figure_of_words("nothing").png()


def test_a_picture_says_in_words_what_it_shows() -> None:
    figure = NotebookFigure()
    ax = figure.add_subplot()
    ax.set_title("linux 6.12")
    ax.set_xlabel("VMAs")
    ax.set_ylabel("fork, ns")

    data, metadata = shown(figure)

    assert data["text/plain"] == "Plot: fork, ns over VMAs, linux 6.12"
    assert metadata["image/png"]["alt"] == data["text/plain"]
    assert "nothing here" in figure_of_words("nothing here").words


@pytest.mark.parametrize("words", ["$", r"$\nosuch$", r"a \$ b $x_1$", "$$"])
def test_dollars_in_words_are_no_formulas(words: str) -> None:
    picture = figure_of_words(words)

    assert picture.png()
    assert words in picture.words


def test_what_the_reader_of_a_notebook_has_set_up_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(plt.rcParams, "figure.facecolor", "black")

    figure_of_words("nothing").png()

    assert plt.rcParams["figure.facecolor"] == "black"
    assert plt.get_fignums() == []
