import pytest

from harness.analysis import maps_frame
from harness.errors import MapsFormatError
from harness.linux import read_maps
from harness.maps import MapsEntry, parse_maps, render_maps

FIELDS = ["start", "end", "perms", "offset", "major", "minor", "inode", "pathname"]
MADE = [
    MapsEntry(start=0x1000, end=0x2000, perms="rw-p"),
    MapsEntry(start=0x2000, end=0x4000, perms="r--p", pathname=b"[anon:  a: b ]"),
    MapsEntry(start=0x4000, end=0x5000, perms="rw-s", pathname=b"[anon_shmem:s]"),
    MapsEntry(start=0x5000, end=0x6000, perms="---p", pathname=b"[anon:]"),
    MapsEntry(start=0x6000, end=0x7000, perms="rw-p", pathname=b"[heap]"),
    MapsEntry(
        start=0x7000, end=0x8000, perms="r-xp", offset=2**64 - 4096,
        major=2**32 - 1, minor=2**32 - 2, inode=2**64 - 1, pathname=b"/a\xff b",
    ),
    MapsEntry(start=2**64 - 4096, end=2**64 - 1, perms="--xp", pathname=b"[vsyscall]"),
]  # fmt: skip


@pytest.mark.parametrize("text", [render_maps(MADE), read_maps(), b""])
def test_a_row_is_the_line_s_value(text: bytes) -> None:
    entries = list(parse_maps(text))

    rows = maps_frame(text).to_dict("records")

    assert [MapsEntry(**{f: row[f] for f in FIELDS}) for row in rows] == entries
    assert [row["anon_name"] for row in rows] == [e.anon_name for e in entries]


@pytest.mark.parametrize("text", [render_maps(MADE), b""])
def test_columns_have_the_same_types_whatever_is_in_them(text: bytes) -> None:
    assert {name: str(kind) for name, kind in maps_frame(text).dtypes.items()} == {
        "start": "uint64", "end": "uint64", "perms": "category", "offset": "uint64",
        "major": "uint32", "minor": "uint32", "inode": "uint64",
        "pathname": "object", "anon_name": "object",
    }  # fmt: skip


def test_rows_can_be_changed() -> None:
    frame = maps_frame(render_maps(MADE))

    frame.loc[0, "start"] = 0

    assert frame.loc[0, "start"] == 0


@pytest.mark.parametrize("text", [b"nothing\n", render_maps(MADE)[:-1]])
def test_what_is_no_maps_is_refused_as_by_parse_maps(text: bytes) -> None:
    with pytest.raises(MapsFormatError) as expected:
        list(parse_maps(text))

    with pytest.raises(MapsFormatError) as raised:
        maps_frame(text)

    assert str(raised.value) == str(expected.value)
