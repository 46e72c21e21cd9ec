import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MapsFormatError
from harness.linux import read_maps
from harness.maps import (
    MapsEntry,
    PathKind,
    parse_line,
    parse_maps,
    render_line,
    render_maps,
    smaps_headers,
)

NAME_BYTES = bytes(c for c in range(0x20, 0x7F) if c not in b"\\`$[]")

names = st.binary(max_size=79).map(
    lambda raw: bytes(NAME_BYTES[c % len(NAME_BYTES)] for c in raw)
)
file_paths = st.binary(min_size=1, max_size=60).map(
    lambda raw: b"/" + raw.replace(b"\n", b"\\012").replace(b"\0", b"?")
)
pathnames = st.one_of(
    st.just(b""),
    names.map(lambda name: b"[anon:%s]" % name),
    names.map(lambda name: b"[anon_shmem:%s]" % name),
    st.sampled_from([b"[heap]", b"[stack]", b"[vdso]", b"[vvar]", b"[vsyscall]"]),
    file_paths,
)


@st.composite
def entries(draw: st.DrawFn) -> list[MapsEntry]:
    edges = draw(
        st.lists(st.integers(0, 2**52 - 1), min_size=0, max_size=20, unique=True).map(
            sorted
        )
    )
    return [
        MapsEntry(
            start=start << 12,
            end=end << 12,
            perms="".join(
                draw(st.sampled_from(pair)) for pair in ("r-", "w-", "x-", "ps")
            ),
            offset=draw(st.integers(0, 2**64 - 1)),
            major=draw(st.integers(0, 2**32 - 1)),
            minor=draw(st.integers(0, 2**32 - 1)),
            inode=draw(st.integers(0, 2**64 - 1)),
            pathname=draw(pathnames),
        )
        for start, end in zip(edges[::2], edges[1::2], strict=False)
    ]


@given(entries())
def test_what_is_rendered_parses_back_and_renders_the_same(
    made: list[MapsEntry],
) -> None:
    text = render_maps(made)

    assert list(parse_maps(text)) == made
    assert render_maps(parse_maps(text)) == text


@given(st.binary(max_size=200))
def test_a_line_is_refused_or_renders_back_byte_for_byte(line: bytes) -> None:
    try:
        entry = parse_line(line)
    except MapsFormatError:
        return
    assert render_line(entry) == line


@given(entries().filter(bool), st.data())
def test_a_line_with_one_byte_changed_is_refused_or_renders_back(
    made: list[MapsEntry], data: st.DataObject
) -> None:
    line = bytearray(render_line(made[0]))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] = data.draw(st.integers(0, 255))

    try:
        entry = parse_line(bytes(line))
    except MapsFormatError:
        return
    assert render_line(entry) == bytes(line)


def test_this_process_s_own_maps_render_back_byte_for_byte() -> None:
    text = read_maps()

    assert render_maps(parse_maps(text)) == text


HEADER = b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 "


@pytest.mark.parametrize(
    ("pathname", "kind", "name"),
    [
        (b"", PathKind.UNNAMED, None),
        (b"[anon:]", PathKind.ANON, b""),
        (b"[anon:  two  spaces ]", PathKind.ANON, b"  two  spaces "),
        (b"[anon:x (deleted)]", PathKind.ANON, b"x (deleted)"),
        (b"[anon:<b>&\"'/:#%]", PathKind.ANON, b"<b>&\"'/:#%"),
        (b"[anon:" + b"n" * 79 + b"]", PathKind.ANON, b"n" * 79),
        (b"[anon_shmem:s]", PathKind.ANON_SHMEM, b"s"),
        (b"[heap]", PathKind.SPECIAL, None),
        (b"/a\rb (deleted)", PathKind.FILE, None),
        (b"/dev/zero (deleted)", PathKind.FILE, None),
        (b"anon_inode:[perf_event]", PathKind.FILE, None),
    ],
)
def test_what_stands_in_the_last_field(
    pathname: bytes, kind: PathKind, name: bytes | None
) -> None:
    line = HEADER.ljust(72) + b" " + pathname if pathname else HEADER

    entry = parse_line(line)

    assert (entry.pathname, entry.kind, entry.anon_name) == (pathname, kind, name)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        HEADER[:-1],
        HEADER + b" ",
        HEADER.ljust(72) + b" ",
        HEADER + b"[heap]",
        HEADER.ljust(71) + b" [heap]",
        HEADER.ljust(72) + b" /a\0b",
        HEADER.ljust(72) + b" [anon:a$b]",
        HEADER.ljust(72) + b" [anon:" + b"n" * 80 + b"]",
        HEADER.replace(b"rw-p", b"rwzp"),
        HEADER.replace(b"7f0000001000", b"7f0000000000"),
        HEADER.replace(b"7f00", b"7F00"),
        HEADER.replace(b" 0 ", b" 00 "),
        HEADER.replace(b"00:00", b"000:00"),
    ],
)
def test_an_unknown_shape_is_an_error_that_shows_the_line(line: bytes) -> None:
    with pytest.raises(MapsFormatError) as raised:
        parse_line(line)

    assert raised.value.line == line
    assert repr(line) in str(raised.value)


@pytest.mark.parametrize(("inode", "fits"), [(2**64 - 1, True), (2**64, False)])
def test_an_inode_has_64_bits(inode: int, fits: bool) -> None:
    line = HEADER.replace(b" 0 ", b" %d " % inode)

    if fits:
        assert parse_line(line).inode == inode
    else:
        with pytest.raises(MapsFormatError, match="64 bits"):
            parse_line(line)


def test_text_cut_inside_a_line_is_an_error() -> None:
    with pytest.raises(MapsFormatError, match="ends inside a line"):
        list(parse_maps(HEADER))


def test_lines_that_overlap_are_an_error() -> None:
    with pytest.raises(MapsFormatError, match="overlaps"):
        list(parse_maps((HEADER + b"\n") * 2))


def test_no_text_is_no_entries() -> None:
    assert list(parse_maps(b"")) == []


def test_the_headers_of_smaps_are_its_lines_that_maps_has_too() -> None:
    headers = [
        b"00400000-00401000 rw-p 00000000 00:00 0 ",
        b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ".ljust(73)
        + b"[anon:Size:  4 kB]",
        b"7f0000002000-7f0000003000 r--p 00000000 08:01 12 ".ljust(73)
        + b"/a\rRss: 0 kB",
    ]
    fields = b"Size:                  4 kB\nVmFlags: rd wr mr mw me ac \n"

    text = b"".join(header + b"\n" + fields for header in headers)

    assert smaps_headers(text) == b"".join(header + b"\n" for header in headers)
    assert smaps_headers(b"") == b""
