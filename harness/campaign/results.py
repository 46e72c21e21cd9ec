"""results/<campaign>/: records appended as they come, and the plan they follow."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness
from harness.campaign.plan import Plan
from harness.errors import EnvironmentFault, UsageError
from harness.measure import Record, render_record

RECORDS = "records.jsonl"
_PLAN = "plan.json"


def campaign_folder(results: Path, name: str | None) -> Path:
    """A campaign's folder, made if need be; without a name, a new one of its own.

    Raises UsageError for a name that is not one folder's name.
    """
    if name is not None:
        if name in ("", ".", "..") or "/" in name or not name.isprintable():
            raise UsageError(f"{name!r} cannot be the name of a campaign")
        if len(name.encode(errors="replace")) > 255:
            raise UsageError(f"the name of a campaign is over 255 bytes: {name[:60]!r}")
        folder = results / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    stem = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    number = 1
    while True:
        folder = results / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return folder


def remove_empty_campaign(folder: Path) -> bool:
    """Remove a campaign that has a plan and nothing else; whether it had."""
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    if sizes.keys() - {_PLAN, RECORDS} or sizes.get(RECORDS):
        return False
    for name in sizes:
        (folder / name).unlink()
    folder.rmdir()
    return True


def keep_plan(folder: Path, plan: Plan, argv: Sequence[str]) -> None:
    """Write down the plan before anything is run.

    Raises UsageError when the campaign was begun with another plan.
    """
    path = folder / _PLAN
    told = json.loads(json.dumps(asdict(plan)))
    if path.exists():
        before = _plan_in(path)
        changed = [k for k in told if k != "seed" and told[k] != before.get(k)]
        if changed:
            raise UsageError(
                f"{folder} was begun with another plan ({', '.join(changed)} differ); "
                "choose another name"
            )
        return
    document = {
        "plan": told,
        "command": list(argv),
        "harness": harness.__version__,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _plan_in(path: Path) -> dict[str, Any]:
    try:
        plan = json.loads(path.read_text())["plan"]
        if not isinstance(plan, dict):
            raise TypeError("a plan is a table")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path} is not the plan of a campaign: {error!r:.200}; choose another name"
        ) from None
    return plan


@contextlib.contextmanager
def appended_records(folder: Path) -> Iterator[Callable[[Record], None]]:
    """A function that appends one record, in one write, to the campaign's file.

    A record is on its way to the disk when the function returns: killing this
    process loses none. Raises EnvironmentFault when the file ends inside a
    line, as after a full disk.
    """
    path = folder / RECORDS
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            raise EnvironmentFault(
                f"{path} ends inside a line; remove its last line to go on with it"
            )

        def append(record: Record) -> None:
            line = render_record(record)
            if os.write(fd, line) != len(line):
                raise EnvironmentFault(f"{path}: the disk is full")

        yield append
    finally:
        os.close(fd)
