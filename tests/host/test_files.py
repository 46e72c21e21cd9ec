"""Files in chunks of whole lines, whatever the size of blocks that they come in."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.host.files import chunks_of, lines_of

TEXTS = st.lists(st.sampled_from([b"a", b"\n", b"bcd"]), max_size=40).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=TEXTS, block=st.integers(1, 9), unended=st.booleans())
def test_chunks_are_the_whole_lines_of_a_file(
    tmp_path: Path, text: bytes, block: int, unended: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(text)
    *whole, last = text.split(b"\n")
    expected = [*whole, *([last] if last and unended else [])]

    chunks = list(chunks_of(path, longest=99_999, block=block, unended=unended))

    assert b"".join(chunks) == b"".join(line + b"\n" for line in expected)
    assert all(chunk.endswith(b"\n") for chunk in chunks)
    assert list(lines_of(path, longest=99_999, unended=unended)) == expected


@pytest.mark.parametrize("block", [1, 3, 100])
def test_a_line_that_is_too_long_is_the_last_and_tells_so(
    tmp_path: Path, block: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"ab\n" + b"x" * 50)

    *_, last = b"".join(chunks_of(path, longest=10, block=block)).splitlines()

    assert len(last) > 10
    assert {*last} == {ord("x")}


def test_what_never_ends_is_not_read_to_its_end() -> None:
    (only,) = chunks_of(Path("/dev/zero"), longest=1 << 16, block=1 << 12)

    assert 1 << 16 < len(only) < 1 << 17
