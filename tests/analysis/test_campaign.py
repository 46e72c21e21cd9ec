import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from harness import Campaign
from harness.analysis import cell_effects, load
from harness.analysis.display.figure import NotebookFigure
from harness.analysis.display.formats import per_vma, percent
from harness.analysis.records.provenance import export_campaign
from harness.errors import UsageError
from harness.worker.measure import Count, Record, Run, render_record
from tests.synthetic import cell_records, run_of, whole_run, write_records

DATA = Path(__file__).parents[2] / "notebooks/data"
# Unnamed processes only, every metric, a clock of time; the notebooks have them all.
SHIPPED = ("bystanders-6.12-arm64", "lifecycle-6.12-arm64", "published-6.12-uml")
HOSTILE = "<script>alert(1)</script> & $\\nosuch$ \x1b[2J"
HOSTILE_NAME = "<i>c&amp;"
NAMES = "distinct:79"


class Elements(HTMLParser):
    """Every element of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def records_of(
    costs: Sequence[int] = (1000, 1001), changed: Callable[[Run], Run] = lambda run: run
) -> list[Record]:
    """A kernel of both stores; both arms that are unnamed are alike."""
    records: list[Record] = []
    for position, (store, naming) in enumerate(
        [("refcounted", "none"), ("strdup", "none"), ("refcounted", NAMES),
         ("strdup", NAMES)]
    ):  # fmt: skip
        more = 0 if naming == "none" else 10 if store == "refcounted" else 100
        for boot, cost in enumerate(costs):
            run = run_of(
                run=f"{boot}-{position}", store=store, naming=naming, boot=boot,
                position=position,
            )  # fmt: skip
            records += whole_run(changed(run), [cost + more] * 3)
    return records


def planned(folder: Path, *, margin: float = 3.0) -> Path:
    """A campaign's folder with records and a plan."""
    write_records(folder, records_of())
    document = {"plan": {"margin": margin}, "command": ["anonvma"], "began": "2026"}
    (folder / "plan.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, a notebook's folder."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


def of_folder(folder: Path) -> Path:
    return planned(folder / "nightly")


def of_records(folder: Path) -> Path:
    return planned(folder / "nightly") / "records.jsonl"


def of_export(folder: Path) -> Path:
    export_campaign(planned(folder / "nightly"), folder / "n.parquet")
    return folder / "n.parquet"


@pytest.mark.parametrize("made", [of_folder, of_records, of_export])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_campaign_is_loaded_from_whatever_it_is(
    made: Callable[[Path], Path], kind: Callable[[Path], str | Path], tmp_path: Path
) -> None:
    campaign = Campaign.load(kind(made(tmp_path)))

    assert (campaign.name, campaign.margin) == ("nightly", 3.0)
    pd.testing.assert_frame_equal(
        pd.DataFrame(campaign.samples), load(tmp_path / "nightly")
    )
    assert campaign.metrics == ("fork", "exit_reap", "munmap")


def test_records_by_any_other_name_are_a_campaign_without_a_plan(
    tmp_path: Path,
) -> None:
    folder = write_records(tmp_path / "c", records_of())
    (folder / "records.jsonl").rename(tmp_path / "phone.jsonl")

    campaign = Campaign.load(tmp_path / "phone.jsonl")

    assert (campaign.name, campaign.margin) == ("phone", 2.0)


def test_a_name_is_looked_for_in_results_here_and_above(here: Path) -> None:
    planned(here / "results/nightly")

    assert Campaign.load("nightly").name == "nightly"
    with pytest.raises(UsageError, match="nosuch"):
        Campaign.load("nosuch")


@pytest.mark.parametrize("results", ["results", "notebooks/results"])
def test_the_newest_campaign_is_the_one_that_was_measured_last(
    here: Path, results: str
) -> None:
    for age, name in enumerate(["new", "old", "older"]):
        records = planned(here / results / name) / "records.jsonl"
        os.utime(records, (10_000 - age, 10_000 - age))

    assert Campaign.newest().name == Campaign.load().name == "new"


def test_what_has_no_samples_is_not_the_newest(here: Path) -> None:
    planned(here / "results/measured")
    empty = planned(here / "results/begun") / "records.jsonl"
    empty.write_bytes(b"")
    counts = planned(here / "results/truth") / "records.jsonl"
    count = Count(run="r", step="named", what="96", predicted=1, counted=1, agrees=True)
    counts.write_bytes(render_record(run_of(run="r")) + render_record(count))
    os.utime(here / "results/measured/records.jsonl", (1, 1))

    assert Campaign.newest().name == "measured"


def test_without_a_campaign_the_other_one_is_loaded(here: Path) -> None:
    planned(here / "elsewhere")

    assert Campaign.newest(otherwise=here / "elsewhere").name == "elsewhere"
    with pytest.raises(UsageError, match="try anonvma run"):
        Campaign.newest()
    with pytest.raises(UsageError, match="try anonvma run"):
        Campaign.load()


@pytest.mark.long
@pytest.mark.parametrize("name", SHIPPED)
def test_every_table_and_plot_of_what_comes_with_us_shows_itself(name: str) -> None:
    campaign = Campaign.load(DATA / f"{name}.parquet")

    for metric in campaign.metrics:
        for table in (
            campaign.effects(metric), campaign.aa_check(metric),
            campaign.costs(metric), campaign.slopes(metric), campaign.noise(metric),
            campaign.distrust(metric),
        ):  # fmt: skip
            assert "..." not in table._repr_html_() + repr(table)
            assert not any(" a VMA" in column for column in table.columns)
    for table in (campaign.claims(), campaign.reductions(), campaign.published()):
        assert table._repr_html_()
    for plot in (
        campaign.plot.effects, campaign.plot.lengths, campaign.plot.slopes,
        campaign.plot.aa, campaign.plot.order,
    ):  # fmt: skip
        assert isinstance(plot("exit_reap"), NotebookFigure)


def test_a_campaign_shows_question_answer_check_and_figures(tmp_path: Path) -> None:
    campaign = Campaign.load(planned(tmp_path / "nightly"))

    page, text = Elements(campaign._repr_html_()).text, repr(campaign)

    for shown in (page, text):
        order = ("?", "opied names", "dentical", "extra per VMA", "yes", "nightly")
        at = [shown.index(words) for words in order]
        assert at == sorted(at)


@pytest.mark.parametrize("name", ["published-6.12-arm64", "published-6.12-uml"])
def test_what_is_shown_are_the_figures_that_are_shown_elsewhere(name: str) -> None:
    campaign = Campaign.load(DATA / f"{name}.parquet")

    page = campaign.effects()._repr_html_()

    for effect in cell_effects(campaign.samples, margin=campaign.margin):
        assert f">{percent(effect.percent)}<" in page
        assert f">{per_vma(effect.extra)}<" in page


def test_the_example_of_the_guide_runs(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (DATA.parents[1] / "harness/guides/reading-results.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    planned(here / "results/nightly")
    monkeypatch.chdir(here)
    # Synthetic records have no naming.
    example = example.replace('"name"', '"fork"')

    exec(example, {})


def test_a_metric_that_was_not_measured_is_one_error(tmp_path: Path) -> None:
    campaign = Campaign.load(planned(tmp_path / "nightly"))

    for ask in (campaign.effects, campaign.costs, campaign.plot.order, campaign.noise):
        with pytest.raises(UsageError, match=r"'nosuch'; it has fork, exit_reap"):
            ask("nosuch")


def test_what_has_nothing_to_plot_says_so_in_a_picture(tmp_path: Path) -> None:
    campaign = Campaign.load(write_records(tmp_path / "c", cell_records([100, 101])))

    for picture in (
        campaign.plot.effects(), campaign.plot.lengths(), campaign.plot.slopes(),
        campaign.plot.aa(),
    ):  # fmt: skip
        assert isinstance(picture, NotebookFigure)
        assert "Nothing to plot" in picture.words
    assert "CAN BE TRUSTED" in repr(campaign) or "is unknown" in repr(campaign)
    assert campaign.effects().empty
    assert "extra percent" in campaign.effects().columns


@pytest.mark.slow
def test_whatever_records_say_is_shown_as_text(tmp_path: Path) -> None:
    def hostile(run: Run) -> Run:
        return replace(
            run, variant=HOSTILE, machine=HOSTILE, accelerator=HOSTILE, cpu=HOSTILE,
            session=HOSTILE,
        )  # fmt: skip

    folder = write_records(tmp_path / HOSTILE_NAME, records_of(changed=hostile))

    campaign = Campaign.load(folder)

    page = campaign._repr_html_()
    assert not {"script", "i"} & Elements(page).names
    assert "<script>alert(1)</script> &" in Elements(page).text
    assert HOSTILE_NAME in Elements(page).text
    assert "\x1b" not in page + repr(campaign)
    for plot in (campaign.plot.effects, campaign.plot.aa, campaign.plot.order):
        figure = plot()
        assert isinstance(figure, NotebookFigure)
        assert figure.png()


def test_kernels_and_clocks_stand_apart(tmp_path: Path) -> None:
    def timed(run: Run) -> Run:
        return replace(run, run=f"t-{run.run}", target="uml", unit="ns")

    records = [*records_of(), *records_of(range(1000, 1008), changed=timed)]
    folder = write_records(tmp_path / "c", records)

    campaign = Campaign.load(folder)

    effects = campaign.effects()
    assert set(effects["unit"]) == {"insns", "ns"}
    assert effects["kernel"].nunique() == 2
    assert repr(effects).count("linux 6.12 switch") == 2
    for words in effects["kernel"].unique():
        assert words in Elements(campaign._repr_html_()).text


@pytest.mark.long
def test_the_package_is_imported_without_what_a_campaign_takes() -> None:
    script = (
        "import sys, harness\n"
        "assert {'Campaign', 'AllocationCounts'} <= set(dir(harness))\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
        "from harness import Campaign\n"
        "print('pandas' in sys.modules, Campaign.__module__)\n"
        "harness.nosuch\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    before, after = done.stdout.splitlines()
    for stack in ("pandas", "numpy", "pyarrow", "matplotlib", "scipy", "jinja2"):
        assert stack not in before.split()
    assert after == "True harness.analysis.campaign"
    assert "module 'harness' has no attribute 'nosuch'" in done.stderr
