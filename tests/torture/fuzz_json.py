"""Targets that read lines of JSON: records, traces, jobs, what guests say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import (
    BadRecord,
    GuestError,
    RecordError,
    UnsupportedError,
    UsageError,
)
from tests.jobs import job_of
from tests.torture.fuzz_targets import Feed, Target, check_shown
from tests.torture.fuzz_text import DATA, RECORDED


def _record(_: Path) -> Feed:
    from harness.worker.measure import parse_record, render_record

    def feed(data: bytes) -> None:
        record = parse_record(data)
        assert parse_record(render_record(record)) == record

    return feed


def _guest_records(scratch: Path) -> Feed:
    from harness.targets.channel import RecordLines

    console = scratch / "console.txt"
    console.write_text("booted\n")

    def feed(data: bytes) -> None:
        lines = RecordLines(lambda record: None, console)
        for at in range(0, len(data), 1000):
            lines.feed(data[at : at + 1000])

    return feed


def _records_file(scratch: Path) -> Feed:
    from harness.campaign.importing import check_fits, foreign_records
    from harness.worker.measure import Run

    path = scratch / "records.jsonl"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        records = list(foreign_records(path))
        check_fits([r for r in records if isinstance(r, Run)], scratch / "none")

    return feed


def _campaign(scratch: Path) -> Feed:
    from harness.analysis import distrust, load, write_parquet

    path, parquet = scratch / "records.jsonl", scratch / "x.parquet"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        frame = load(path)
        write_parquet(frame, parquet)
        again = load(parquet)
        assert len(again) == len(frame)
        distrust(again, margin=2)

    return feed


def _recording(_: Path) -> Feed:
    from harness.conformance.replaying import check_recording
    from harness.divergence import parse_recording, render_recording, render_reproducer
    from harness.divergence.drawing import draw

    def feed(data: bytes) -> None:
        recording = parse_recording(data)
        assert parse_recording(render_recording(recording)) == recording
        found = check_recording(recording)
        if found is not None:
            check_shown(found.release)
            draw(found.divergence, recording.pages)
            steps = recording.steps[: found.divergence.index + 1]
            render_reproducer(
                found.divergence, steps, kernel=found.kernel, pages=recording.pages,
                release=found.release,
            ).encode()  # fmt: skip

    return feed


class _Guest:
    # Plays nothing: it says what it is told to.

    def __init__(self, said: bytes) -> None:
        self._said = said

    def run_executor(
        self, job: bytes, on_output: Callable[[bytes], None], console: Path
    ) -> int:
        for at in range(0, len(self._said), 1000):
            on_output(self._said[at : at + 1000])
        return 0


def _playing(scratch: Path) -> Feed:
    from harness.conformance.playing import Found, Playing
    from harness.divergence import Recording, parse_recording, render_recording

    steps = parse_recording((DATA / RECORDED).read_bytes()).steps

    def on_found(found: Found) -> None:
        check_shown(found.release)

    def keep(recording: Recording) -> None:
        render_recording(recording)

    def feed(data: bytes) -> None:
        playing = Playing(32, [steps], on_found, keep=keep)
        playing.run(_Guest(data), scratch / "console.txt")

    return feed


def _guest_report(_: Path) -> Feed:
    from harness.audit.guest_report import GuestReport

    def feed(data: bytes) -> None:
        report = GuestReport()
        stopped = False
        for at in range(0, len(data), 1000):
            stopped = stopped or report.feed(data[at : at + 1000])
        if stopped:
            report.stopped_cell(0)
            report.stopped_trace(0)
            report.after("start")
            assert report.kernel
            assert type(report.vmcoreinfo) is bytes

    return feed


def _job(_: Path) -> Feed:
    from harness.worker.measure.job import parse_job, render_job

    def feed(data: bytes) -> None:
        job = parse_job(data)
        assert parse_job(render_job(job)) == job

    return feed


def _play_job(_: Path) -> Feed:
    from harness.worker.executor import parse_executor_job, render_executor_job

    def feed(data: bytes) -> None:
        job = parse_executor_job(data)
        assert parse_executor_job(render_executor_job(job)) == job

    return feed


def _observer_job(_: Path) -> Feed:
    from harness.worker.observer.observer_job import (
        parse_observer_job,
        render_observer_job,
    )

    def feed(data: bytes) -> None:
        job = parse_observer_job(data)
        assert parse_observer_job(render_observer_job(job)) == job

    return feed


def _facts(_: Path) -> Feed:
    from harness.worker.measure.facts import parse_facts, render_facts

    def feed(data: bytes) -> None:
        facts = parse_facts(data)
        assert parse_facts(render_facts(facts)) == facts
        assert facts.conditions("uml")

    return feed


def _seed_records() -> tuple[bytes, ...]:
    from harness.worker.measure import render_record
    from tests.synthetic import cell_records

    made = cell_records([1000, 1001]) + cell_records([2000, 2003], naming="shared:8")
    recorded = (DATA / "records/schema-1.jsonl").read_bytes()
    return recorded, b"".join(map(render_record, made))


def _seed_record_lines() -> tuple[bytes, ...]:
    from harness.worker.measure import Count, Status, render_record

    count = Count(
        run="r", step="named", what="allocated", predicted=1, counted=1, agrees=True
    )
    lines = _seed_records()[0].splitlines()
    return *lines, render_record(count), render_record(Status(code=0))


def _seed_recordings() -> tuple[bytes, ...]:
    paths = sorted((DATA / "traces").glob("um-6.12-merged*.jsonl"))
    return tuple(path.read_bytes() for path in paths)


def _player_lines() -> bytes:
    recording: dict[str, Any] = json.loads((DATA / RECORDED).read_bytes())
    lines = [
        {"kernel": recording["kernel"]}, {"trace": 0, "seen": recording["seen"][:3]},
        {"trace": 0, "seen": recording["seen"][3:]}, {"done": 1, "seconds": 0.1},
    ]  # fmt: skip
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _observer_lines() -> bytes:
    recording: dict[str, Any] = json.loads((DATA / RECORDED).read_bytes())
    objects = {"objects": {"kmalloc-8": 3}, "calls": {"anon_vma_name_free": 0}}
    lines: list[dict[str, Any]] = [
        {"kernel": recording["kernel"]}, {"census": ["start", ""], **objects},
        {"census": [0, "begun"], **objects}, {"census": ["cycles", ""], **objects},
        {"trace": 0, "from": 0, "seen": recording["seen"][:2]},
        {"held": {"cells": [{"start": 4096, "pids": [7, 8]}], "traces": [[9, 0, 0, 0]],
                  "start": 4096, "vmcoreinfo": "BUILD-ID=ab12\nOSRELEASE=6.12\n"}},
    ]  # fmt: skip
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _seed_jobs() -> tuple[bytes, ...]:
    from harness.worker.measure import render_job
    from harness.workload import Store

    return (render_job(job_of([(Store.STRDUP, 3, 0, "shared:8")])),)


def _seed_play_jobs() -> tuple[bytes, ...]:
    from harness.divergence import parse_recording
    from harness.worker.executor import ExecutorJob, render_executor_job

    steps = parse_recording((DATA / RECORDED).read_bytes()).steps
    return (render_executor_job(ExecutorJob(pages=32, traces=(steps,))),)


def _seed_observer_jobs() -> tuple[bytes, ...]:
    plays = json.loads(_seed_play_jobs()[0])
    document = {
        "cells": json.loads(_seed_jobs()[0]), "children": 2, "caches": ["kmalloc-8"],
        "functions": ["f"], "cycles": plays, "held": plays,
    }  # fmt: skip
    return (json.dumps(document).encode(),)


def _seed_facts() -> tuple[bytes, ...]:
    from harness.worker.measure import Unit
    from harness.worker.measure.facts import KernelFacts, render_facts
    from harness.workload import Store

    facts = KernelFacts(
        release="6.12.1", machine="aarch64", support="supported", reason="why",
        stores=(Store.STRDUP,), config_sha256=None, counts=Unit.INSNS, cpu="0x00",
    )  # fmt: skip
    return (render_facts(facts),)


TARGETS = (
    Target(name="record", make=_record, refuses=(RecordError,),
           seeds=_seed_record_lines),
    Target(name="guest-records", make=_guest_records, refuses=(BadRecord,),
           seeds=_seed_records),
    Target(name="records-file", make=_records_file, refuses=(RecordError, UsageError),
           seeds=_seed_records),
    Target(name="campaign", make=_campaign, refuses=(RecordError, UsageError),
           seeds=_seed_records),
    Target(name="recording", make=_recording, refuses=(RecordError, UsageError),
           seeds=_seed_recordings),
    Target(name="playing", make=_playing,
           refuses=(RecordError, UnsupportedError, GuestError),
           seeds=lambda: (_player_lines(),)),
    Target(name="guest-report", make=_guest_report,
           refuses=(RecordError, UnsupportedError),
           seeds=lambda: (_observer_lines(),)),
    Target(name="job", make=_job, refuses=(RecordError,), seeds=_seed_jobs),
    Target(name="play-job", make=_play_job, refuses=(UsageError,),
           seeds=_seed_play_jobs),
    Target(name="observer-job", make=_observer_job, refuses=(RecordError, UsageError),
           seeds=_seed_observer_jobs),
    Target(name="facts", make=_facts, refuses=(RecordError,), seeds=_seed_facts),
)  # fmt: skip
