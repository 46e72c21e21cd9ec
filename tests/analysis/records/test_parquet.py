"""Parquet from elsewhere: a campaign, or one error; whatever is done to the file."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.analysis import load, plain, stream_parquet, write_parquet
from harness.analysis.records import parquet
from harness.errors import UsageError
from harness.worker.measure import protocol_of_version
from tests.synthetic import cell_records, run_of, whole_run, write_records


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    """A campaign of two cells as it is written."""
    records = [*cell_records([100, 110]), *whole_run(run_of(run="x"), [7])]
    stream_parquet(write_records(tmp_path / "c", records), tmp_path / "c.parquet")
    return pq.read_table(tmp_path / "c.parquet")


def of_texts(table: pa.Table) -> pa.Table:
    """As pandas wrote it before texts were dictionaries."""
    return pa.Table.from_pandas(plain(table.to_pandas()), preserve_index=False)


def of_short_texts(table: pa.Table) -> pa.Table:
    return table.cast(
        pa.schema(
            (f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type)
            for f in table.schema
        )
    )


def in_another_order(table: pa.Table) -> pa.Table:
    return table.select(table.column_names[::-1])


def with_more(table: pa.Table) -> pa.Table:
    return table.append_column("more", pa.array([[1]] * len(table)))


@pytest.mark.parametrize(
    "change", [of_texts, of_short_texts, in_another_order, with_more]
)
def test_other_ways_to_write_a_campaign_are_the_same_frame(
    table: pa.Table, tmp_path: Path, change: Callable[[pa.Table], pa.Table]
) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(change(table), path, row_group_size=5)

    pd.testing.assert_frame_equal(load(path), load(tmp_path / "c"))


def changed(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def repeated(value: object, kind: pa.DataType | None = None) -> Callable[..., pa.Array]:
    return lambda table: pa.array([value] * len(table), kind)


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("value", repeated("5"), "column value is string"),
        ("value", repeated(5.0), "column value is double"),
        ("value", repeated(5, pa.uint64()), "column value is uint64"),
        ("value", repeated(5, pa.int32()), "column value is int32"),
        ("value", repeated(None, pa.int64()), "column value lacks values"),
        ("valid", repeated(1), "column valid is int64"),
        ("run_valid", repeated(None, pa.bool_()), "column run_valid lacks values"),
        ("metric", repeated(1), "column metric is int64"),
        ("metric", repeated(b"fork"), "column metric is binary"),
        ("metric", repeated(["fork"]), "column metric is list"),
        ("metric", repeated({"a": 1}), "column metric is struct"),
        ("metric", repeated("\x1b[31m"), r"'\\x1b\[31m' is not a metric"),
        ("unit", repeated("hours"), "'hours' is not a unit"),
        ("run", repeated(None, pa.string()), "column run lacks values"),
        (
            "store",
            lambda table: pa.DictionaryArray.from_arrays([0] * len(table), [b"a"]),
            "column store is binary",
        ),
    ],
)  # fmt: skip
def test_what_a_column_may_not_have_is_told_with_the_column(
    table: pa.Table,
    tmp_path: Path,
    name: str,
    values: Callable[[pa.Table], pa.Array],
    why: str,
) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(changed(table, name, values(table)), path)

    with pytest.raises(UsageError, match=why) as raised:
        load(path)

    assert str(raised.value).isprintable()


def test_text_that_is_no_text_is_one_error(table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    broken = pa.array([b"\xff\xfe"] * len(table)).view(pa.string())
    pq.write_table(changed(table, "reason", broken), path)

    with pytest.raises(UsageError, match="is damaged"):
        load(path)


def test_a_small_file_of_very_many_samples_is_refused(
    table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be hundreds of bytes a sample in memory, made of nothing."""
    path = tmp_path / "other.parquet"
    pq.write_table(pa.concat_tables([table.slice(0, 1)] * 1000), path)
    assert len(load(path)) == 1000

    monkeypatch.setattr(parquet, "_ALWAYS", 1)
    monkeypatch.setattr(parquet, "_MOST_A_BYTE", 1000 / path.stat().st_size / 2)
    with pytest.raises(UsageError, match="it claims 1000 rows, but is too small"):
        load(path)


def test_a_column_that_is_there_twice_is_refused(
    table: pa.Table, tmp_path: Path
) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(table.append_column("value", table["value"]), path)

    with pytest.raises(UsageError, match="two columns value"):
        load(path)


# In a process of its own, with little memory: what ends it would end the tests.
_DAMAGE = """
import random, resource, sys
from pathlib import Path
from harness.analysis import load
from harness.analysis.records.provenance import identity_of
from harness.errors import UsageError

path, seed, tries = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
whole = path.read_bytes()
draw = random.Random(seed)
load(path)
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
refused = 0
for _ in range(tries):
    text = bytearray(whole)
    for _ in range(draw.choice([1, 1, 2, 8])):
        # Half of the damage to the end, where the file says what it is.
        least = draw.choice([0, len(text) * 2 // 3]) if text else 0
        at = draw.randrange(least, max(len(text), least + 1))
        how = draw.randrange(4)
        if how == 0 and text:
            text[at % len(text)] ^= 1 << draw.randrange(8)
        elif how == 1 and text:
            text[at % len(text)] = draw.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif how == 2:
            del text[at : at + draw.choice([1, 4, 100, len(text)])]
        else:
            text[at:at] = draw.randbytes(draw.choice([1, 4, 100]))
    path.write_bytes(text)
    for read in (load, identity_of):
        try:
            read(path)
        except UsageError as error:
            assert str(error).isprintable(), error
            refused += 1
# Not ru_maxrss: a process begins with that of the one that started it.
(most,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(refused, int(most.split()[1]) >> 10)
"""


@pytest.mark.long
def test_a_damaged_file_is_read_or_is_one_error(
    table: pa.Table, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.parquet"
    write_parquet(load(tmp_path / "c"), path)

    done = subprocess.run(
        [sys.executable, "-c", _DAMAGE, str(path), "1", "200"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-2000:]
    refused, mib = map(int, done.stdout.split())
    assert refused > 100
    assert mib < 512


def test_a_file_of_schema_2_has_the_protocol_of_its_versions(
    table: pa.Table, tmp_path: Path
) -> None:
    """Each sample's, by the version that its run says; whatever is asked for."""
    path = tmp_path / "old.parquet"
    old = table.drop_columns(["protocol"])
    versions = ["0.3.0" if i % 2 else "0.3.2" for i in range(len(old))]
    at = old.column_names.index("harness")
    old = old.set_column(at, "harness", pa.array(versions).dictionary_encode())
    pq.write_table(old, path, row_group_size=3)

    wanted = [protocol_of_version(version) for version in versions]
    assert len(set(wanted)) == 2
    assert load(path)["protocol"].tolist() == wanted
    assert load(path, ["value", "protocol"])["protocol"].tolist() == wanted
    assert "protocol" not in load(path, ["value"])
