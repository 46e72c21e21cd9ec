"""A whole text at once against the definition: a line after the other."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MapsFormatError
from harness.linux import read_maps
from harness.maps import (
    MapsEntry,
    columns,
    parse_columns,
    parse_line,
    parse_maps,
    render_maps,
)

PATHS = [
    b"", b"[heap]", b"[anon:]", b"[anon:a name]", b"[anon:" + b"n" * 79 + b"]",
    b"[anon_shmem:s]", b"[anon", b"[anon:" + b"n" * 80 + b"]", b"[anon:a$]",
    b"[anonymous]", b" /a", b"/a\rb (deleted)", b"/\0",
]  # fmt: skip
PERMS = ["rw-p", "r--p", "---p", "rwxs"]


def one_by_one(text: bytes) -> Iterator[MapsEntry]:
    """The definition of ``parse_maps``."""
    if not text:
        return
    if not text.endswith(b"\n"):
        raise MapsFormatError(text[-200:], "the text ends inside a line")
    end = 0
    for line in text[:-1].split(b"\n"):
        entry = parse_line(line)
        if entry.start < end:
            raise MapsFormatError(line, "it overlaps or precedes the line before it")
        end = entry.end
        yield entry


def result_of(text: bytes, parse: object) -> list[MapsEntry] | tuple[bytes, str]:
    assert callable(parse)
    try:
        return list(parse(text))
    except MapsFormatError as error:
        return error.line, str(error)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Rows of lines that lie side by side, where widths of addresses change, too."""
    at = draw(
        st.sampled_from([0, 0xFFFF_D000, 0x7F00_0000_0000, 0xFFFF_FFFF_FFFF_0000])
    )
    made = []
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.sampled_from([0, 0, 0, 0x1000, 1 << 32]))
        size = draw(st.sampled_from([0x1000, 0x1000, 0x2000, 1 << 30]))
        if at + size >= 1 << 64:
            break
        few = st.sampled_from([0, 0, 0, 1])
        odd = st.integers(0, 2**64 - 1)
        made.append(
            MapsEntry(
                start=at,
                end=at + size,
                perms=draw(st.sampled_from(PERMS)),
                offset=draw(st.one_of(few, few, odd)),
                major=draw(st.one_of(few, st.integers(0, 2**32 - 1))),
                minor=draw(few),
                inode=draw(st.one_of(few, few, odd)),
                pathname=draw(st.sampled_from(PATHS)),
            )
        )
        at += size
    return render_maps(made)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    text = bytearray(draw(texts()))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        match draw(st.sampled_from(["put", "take", "swap", "again", "cut"])):
            case "put":
                text[at:at] = draw(st.sampled_from([b" ", b"0", b"\n", b"-", b"A"]))
            case "take":
                del text[at : at + 1]
            case "swap":
                text[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "again":
                line = text.rfind(b"\n", 0, at) + 1
                stop = text.find(b"\n", at) + 1
                text[line:line] = text[line:stop]
            case _:
                del text[at:]
    return bytes(text)


LINE = b"7f0000001000-7f0000002000 rw-p 00000000 00:00 0 "
NEXT = b"7f0000002000-7f0000003000 rw-p 00000000 00:00 0 "
LATER = b"7f0000003000-7f0000004000 rw-p 00000000 00:00 0 "
WIDE = b"7f0000002000-7f0000003000 rw-p 1000000000000000 10000000:10000000 100000 "
ODD_ROWS = [
    [LINE, NEXT.ljust(73)],
    [LINE, NEXT.ljust(73) + b" "], [LINE.ljust(73), NEXT.ljust(73)],
    [LINE.ljust(73) + b"[anon:0]x", NEXT.ljust(73) + b"[anon:11]"],
    # Cut at every 124 bytes, its third line would be inside of its second.
    [
        LINE.ljust(73) + b"/" * 50,
        NEXT.ljust(73) + b"/" * 51 + LATER.ljust(73) + b"/",
        LINE.replace(b"7f", b"8f"),
    ],
    [LINE, NEXT.replace(b" 0 ", b" 00000000000000000000000012 ")],
    [LINE, WIDE], [LINE, WIDE + b" /a"], [LINE, WIDE[:-1] + b"2 "],
    [LINE, WIDE[:-1] + b"2  /a"], [LINE, WIDE[:-2] + b"  /a"],
    [LINE, NEXT[:5]], [LINE, NEXT[:26]], [LINE, NEXT, b""],
    [b"abc"], [b"abc-", b"def-"], [b""], [b" "],
    [LINE, LINE], [NEXT, LINE], [LINE, b"00001000-00002000" + LINE[25:]],
    [b"fffff000-100002000" + LINE[25:], b"100001000-100003000" + LINE[25:]],
    [LINE, NEXT.replace(b"3000", b"2000")],
    [LINE, NEXT.replace(b"f", b"F")],
    [LINE, NEXT.replace(b"2000-7", b"200-07")],
    [LINE, NEXT.replace(b"3000 rw", b"300 0rw")],
    [LINE, NEXT.replace(b"2000-7", b"2000 7").replace(b" rw", b"-rw")],
    [LINE.replace(b"7f00", b"0000"), NEXT.replace(b"7f00", b"0000")],
    [LINE.replace(b"7f000000", b"7f"), NEXT.replace(b"7f000000", b"7f")],
    [LINE.replace(b"7f00", b"7f0000000"), NEXT.replace(b"7f00", b"7f0000000")],
    [LINE.replace(b"7f00", b"7f00000000000"), NEXT.replace(b"7f00", b"7f0000000000")],
    [LINE.replace(b"f", b" ")],
    [LINE, NEXT.ljust(73) + b"/\0"], [LINE, NEXT.ljust(73) + b"[anon"],
    [LINE, NEXT.ljust(73) + b"[anon:a$]"], [LINE, NEXT.ljust(72) + b"x/a"],
]  # fmt: skip


@pytest.mark.parametrize("rows", ODD_ROWS, ids=repr)
@pytest.mark.parametrize(
    "last", [b"", LINE.replace(b"7f", b"8f")], ids=["", "and more"]
)
def test_an_unusual_line_is_parsed_as_by_itself(rows: list[bytes], last: bytes) -> None:
    text = b"".join(line + b"\n" for line in [*rows, *[last] * bool(last)])

    assert result_of(text, parse_maps) == result_of(text, one_by_one)


@given(mutated())
def test_a_text_at_once_is_its_lines_one_by_one(text: bytes) -> None:
    assert result_of(text, parse_maps) == result_of(text, one_by_one)


def alike(path: bytes, first: int = 7 << 40, count: int = 3) -> list[MapsEntry]:
    """Entries whose lines have one length; a path has a place for a number."""
    return [
        MapsEntry(
            start=first + i * 0x1000,
            end=first + (i + 1) * 0x1000,
            perms=PERMS[i % 2],
            pathname=path % i if path else b"",
        )
        for i in range(count)
    ]


@pytest.mark.long
@pytest.mark.parametrize("first", [0x1000_0000, 7 << 40, 0xFFFF << 48])
@pytest.mark.parametrize(
    "path",
    [b"", b"[anon:%d]", b"[anon:%080d]", b"[anon:%d]x", b"[anon_shmem:%d]", b"/%d"],
)
def test_lines_of_one_length_are_parsed_as_one_by_one(path: bytes, first: int) -> None:
    """Whatever byte is put wherever, in the second line or in each."""
    text = render_maps(alike(path, first))
    width = text.index(b"\n") + 1
    for at in range(width):
        for byte in b"\n\0 019af-A[]:$x/":
            once, each = bytearray(text), bytearray(text)
            once[width + at] = byte
            each[at::width] = bytes([byte]) * 3
            for odd in map(bytes, [once, each]):
                assert result_of(odd, parse_maps) == result_of(odd, one_by_one), odd


@pytest.mark.parametrize("path", [b"", b"[anon:%04d]", b"[anon_shmem:%04d]", b"/%04d"])
def test_lines_of_one_length_are_not_even_cut(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = alike(path, count=9999)
    monkeypatch.delattr(columns._Builder, "_add_row")

    assert list(parse_maps(render_maps(made))) == made


def test_lines_that_are_alike_are_not_parsed_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The text has every turn of width, and lines of other mappings around."""
    calls: list[bytes] = []

    def counted(line: bytes) -> MapsEntry:
        calls.append(line)
        return parse_line(line)

    made = [
        MapsEntry(
            start=start + i * 0x1000,
            end=start + (i + 1) * 0x1000,
            perms=PERMS[i % 2],
            pathname=b"[anon:%d]" % i if i % 3 else b"",
        )
        for start in (0x1000_0000, 0xFFF0_0000, 0x7F00_0000_0000, 0xFFFF << 48)
        for i in range(1000)
    ]
    text = render_maps(made)
    monkeypatch.setattr(columns, "parse_line", counted)

    assert list(parse_maps(text)) == made
    # Two protections, with a name and without, in rows of 8, 9, 12 and 16 digits;
    # and the line that is between two of these.
    assert len(calls) == 2 * 2 * 4 + 1


def test_this_process_s_own_lines_are_the_same_in_columns() -> None:
    text = read_maps()
    table = parse_columns(text)

    assert table.entries() == list(one_by_one(text))
    assert [table.headers[i].perms for i in table.which] == [
        entry.perms for entry in one_by_one(text)
    ]


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_as_it_was_after_values_are_made(on: bool) -> None:
    """It rests meanwhile: a look at 65 536 values a hundred times finds nothing."""
    looks: list[str] = []
    made = [MapsEntry(start=i, end=i + 1, perms="rw-p") for i in range(10_000)]
    table = parse_columns(render_maps(made))
    was_on = gc.isenabled()
    (gc.enable if on else gc.disable)()
    gc.callbacks.append(lambda phase, info: looks.append(phase))
    try:
        values = table.entries()
        after = gc.isenabled()
    finally:
        gc.callbacks.pop()
        (gc.enable if was_on else gc.disable)()

    assert values == made
    assert after is on
    assert len(looks) <= 2 * 2


def test_values_are_frozen_and_can_be_keys() -> None:
    (entry,) = parse_maps(LINE + b"\n")

    assert {entry: 1} == {parse_line(LINE): 1}
    with pytest.raises(AttributeError):
        entry.start = 0  # type: ignore[misc]
