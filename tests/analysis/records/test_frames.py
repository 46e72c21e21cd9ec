import dataclasses
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from harness.analysis import check_poolable, load, stream_parquet, usable, write_parquet
from harness.analysis.records import frames, lines, parquet
from harness.errors import RecordError, UsageError
from harness.worker.measure import (
    Record,
    Run,
    RunEnd,
    Sample,
    Superseded,
    render_record,
)
from harness.worker.measure.pooling import MUST_MATCH, why_not_pooled
from tests.synthetic import (
    EXIT_COST,
    WARMUP_COST,
    cell_records,
    run_of,
    samples_of,
    whole_run,
    write_records,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A campaign of two cells in two boots; one kernel did not say its build."""
    records = [
        *cell_records([100, 110]),
        *whole_run(replace(run_of(run="x", variant="strdup"), build_id=None), [7]),
    ]
    return write_records(tmp_path / "campaign", records)


def test_a_folder_its_records_and_its_parquet_are_the_same_frame(folder: Path) -> None:
    frame = load(folder)
    write_parquet(frame, folder / "records.parquet")

    pd.testing.assert_frame_equal(load(folder / "records.jsonl"), frame)
    pd.testing.assert_frame_equal(load(folder / "records.parquet"), frame)


def documented() -> dict[str, str]:
    """Each column of the module's docstring, with the rest of its line."""
    assert frames.__doc__ is not None
    table = frames.__doc__.split("\n\n")[2]
    columns = {}
    for line in table.splitlines()[1:]:
        names, *rest = re.split(r"\s{2,}", line.strip(), maxsplit=1)
        columns.update(dict.fromkeys(names.split(", "), " ".join(rest)))
    return columns


def test_the_documented_columns_are_there_with_their_types(folder: Path) -> None:
    frame = load(folder)

    assert set(documented()) <= set(frame.columns)
    for name in ("value", "order", "began", "repetition"):
        assert documented()[name].startswith("int64")
        assert frame[name].dtype == "int64"
    for name in ("warmup", "valid", "run_valid"):
        assert documented()[name].startswith("bool")
        assert frame[name].dtype == "bool"
    for name in ("metric", "unit", "store", "reason", "variant", "build_id"):
        assert isinstance(frame[name].dtype, pd.CategoricalDtype)
        words = frame[name].cat.categories
        assert words.dtype == "str"
        assert list(words) == sorted(set(frame[name].dropna()))
    assert documented()["metric"].startswith("category")
    assert frame["vmas"].dtype == "int64"
    assert frame["fifo"].dtype == "bool"


def test_a_row_is_a_sample_with_the_facts_of_its_run(folder: Path) -> None:
    frame = load(folder)

    facts = {field.name for kind in (Run, Sample) for field in dataclasses.fields(kind)}
    assert set(frame.columns) == facts | {"run_valid"}
    first = frame.iloc[0]
    assert (first["metric"], first["value"], first["variant"], first["vmas"]) == (
        "fork", WARMUP_COST, "switch", 1000
    )  # fmt: skip
    assert len(frame) == 2 * 9 + 5


def test_the_store_is_the_sample_s_and_not_the_run_s(tmp_path: Path) -> None:
    run = run_of(store="refcounted")
    sample = replace(samples_of(run, [1])[0], store="strdup")

    frame = load(write_records(tmp_path, [run, sample]))

    assert list(frame["store"]) == ["strdup"]


def test_a_last_line_that_is_half_written_is_left_out(folder: Path) -> None:
    whole = load(folder)
    with open(folder / "records.jsonl", "ab") as file:
        file.write(render_record(run_of())[:-1])

    pd.testing.assert_frame_equal(load(folder), whole)


def test_a_line_that_is_no_record_is_an_error_with_its_file_and_number(
    folder: Path,
) -> None:
    path = folder / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b"no record\n", *lines[4:]]))

    with pytest.raises(RecordError, match=re.escape(f"{path}:5: ")) as raised:
        load(folder)

    assert raised.value.line == b"no record"


def test_a_sample_before_its_run_is_an_error_with_its_file_and_number(
    tmp_path: Path,
) -> None:
    run = run_of()
    first, second, *_ = samples_of(run, [1])
    write_records(tmp_path, [run, first, replace(second, run="other")])

    with pytest.raises(
        RecordError, match=r"records\.jsonl:3: its run does not come before"
    ):
        load(tmp_path)


@pytest.mark.parametrize("records", [[], [run_of()]], ids=["empty", "run only"])
def test_records_without_a_sample_are_told_so(
    tmp_path: Path, records: list[Record]
) -> None:
    write_records(tmp_path, records)

    with pytest.raises(UsageError, match="has no samples yet"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["", "records.jsonl", "records.parquet"])
def test_a_path_where_nothing_is_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="there are no records at"):
        load(tmp_path / "campaign" / name)


def test_a_file_that_is_not_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    path.write_bytes(b"no Parquet")

    with pytest.raises(UsageError, match=r"records\.parquet is not Parquet"):
        load(path)


def test_somebody_else_s_parquet_is_told_by_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    pd.DataFrame({"metric": ["fork"], "value": [1]}).to_parquet(path)

    with pytest.raises(
        UsageError, match=r"it has no column accelerator, base, .* and 40 more"
    ):
        load(path)


def test_parquet_is_written_whole_or_not_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = load(folder)
    path = folder / "records.parquet"
    write_parquet(frame, path)
    before = sorted(folder.iterdir()), path.read_bytes()

    def fill_the_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fill_the_disk)
    for write in (partial(write_parquet, frame), partial(stream_parquet, folder)):
        with pytest.raises(OSError, match="No space"):
            write(path)

        assert (sorted(folder.iterdir()), path.read_bytes()) == before


def test_a_frame_may_be_changed_where_it_is(folder: Path) -> None:
    write_parquet(load(folder), folder / "records.parquet")

    for path in (folder, folder / "records.parquet"):
        frame = load(path)
        frame.loc[frame["warmup"], "value"] = 5
        assert WARMUP_COST not in set(frame["value"])


def test_columns_that_were_asked_for_are_those_of_the_whole(folder: Path) -> None:
    write_parquet(whole := load(folder), folder / "records.parquet")

    for path in (folder, folder / "records.parquet"):
        some = load(path, ("value", "metric", "run"))
        pd.testing.assert_frame_equal(some, whole[["run", "metric", "value"]])


@pytest.mark.parametrize("group", [1, 5, 1000])
def test_what_is_streamed_is_what_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    """In groups of a sample each, whose texts differ, as in one."""
    for module in (frames, parquet):
        monkeypatch.setattr(module, "GROUP", group)
    monkeypatch.setattr(parquet, "_FEW", 0)
    monkeypatch.setattr(lines, "BLOCK", 700)
    out = folder / "streamed.parquet"

    assert stream_parquet(folder, out) == 23

    pd.testing.assert_frame_equal(load(out), load(folder))
    assert pq.read_metadata(out).num_row_groups >= 23 // group


@pytest.mark.parametrize("at", [3, -1])
def test_what_cannot_be_loaded_cannot_be_streamed(folder: Path, at: int) -> None:
    path = folder / "records.jsonl"
    told = path.read_bytes().splitlines(keepends=True)
    told[at] = b'{"kind":"sample"}\n'
    path.write_bytes(b"".join(told))
    before = sorted(folder.iterdir())

    with pytest.raises(RecordError) as streamed:
        stream_parquet(folder, folder / "records.parquet")
    with pytest.raises(RecordError) as loaded:
        load(folder)

    assert str(streamed.value) == str(loaded.value)
    assert sorted(folder.iterdir()) == before


def test_warmups_are_in_the_frame_but_not_usable(folder: Path) -> None:
    frame = load(folder)

    assert WARMUP_COST in set(frame["value"])
    assert list(usable(frame, "fork")["value"]) == [
        100, 99, 5100, 110, 109, 5110, 7
    ]  # fmt: skip
    assert set(usable(frame, "exit_reap")["value"]) == {EXIT_COST}


def invalid_sample(records: list[Record]) -> list[Record]:
    return [
        replace(r, valid=False, reason="why") if isinstance(r, Sample) else r
        for r in records
    ]


def invalid_end(records: list[Record]) -> list[Record]:
    return [
        replace(r, valid=False, reason="why") if isinstance(r, RunEnd) else r
        for r in records
    ]


def no_end(records: list[Record]) -> list[Record]:
    return [r for r in records if not isinstance(r, RunEnd)]


@pytest.mark.parametrize("spoil", [invalid_sample, invalid_end, no_end])
def test_samples_that_may_not_be_analysed_are_kept_but_not_usable(
    tmp_path: Path, spoil: Callable[[list[Record]], list[Record]]
) -> None:
    good = whole_run(run_of(run="good"), [1, 2])
    bad = whole_run(run_of(run="bad"), [3, 4])

    frame = load(write_records(tmp_path, [*good, *spoil(bad)]))

    assert {1, 2, 3, 4} < set(frame["value"])
    assert list(usable(frame, "fork")["value"]) == [1, 2]


def test_a_superseded_run_is_not_usable_wherever_that_stands(tmp_path: Path) -> None:
    good = whole_run(run_of(run="good"), [1, 2])
    bad = whole_run(run_of(run="bad"), [3, 4])
    gone = Superseded(run="bad", reason="its guest was gone")

    for records in (
        [*bad, gone, *good],
        [*bad, *good, gone],
        [*bad[:-1], gone, bad[-1], *good],
    ):
        frame = load(write_records(tmp_path, records))

        assert {1, 2, 3, 4} < set(frame["value"])
        assert list(usable(frame, "fork")["value"]) == [1, 2]


def test_what_is_superseded_before_it_began_is_an_error(tmp_path: Path) -> None:
    good = whole_run(run_of(run="good"), [1, 2])
    write_records(tmp_path, [*good, Superseded(run="other", reason="")])

    with pytest.raises(RecordError, match=r":10: its run does not come before it"):
        load(tmp_path)


def test_what_must_match_is_what_makes_a_kernel_and_a_clock() -> None:
    assert {
        "build_id", "config_sha256", "kernel_release", "cpu", "clock", "settings",
    } < {*MUST_MATCH}  # fmt: skip


@pytest.mark.parametrize("fact", MUST_MATCH)
def test_a_fact_that_must_match_is_named_where_it_differs(
    tmp_path: Path, fact: str
) -> None:
    # Python, of time only.
    unit = "ns" if fact == "python" else "insns"
    run = run_of(run="a", unit=unit)
    before = getattr(run, fact)
    after = {"settle_ms": 5, "rest_ms": 5, "protocol": 99}.get(fact, "other")
    other = replace(run, run="b", **{fact: after})  # type: ignore[arg-type]
    same = [*whole_run(run, [1]), *whole_run(replace(run, run="c"), [1])]
    check_poolable(load(write_records(tmp_path, same)))

    frame = load(write_records(tmp_path, [*same, *whole_run(other, [1])]))
    with pytest.raises(UsageError) as raised:
        check_poolable(frame)

    assert str(raised.value) == (
        f"the runs of switch 6.12 qemu aarch64 tcg icount shift=0 {unit} "
        "cannot be pooled: "
        f"{fact} differs: {before!r}, {after!r}"
    )


@pytest.mark.parametrize(
    ("fact", "unit"), [("harness", "insns"), ("harness", "ns"), ("python", "insns")]
)
def test_what_does_not_change_what_is_measured_may_differ(
    tmp_path: Path, fact: str, unit: str
) -> None:
    """The version of the harness; and Python's, where instructions are counted."""
    run = run_of(run="a", unit=unit)
    other = replace(run, run="b", **{fact: "other"})  # type: ignore[arg-type]
    records = [*whole_run(run, [1]), *whole_run(other, [1])]

    check_poolable(load(write_records(tmp_path, records)))

    assert why_not_pooled(run, other) is None


def test_a_fact_that_only_some_runs_know_differs(tmp_path: Path) -> None:
    run = run_of(run="a")
    unknown = replace(run, run="b", build_id=None)
    records = [*whole_run(run, [1]), *whole_run(unknown, [1])]

    with pytest.raises(UsageError, match="build_id differs"):
        check_poolable(load(write_records(tmp_path, records)))


def test_kernels_of_other_variants_and_bases_may_differ(tmp_path: Path) -> None:
    records = [
        *cell_records([1], variant="strdup"),
        *cell_records([1], variant="switch"),
        *cell_records([1], variant="switch", base="6.1"),
    ]

    check_poolable(load(write_records(tmp_path, records)))
