import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.workload import NamingKind, NamingScheme, naming_from_label


@given(st.integers(3, 79), st.integers(1, 5000))
def test_distinct_names_differ_and_have_the_length_asked_for(
    length: int, vmas: int
) -> None:
    calls = list(NamingScheme(NamingKind.DISTINCT, length).calls(vmas))

    assert [(first, count) for first, count, _ in calls] == [
        (index, 1) for index in range(vmas)
    ]
    assert len({name for _, _, name in calls}) == vmas
    assert {len(name) for _, _, name in calls} == {length}


def test_shared_names_take_one_call() -> None:
    calls = list(NamingScheme(NamingKind.SHARED, 5).calls(1000))

    assert calls == [(0, 1000, b"nnnnn")]


def test_the_same_text_in_distinct_structs_takes_a_call_each() -> None:
    calls = list(NamingScheme(NamingKind.DISTINCT_SAME_TEXT, 2).calls(3))

    assert calls == [(0, 1, b"nn"), (1, 1, b"nn"), (2, 1, b"nn")]


def test_no_names_take_no_call() -> None:
    assert list(NamingScheme(NamingKind.NONE).calls(3)) == []


def test_names_too_short_to_differ_are_refused() -> None:
    with pytest.raises(UsageError, match="too short"):
        list(NamingScheme(NamingKind.DISTINCT, 1).calls(63))


@pytest.mark.parametrize("label", ["none", "shared:1", "distinct:79"])
def test_a_label_is_read_back(label: str) -> None:
    assert naming_from_label(label).label == label


@pytest.mark.parametrize(
    "label",
    ["", "none:3", "shared", "shared:", "shared:0", "distinct:80", "odd:5", "shared:x"],
)
def test_another_label_is_refused(label: str) -> None:
    with pytest.raises(UsageError):
        naming_from_label(label)
