import pytest

from harness.model import AnonName, NameStore, RefcountedStore, StrdupStore
from harness.model.names import REFCOUNT_MAX

stores = pytest.mark.parametrize("kind", [RefcountedStore, StrdupStore])


@stores
def test_a_new_name_has_one_reference_and_is_alive(kind: type[NameStore]) -> None:
    store = kind()

    name = store.alloc(b"a")

    assert (name.text, name.refs) == (b"a", 1)
    assert (store.live, store.allocated) == ({name}, 1)


@stores
def test_the_last_reference_frees(kind: type[NameStore]) -> None:
    store = kind()
    name = store.alloc(b"a")
    copy = store.dup(name)

    store.put(name)
    assert store.live == {copy}
    store.put(copy)

    assert store.live == set()


@stores
def test_no_name_is_copied_as_none_and_put_as_nothing(kind: type[NameStore]) -> None:
    store = kind()

    assert store.dup(None) is None
    store.put(None)
    assert (store.live, store.allocated) == (set(), 0)


@stores
def test_a_name_that_was_freed_is_not_freed_again(kind: type[NameStore]) -> None:
    store = kind()
    name = store.alloc(b"a")
    store.put(name)
    name.refs = 1

    with pytest.raises(KeyError):
        store.put(name)


def test_counted_references_share_one_struct() -> None:
    store = RefcountedStore()
    name = store.alloc(b"a")

    assert store.reuse(name) is name
    assert (name.refs, store.allocated) == (2, 1)


def test_at_its_most_a_count_stays_and_a_copy_is_made() -> None:
    store = RefcountedStore()
    name = store.alloc(b"a")

    name.refs = REFCOUNT_MAX - 1
    assert store.reuse(name) is name
    copy = store.reuse(name)

    assert copy is not name
    assert (name.refs, copy.refs, copy.text) == (REFCOUNT_MAX, 1, b"a")
    assert store.live == {name, copy}


def test_strdup_gives_each_vma_a_struct_of_its_own() -> None:
    store = StrdupStore()
    name = store.alloc(b"a")

    copies = [store.reuse(name) for _ in range(3)]

    assert len({id(each) for each in [name, *copies]}) == 4
    assert all(each.refs == 1 and each.text == b"a" for each in copies)


@pytest.mark.parametrize(
    ("text", "size"), [(b"", 5), (b"abc", 8), (b"a" * 59, 64), (b"a" * 79, 84)]
)
def test_a_struct_has_the_count_the_text_and_a_nul(text: bytes, size: int) -> None:
    assert AnonName(text).size == size
