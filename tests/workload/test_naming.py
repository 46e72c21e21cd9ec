import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.workload import NamingKind, NamingScheme, naming_from_label


@given(st.integers(3, 79), st.integers(1, 5000))
def test_distinct_names_differ_and_have_the_length_asked_for(
    length: int, vmas: int
) -> None:
    scheme = NamingScheme(NamingKind.DISTINCT, length)
    names = [scheme.name_of(index) or b"" for index in range(vmas)]

    assert len(set(names)) == vmas
    assert {len(name) for name in names} == {length}


@pytest.mark.parametrize(
    ("label", "calls"),
    [("none", 0), ("shared:5", 1), ("distinct:5", 30), ("distinct-same-text:5", 30)],
)
def test_a_scheme_takes_so_many_calls(label: str, calls: int) -> None:
    assert naming_from_label(label).call_count(30) == calls


def test_one_text_is_the_same_for_all() -> None:
    for kind in (NamingKind.SHARED, NamingKind.DISTINCT_SAME_TEXT):
        scheme = NamingScheme(kind, 3)
        assert {scheme.name_of(index) for index in range(9)} == {b"nnn"}


def test_no_names_are_none() -> None:
    assert NamingScheme(NamingKind.NONE).name_of(0) is None


def test_names_too_short_to_differ_are_refused() -> None:
    with pytest.raises(UsageError, match="not enough different names"):
        NamingScheme(NamingKind.DISTINCT, 1).name_of(62)


@pytest.mark.parametrize("label", ["none", "shared:0", "shared:1", "distinct:79"])
def test_a_label_is_read_back(label: str) -> None:
    assert naming_from_label(label).label == label


@pytest.mark.parametrize(
    "label",
    [
        "",
        "none:3",
        "shared",
        "shared:",
        "shared:-1",
        "distinct:80",
        "odd:5",
        "shared:x",
    ],
)
def test_another_label_is_refused(label: str) -> None:
    with pytest.raises(UsageError):
        naming_from_label(label)


@pytest.mark.parametrize(
    "label", ["none", "shared:5", "distinct:3", "distinct:79", "distinct-same-text:0"]
)
@pytest.mark.parametrize("vmas", [0, 1, 61, 62, 63, 62 * 62 + 1, 9_000])
def test_all_names_are_those_of_each(label: str, vmas: int) -> None:
    naming = naming_from_label(label)

    assert list(naming.names(vmas)) == [naming.name_of(i) for i in range(vmas)]


@pytest.mark.parametrize(("length", "most"), [(0, 0), (1, 62), (2, 62 * 62)])
def test_names_that_have_no_room_are_refused_where_one_is(
    length: int, most: int
) -> None:
    naming = NamingScheme(NamingKind.DISTINCT, length)

    assert len(set(naming.names(most))) == most
    with pytest.raises(UsageError, match=f"VMA {most};"):
        list(naming.names(most + 1))
