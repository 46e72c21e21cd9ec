import stat
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.targets.cpio import (
    CpioEntry,
    file_entry,
    folder_entry,
    link_entry,
    render_cpio,
)

# Documentation/driver-api/early-userspace/buffer-format.rst
FIELDS = (
    "ino", "mode", "uid", "gid", "nlink", "mtime", "filesize",
    "maj", "min", "rmaj", "rmin", "namesize", "chksum",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """What an archive holds, as the kernel would read it."""

    path: str
    content: bytes
    fields: dict[str, int]


def read_cpio(text: bytes) -> list[Member]:
    """The members of archives that follow one another, trailers left out."""
    members = []
    at = 0
    while at < len(text):
        assert at % 4 == 0
        assert text[at : at + 6] == b"070701"
        numbers = [int(text[at + 6 + 8 * i :][:8], 16) for i in range(len(FIELDS))]
        fields = dict(zip(FIELDS, numbers, strict=True))
        name = at + 110
        end = name + fields["namesize"]
        assert text[end - 1] == 0
        start = -(-end // 4) * 4
        stop = start + fields["filesize"]
        at = -(-stop // 4) * 4
        assert not any(text[end:start] + text[stop:at])
        assert at <= len(text)
        path = text[name : end - 1].decode()
        if path != "TRAILER!!!":
            members.append(Member(path, text[start:stop], fields))
    return members


# What ends an archive is the name of no file.
paths = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
).filter(lambda path: path != "TRAILER!!!")
entries = st.one_of(
    st.builds(file_entry, paths, st.binary(max_size=9), mode=st.integers(0, 0o777)),
    st.builds(folder_entry, paths),
    st.builds(link_entry, paths, paths),
)


@given(st.lists(entries))
def test_what_is_archived_is_read_back(made: list[CpioEntry]) -> None:
    members = read_cpio(render_cpio(made))

    assert [CpioEntry(m.path, m.fields["mode"], m.content) for m in members] == made


@given(st.lists(entries), st.lists(entries))
def test_archives_may_follow_one_another(
    first: list[CpioEntry], second: list[CpioEntry]
) -> None:
    both = render_cpio(first) + render_cpio(second)

    assert [member.path for member in read_cpio(both)] == [
        entry.path for entry in [*first, *second]
    ]


@pytest.mark.parametrize("size", range(9))
def test_an_archive_is_a_whole_number_of_words(size: int) -> None:
    text = render_cpio([file_entry("n" * size, b"c" * size)])

    assert len(text) % 4 == 0


def test_the_same_entries_are_the_same_archive() -> None:
    made = [folder_entry("a"), file_entry("a/b", b"c"), link_entry("d", "a/b")]

    assert render_cpio(made) == render_cpio(made)


def test_all_is_root_s_without_a_time_and_each_has_a_number_of_its_own() -> None:
    made = [file_entry("a", b"x"), file_entry("b", b"x"), folder_entry("c")]

    fields = [member.fields for member in read_cpio(render_cpio(made))]

    assert {(f["uid"], f["gid"], f["mtime"], f["nlink"]) for f in fields} == {
        (0, 0, 0, 1)
    }
    assert len({f["ino"] for f in fields}) == 3


def test_kinds_and_modes_are_those_of_stat() -> None:
    assert file_entry("a", b"", mode=0o755).mode == stat.S_IFREG | 0o755
    assert folder_entry("a").mode == stat.S_IFDIR | 0o755
    assert link_entry("a", "b").mode == stat.S_IFLNK | 0o777
    assert link_entry("a", "b").content == b"b"


def test_a_device_has_its_numbers() -> None:
    null = CpioEntry("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))

    (member,) = read_cpio(render_cpio([null]))

    assert (member.fields["rmaj"], member.fields["rmin"]) == (1, 3)
    assert stat.S_ISCHR(member.fields["mode"])
