"""The identity of a campaign, and its export as one Parquet file that contains it."""

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
# Every spelling and abbreviation that argparse accepts for --results.
_RESULTS = re.compile(r"--res(u(l(ts?)?)?)?(=|\Z)")
# In percent. For campaigns without a plan, such as imported ones, and for plans that
# are older than margins.
DEFAULT_MARGIN = 2.0
_UNPLANNED: dict[str, Any] = {"plan": {}, "command": [], "began": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A campaign's name, plan, command and records.

    ``margin`` is the plan's, in percent; ``records_sha256`` is the hash of
    records.jsonl. An imported campaign has no plan, no command and the default margin.
    """

    name: str
    records_sha256: str
    margin: float
    command: tuple[str, ...]
    began: str
    plan: dict[str, Any]


def export_campaign(folder: Path, out: Path) -> None:
    """Write a campaign's folder as one Parquet with its identity, whatever its size.

    Raises UsageError and RecordError as ``load`` does; then ``out`` is unchanged.
    """
    if not folder.is_dir():
        raise UsageError(
            f"expected a campaign's folder, not {folder}: an export needs the plan and "
            "the records in it"
        )
    identity = identity_of(folder)
    values = {f.name: getattr(identity, f.name) for f in fields(Identity)}
    metadata = {_KEY: json.dumps(values).encode()}
    stream_parquet(folder, out, compression="zstd", metadata=metadata)


def identity_of(path: Path) -> Identity:
    """The identity of a campaign's folder, or of an exported Parquet.

    Raises UsageError if there is none, or if it cannot be read.
    """
    try:
        document = _of_folder(path) if path.is_dir() else _of_parquet(path)
        return _checked(document)
    except (*FAULTS, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} does not identify a campaign: {_why_not(path, error)}"
        ) from None


def _why_not(path: Path, error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot read {error.filename}: {error.strerror}"
    if path.is_dir():
        return "anonvma did not write its plan.json"
    if path.suffix != ".parquet":
        return (
            "it is a file without a plan; give its campaign's folder, or import it: "
            f"anonvma import {path}"
        )
    if isinstance(error, KeyError) and error.args == (_KEY,):
        return "anonvma export did not make it; give its campaign's folder"
    if isinstance(error, FAULTS) and not isinstance(error, json.JSONDecodeError):
        return f"it {why_unreadable(path, error)}"
    return "anonvma export did not write its metadata"


def planned_identity(path: Path) -> Identity | None:
    """The identity of a campaign with a plan; None if it has no plan.

    Raises UsageError if it has a plan that cannot be read.
    """
    if path.is_dir():
        planned = (path / "plan.json").exists()
    else:
        planned = path.suffix == ".parquet" and _KEY in (
            pq.read_schema(path).metadata or {}
        )
    return identity_of(path) if planned else None


def margin_of(path: Path) -> float | None:
    """The margin of a campaign's plan, in percent; None if it has no plan.

    Raises UsageError if it has a plan that cannot be read.
    """
    identity = planned_identity(path)
    return None if identity is None else identity.margin


def _checked(document: dict[str, Any]) -> Identity:
    margin = float(document["margin"])
    if not 0 <= margin <= _MOST_MARGIN:
        raise ValueError(f"a margin of {margin} %")
    texts = [document[key] for key in ("name", "records_sha256", "began")]
    texts += document["command"]
    for text in texts:
        if not isinstance(text, str):
            raise TypeError("a name, a time and a command are text")
        # JSON can contain a lone surrogate, which cannot be written to a file.
        text.encode()
    return Identity(
        name=document["name"],
        records_sha256=document["records_sha256"],
        margin=margin,
        command=tuple(_without_results(document["command"])),
        began=document["began"],
        plan=dict(document["plan"]),
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


def _without_results(command: Iterable[str]) -> Iterator[str]:
    # The folder of results is private to a machine, so it is removed.
    words = iter(command)
    for word in words:
        option = _RESULTS.match(word)
        if option is None:
            yield word
        elif not option[0].endswith("="):
            next(words, None)


def _of_parquet(path: Path) -> dict[str, Any]:
    metadata = pq.read_schema(path).metadata or {}
    document = json.loads(metadata[_KEY])
    if not isinstance(document, dict):
        raise ValueError("its identity is not a table")
    return document
