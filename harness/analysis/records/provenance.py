"""Campaigns that travel: one Parquet with what it is and where it came from."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from harness.analysis.records.frames import stream_parquet
from harness.analysis.records.parquet import FAULTS, why_unreadable
from harness.errors import UsageError
from harness.host.files import read_small

_KEY = b"anonvma"
_MOST_MARGIN = 1e9
# What argparse takes for --results, and for no other option.
_PLACE = re.compile(r"--res(u(l(ts?)?)?)?(=|\Z)")
# In percent, of a campaign without a plan, as one is that was measured elsewhere;
# and of plans that are older than margins.
DEFAULT_MARGIN = 2.0
_UNPLANNED: dict[str, Any] = {"plan": {}, "command": [], "began": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a campaign is: its name, plan and command, and which records it has.

    ``margin`` is the plan's, in percent; ``records_sha256`` of records.jsonl. What
    was measured elsewhere has no plan and no command, and the default margin.
    """

    name: str
    records_sha256: str
    margin: float
    command: tuple[str, ...]
    began: str
    plan: dict[str, Any]


def export_campaign(folder: Path, out: Path) -> None:
    """Write a campaign's folder as one Parquet with its identity, however large.

    Raises UsageError, RecordError as ``load`` does; then ``out`` is as it was.
    """
    if not folder.is_dir():
        raise UsageError(
            f"expected a campaign's folder, not {folder}: only a folder has the plan "
            "and the records that an export is made of"
        )
    identity = identity_of(folder)
    told = {f.name: getattr(identity, f.name) for f in fields(Identity)}
    kept = {_KEY: json.dumps(told).encode()}
    stream_parquet(folder, out, compression="zstd", metadata=kept)


def identity_of(path: Path) -> Identity:
    """The identity of a campaign's folder, or of a Parquet that was exported.

    Raises UsageError where there is none, or it is of another kind.
    """
    try:
        told = _of_folder(path) if path.is_dir() else _of_parquet(path)
        return _checked(told)
    except (*FAULTS, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} does not say what campaign it is: {_why_not(path, error)}"
        ) from None


def _why_not(path: Path, error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be read: {error.strerror}"
    if path.is_dir():
        return "its plan.json is not one that anonvma wrote"
    if path.suffix != ".parquet":
        return (
            "it is a file without a plan; give its campaign's folder, or make it one: "
            f"anonvma import {path}"
        )
    if isinstance(error, KeyError) and error.args == (_KEY,):
        return "anonvma export did not make it; give its campaign's folder"
    if isinstance(error, FAULTS) and not isinstance(error, json.JSONDecodeError):
        return f"it {why_unreadable(path, error)}"
    return "what it says about itself is nothing that anonvma export wrote"


def planned_identity(path: Path) -> Identity | None:
    """The identity of a campaign that was planned; None where it has no plan.

    Raises UsageError where there is a plan that cannot be read.
    """
    if path.is_dir():
        told = (path / "plan.json").exists()
    else:
        told = path.suffix == ".parquet" and _KEY in (
            pq.read_schema(path).metadata or {}
        )
    return identity_of(path) if told else None


def margin_of(path: Path) -> float | None:
    """The margin of a campaign's plan, in percent; None where it has no plan.

    Raises UsageError where there is one that cannot be read.
    """
    identity = planned_identity(path)
    return None if identity is None else identity.margin


def _checked(told: dict[str, Any]) -> Identity:
    margin = float(told["margin"])
    if not 0 <= margin <= _MOST_MARGIN:
        raise ValueError(f"a margin of {margin} %")
    texts = [told["name"], told["records_sha256"], told["began"], *told["command"]]
    for text in texts:
        if not isinstance(text, str):
            raise TypeError("a name, a time and a command are text")
        # What JSON can say and no file can hold: half of a pair of surrogates.
        text.encode()
    return Identity(
        name=told["name"],
        records_sha256=told["records_sha256"],
        margin=margin,
        command=tuple(_without_place(told["command"])),
        began=told["began"],
        plan=dict(told["plan"]),
    )


def _of_folder(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_small(folder / "plan.json"))
    except FileNotFoundError:
        document = _UNPLANNED
    with open(folder / "records.jsonl", "rb") as records:
        digest = hashlib.file_digest(records, "sha256")
    return {
        "name": folder.absolute().name,
        "records_sha256": digest.hexdigest(),
        "margin": document["plan"].get("margin", DEFAULT_MARGIN),
        "command": document["command"],
        "began": document["began"],
        "plan": document["plan"],
    }


def _without_place(command: Iterable[str]) -> Iterator[str]:
    # Where results are kept on a machine is its own business.
    words = iter(command)
    for word in words:
        place = _PLACE.match(word)
        if place is None:
            yield word
        elif not place[0].endswith("="):
            next(words, None)


def _of_parquet(path: Path) -> dict[str, Any]:
    metadata = pq.read_schema(path).metadata or {}
    told = json.loads(metadata[_KEY])
    if not isinstance(told, dict):
        raise ValueError("its identity is no table")
    return told
