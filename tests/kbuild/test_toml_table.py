from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.kbuild import read_table


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a = " + b"9" * 5000, "is not TOML: Exceeds the limit"),
        (b"a = " + b"[" * 5000, "is not TOML: maximum recursion"),
        (b"a = 1\na = 2\n", "is not TOML"),
        (b"\xff", "is not TOML"),
        (b"# " + b"x" * (1 << 20), "is not TOML: it has more than 1048576 bytes"),
    ],
    ids=["digits", "brackets", "twice", "bytes", "length"],
)
def test_what_no_person_writes_is_refused(
    content: bytes, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=why) as raised:
        read_table(path)

    assert len(str(raised.value)) < 1000


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(UsageError, match="more than 1048576 bytes"):
        read_table(Path("/dev/zero"))


def test_a_table_is_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('a = ["b"]\n')

    assert read_table(path) == {"a": ["b"]}
