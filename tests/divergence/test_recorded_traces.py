"""The model against what real kernels did, recorded by ``anonvma agree --record``."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.conformance.replaying import check_recording, read_recordings
from harness.model import changing, mm
from harness.model.mm import Mm, Refused
from harness.model.names import AnonName, NameStore
from harness.model.vma import Join, Vma

FILES = sorted((Path(__file__).parent.parent / "data/traces").glob("*.jsonl"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_model_agrees_with_what_a_kernel_did(path: Path) -> None:
    recordings = read_recordings(path)

    found = [check_recording(recording) for recording in recordings]

    assert [f.divergence.headline for f in found if f] == []
    assert all(recording.kernel["support"] == "supported" for recording in recordings)


def always(join: Join) -> Callable[[Vma, Vma], Join]:
    return lambda left, right: join


def forgetful_fork(self: Mm, real: Callable[[Mm], Mm] = Mm.forked) -> Mm:
    child = real(self)
    for vma in child.vmas:
        vma.name = None
    return child


def careless_same_name(one: AnonName | None, other: AnonName | None) -> bool:
    return (one.text if one else b"") == (other.text if other else b"")


def tail_unnamed(self: Mm, at: int, page: int) -> None:
    vma = self.vmas[at]
    upper = vma.part(page, vma.end)
    upper.name = None
    vma.end = page
    self.vmas.insert(at + 1, upper)
    self.starts.insert(at + 1, page)


def stops_at_a_hole(mm: Mm, start: int, end: int, visit: changing.Visit) -> None:
    at = mm.find(start)
    while start < end:
        if at >= len(mm.vmas) or mm.vmas[at].start > start:
            raise Refused(errno.ENOMEM)
        at = visit(at, start, min(end, mm.vmas[at].end))
        start = mm.vmas[at].end
        at += 1


def never_at_the_limit(self: Mm, *, room: int = 0) -> bool:
    return False


def keeps_names_at_clear(self: NameStore, name: AnonName | None) -> AnonName | None:
    return self.reuse(name or self.alloc(b""))


def inserts_unnamed(
    self: Mm, new: Vma, real: Callable[..., int] = Mm.insert, **more: Any
) -> int:
    new.name = None
    return real(self, new, **more)


RULES: dict[str, list[tuple[Any, str, Any]]] = {
    "fork copies names": [(Mm, "forked", forgetful_fork)],
    "a split keeps the name on both sides": [(Mm, "split", tail_unnamed)],
    "equal names merge": [(mm, "can_join", always(Join.NO))],
    "no name is not the empty name": [
        (changing, "same_name", careless_same_name),
    ],
    "a hole does not end the walk": [(changing, "walk", stops_at_a_hole)],
    "a dollar sign is refused": [
        (changing, "NAME_BYTES", changing.NAME_BYTES + b"$`[]\\"),
    ],
    "79 bytes are the most": [(changing, "MAX_NAME", 80)],
    "a split is refused at the limit": [(Mm, "at_limit", never_at_the_limit)],
    "clearing takes the name away": [(NameStore, "dup", keeps_names_at_clear)],
    "a moved mapping keeps its name": [(Mm, "insert", inserts_unnamed)],
}  # fmt: skip


@pytest.fixture(scope="module")
def recordings() -> list[Any]:
    return [each for path in FILES for each in read_recordings(path)]


@pytest.mark.parametrize("rule", RULES)
def test_a_model_without_a_rule_diverges(
    rule: str, recordings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for where, name, spoilt in RULES[rule]:
        monkeypatch.setattr(where, name, spoilt)

    assert any(check_recording(recording) for recording in recordings)
