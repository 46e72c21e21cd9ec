import pytest

from harness.errors import UsageError
from harness.workload import Layout, layout_of


def test_vmas_lie_side_by_side_between_guards() -> None:
    layout = Layout(vmas=3, vma_pages=2, written_pages=1)

    assert list(layout.first_pages()) == [1, 3, 5]
    assert layout.arena_pages == 8


@pytest.mark.parametrize(
    ("vmas", "vma_pages", "written"), [(0, 1, 0), (1, 0, 0), (1, 1, 2), (1, 1, -1)]
)
def test_a_layout_that_cannot_be_is_refused(
    vmas: int, vma_pages: int, written: int
) -> None:
    with pytest.raises(UsageError):
        Layout(vmas=vmas, vma_pages=vma_pages, written_pages=written)


@pytest.mark.parametrize(("pages", "vma_pages"), [(0, 1), (1, 1), (10, 10)])
def test_published_layouts_are_as_small_as_what_is_written(
    pages: int, vma_pages: int
) -> None:
    assert layout_of(5, pages) == Layout(
        vmas=5, vma_pages=vma_pages, written_pages=pages
    )
