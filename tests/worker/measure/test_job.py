import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.worker.measure import (
    Conditions,
    Job,
    PlannedCell,
    Unit,
    parse_job,
    render_job,
)
from harness.worker.measure.conditions import ICOUNT
from harness.workload import (
    MAX_NAME,
    Cell,
    Layout,
    NamingKind,
    NamingScheme,
    Store,
    naming_from_label,
)

counts = st.integers(0, 2**40)
texts = st.text(max_size=20)
stores = st.sampled_from(Store)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    vma_pages = draw(st.integers(1, 1000))
    return Layout(
        vmas=draw(st.integers(1, 100_000)),
        vma_pages=vma_pages,
        written_pages=draw(st.integers(0, vma_pages)),
    )


schemes = st.one_of(
    st.just(NamingScheme(NamingKind.NONE)),
    st.builds(
        NamingScheme,
        st.sampled_from([k for k in NamingKind if k is not NamingKind.NONE]),
        st.integers(1, MAX_NAME),
    ),
)
cells = st.builds(Cell, store=stores, layout=layouts(), naming=schemes)
conditions = st.builds(
    Conditions,
    target=texts, accelerator=texts, unit=st.sampled_from(Unit), settle_ms=counts,
    rest_ms=counts,
    settings=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    unusable=texts,
)  # fmt: skip
jobs = st.builds(
    Job,
    campaign=texts, session=texts, boot=counts, seed=counts, variant=texts,
    base=texts, stores=st.lists(stores, max_size=3).map(tuple),
    conditions=conditions, launched=texts, warmups=counts, repetitions=counts,
    cells=st.lists(
        st.builds(PlannedCell, block=counts, cell=cells), max_size=5
    ).map(tuple),
)  # fmt: skip


@given(jobs)
def test_what_is_rendered_parses_back(job: Job) -> None:
    assert parse_job(render_job(job)) == job


JOB = Job(
    campaign="c", session="s", boot=0, seed=1, variant="switch", base="6.12",
    stores=(Store.STRDUP,), conditions=ICOUNT,
    launched="", warmups=1, repetitions=1,
    cells=(
        PlannedCell(
            block=0,
            cell=Cell(
                store=Store.STRDUP,
                layout=Layout(vmas=2),
                naming=naming_from_label("distinct:9"),
            ),
        ),
    ),
)  # fmt: skip


def spoilt(*path: str | int, value: object) -> bytes:
    """A job's text with what lies at a path replaced."""
    document = json.loads(render_job(JOB))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"null",
        b"3",
        b"[]",
        b'"unit"',
        b"{}",
        render_job(JOB)[:-1],
        spoilt("more", value=1),
        spoilt("unit", value="s"),
        spoilt("unit", value=[]),
        # It could be read, and not be written again.
        spoilt("seed", value=1.5),
        spoilt("boot", value=float("nan")),
        spoilt("stores", value=["none"]),
        spoilt("stores", value=1),
        spoilt("settings", value=["vm.x=1"]),
        spoilt("settings", value=[["vm.x"]]),
        spoilt("cells", value=[1]),
        spoilt("cells", value={"block": 0}),
        spoilt("cells", 0, "store", value="none"),
        spoilt("cells", 0, "layout", value=[]),
        spoilt("cells", 0, "layout", value={"vmas": 0}),
        spoilt("cells", 0, "layout", value={"vmas": "2"}),
        spoilt("cells", 0, "layout", value={"vmas": 2, "more": 1}),
        spoilt("cells", 0, "naming", value="distinct"),
        spoilt("cells", 0, "naming", value="distinct:80"),
        spoilt("cells", 0, "naming", value=79),
        spoilt("cells", 0, "naming", value=None),
    ],
    ids=lambda text: repr(text[-60:]),
)
def test_anything_else_is_refused_with_its_text(text: bytes) -> None:
    with pytest.raises(RecordError, match="not a job") as raised:
        parse_job(text)

    assert raised.value.line == text


@pytest.mark.parametrize("field", sorted(json.loads(render_job(JOB))))
def test_a_job_that_lacks_a_field_is_refused(field: str) -> None:
    document = json.loads(render_job(JOB))
    del document[field]

    with pytest.raises(RecordError, match="not a job"):
        parse_job(json.dumps(document).encode())
