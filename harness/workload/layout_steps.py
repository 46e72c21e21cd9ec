"""The published workload as a trace: the steps that build and name a layout."""

from harness.workload.layout import GUARD_PAGES, Layout
from harness.workload.naming import NamingKind, NamingScheme
from harness.workload.ops import (
    MOST_PAGES,
    PAGE,
    Limit,
    Map,
    Protect,
    SetName,
    Step,
    Write,
)


def layout_steps(layout: Layout, naming: NamingScheme) -> tuple[Step, ...]:
    """The steps that make the VMAs of a layout and name them, in process 0.

    Unless pages are written, the first step raises vm.max_map_count so high that no
    call comes near it: the executor counts VMAs before each call near the limit.
    """
    size, inside = layout.vma_pages, layout.vmas * layout.vma_pages
    steps: list[Step] = []

    def do(op: Limit | Map | Protect | SetName | Write) -> None:
        steps.append(Step(0, op))

    if not layout.written_pages:
        do(Limit(max(layout.map_count_needed, 2 * MOST_PAGES)))
    do(Map(0, layout.arena_pages, 0, noreserve=True))
    do(Protect(GUARD_PAGES, inside, 3))
    for page in layout.first_pages() if layout.written_pages else ():
        do(Write(page, layout.written_pages))
    for index in range(1, layout.vmas, 2):
        do(Protect(GUARD_PAGES + index * size, size, 1))
    if naming.kind is NamingKind.SHARED:
        do(SetName(GUARD_PAGES, inside * PAGE, "n" * naming.length))
    elif naming.kind is not NamingKind.NONE:
        for index, page in enumerate(layout.first_pages()):
            name = naming.name_of(index)
            assert name is not None
            do(SetName(page, size * PAGE, name.decode("latin-1")))
    return tuple(steps)
