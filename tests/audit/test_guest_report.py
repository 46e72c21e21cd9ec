import json
from typing import Any

import pytest

from harness.audit.expected_counts import ALLOC, FREE
from harness.audit.guest_report import GuestReport
from harness.errors import RecordError, UnsupportedError

CENSUS = {
    "census": [0, "built"],
    "objects": {"kmalloc-96": 7},
    "calls": {ALLOC: 2, FREE: 1},
}
HELD = {
    "held": {
        "cells": [{"start": 4096, "pids": [5, 6]}], "traces": [[7, 0, 0, 0]],
        "start": 8192, "vmcoreinfo": "BUILD-ID=ab\n",
    }
}  # fmt: skip


def line(data: object) -> bytes:
    return json.dumps(data).encode() + b"\n"


def test_what_is_held_is_told_by_the_last_line() -> None:
    report = GuestReport()
    text = line(CENSUS) + line(HELD)

    assert [report.feed(text[at : at + 1]) for at in range(len(text))].index(True) == (
        len(text) - 1
    )
    assert report.stopped_cell(0) == ([5, 6], 4096)
    assert report.stopped_trace(0) == ([7, 0, 0, 0], 8192)
    assert report.vmcoreinfo == b"BUILD-ID=ab\n"
    [(step, census)] = report.cell(0)
    assert step == "built"
    assert census.objects == {96: 7}


def test_what_python_says_when_it_fails_is_passed_over() -> None:
    assert not GuestReport().feed(b"Traceback (most recent call last):\n[1]\n")


def test_a_kernel_without_names_is_unsupported() -> None:
    with pytest.raises(
        UnsupportedError, match="cannot be compared on this kernel: not built in"
    ):
        GuestReport().feed(
            line({"kernel": {"support": "absent", "reason": "not built in"}})
        )


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"census": 1},
        {**CENSUS, "census": [{}, "x"]},
        {**CENSUS, "objects": {"kmalloc": 1}},
        {**CENSUS, "calls": {ALLOC: "x"}},
        {"seen": [[0]], "trace": 0},
        {"seen": 1, "trace": 0},
        {"kernel": 1},
        {"held": {**HELD["held"], "start": -1}},
        {"held": {**HELD["held"], "traces": [["x"]]}},
        {"held": {**HELD["held"], "traces": {"": {}}}},
        {"held": {**HELD["held"], "traces": [{}]}},
        {"held": {**HELD["held"], "cells": {}}},
        {"held": {**HELD["held"], "cells": [{"start": 1, "pids": {}}]}},
        {"held": {**HELD["held"], "vmcoreinfo": 1}},
        {"held": 1},
        {"kind": "status", "code": 0},
    ],
)
def test_what_no_observer_writes_is_one_error(data: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        GuestReport().feed(line(data))
