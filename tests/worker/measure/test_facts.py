"""The facts about a running kernel, and how its store is found."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.worker.measure import Unit, facts
from harness.worker.measure.arena import Arena
from harness.worker.measure.facts import (
    KernelFacts,
    parse_facts,
    probe_store,
    render_facts,
)
from harness.workload import Store

FACTS = KernelFacts(
    release="6.12.117-switch", machine="aarch64", support="supported", reason="why",
    stores=(Store.REFCOUNTED, Store.STRDUP), config_sha256="ab", counts=Unit.INSNS,
    cpu="0x00 0x051",
)  # fmt: skip


@pytest.mark.parametrize("known", [FACTS, replace(FACTS, config_sha256=None)])
def test_what_is_rendered_parses_back(known: KernelFacts) -> None:
    assert parse_facts(render_facts(known)) == known


@pytest.mark.parametrize(
    "line",
    [
        b"", b"[]", b"{}", b"\xff", b'{"stores":["x"]}', b"[" * 10_000,
        render_facts(FACTS).replace(b'"insns"', b'"seconds"'),
        render_facts(FACTS).replace(b'"aarch64"', b"5"),
        render_facts(replace(FACTS, stores=())),
        render_facts(FACTS).replace(b'"aarch64"', b"null"),
    ],
)  # fmt: skip
def test_what_is_not_facts_is_a_record_error(line: bytes) -> None:
    with pytest.raises(RecordError, match="not a kernel's facts"):
        parse_facts(line)


@pytest.mark.parametrize(
    ("release", "base"), [("6.12.117-switch", "6.12"), ("5.10", "5.10"), ("odd", "odd")]
)
def test_the_base_is_what_a_release_begins_with(release: str, base: str) -> None:
    assert replace(FACTS, release=release).base == base


@pytest.mark.parametrize(
    ("counts", "cpu", "accelerator", "usable"),
    [
        (Unit.INSNS, "0x00 0x051", "tcg icount shift=0", True),
        (Unit.NS, "0x00 0x051", "tcg", False),
        (Unit.NS, "QEMU TCG CPU version 2.5+", "tcg", False),
        (Unit.NS, "0x41 0xd40", "native", True),
    ],
)
def test_conditions_follow_from_what_the_clock_and_the_cpu_are(
    counts: Unit, cpu: str, accelerator: str, usable: bool
) -> None:
    conditions = replace(FACTS, counts=counts, cpu=cpu).conditions("host")

    assert (conditions.target, conditions.unit) == ("host", counts)
    assert conditions.accelerator == accelerator
    assert (conditions.unusable == "") == usable


NAME = 80 * 32_768


@pytest.mark.parametrize(
    ("takes", "store"),
    [
        ([9, 9, 9, 9 + NAME, 9 + NAME, 9 + NAME], Store.STRDUP),
        ([9, 9, 9, 9, 9, 9], Store.REFCOUNTED),
        # One of three was disturbed.
        ([9, 9, NAME, 9, NAME, 9], Store.REFCOUNTED),
        ([9, 9, NAME, 9, NAME, NAME], Store.STRDUP),
    ],
)
def test_copied_names_are_seen_in_what_a_child_takes(
    monkeypatch: pytest.MonkeyPatch, takes: Sequence[int], store: Store
) -> None:
    left = list(takes)
    monkeypatch.setattr(facts, "_child_takes", lambda: left.pop(0))
    monkeypatch.setattr(Arena, "name", lambda arena, naming: None)

    assert probe_store() is store
    assert left == []


def test_a_child_that_is_interrupted_does_not_go_on_as_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(facts, "die_with_parent", interrupt)
    parent = os.getpid()
    try:
        with facts._held_child():
            pass
    finally:
        if os.getpid() != parent:
            (tmp_path / "went on").touch()
            os._exit(1)

    assert list(tmp_path.iterdir()) == []
