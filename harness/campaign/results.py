"""The folder of a campaign, results/<campaign>/, and the plan that is kept in it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness
from harness.campaign.plan import Plan
from harness.errors import UsageError
from harness.host.campaign_folders import RECORDS
from harness.host.files import read_small

_PLAN = "plan.json"


def campaign_folder(results: Path, name: str | None) -> Path:
    """A campaign's folder, created if needed; without a name, a new one named by time.

    Raises UsageError for a name that cannot be the name of a folder.
    """
    if name is not None:
        if name in ("", ".", "..") or "/" in name or not name.isprintable():
            raise UsageError(f"{name!r} cannot be the name of a campaign")
        if len(name.encode(errors="replace")) > 255:
            raise UsageError(
                f"the name of a campaign has at most 255 bytes: {name[:60]!r}..."
            )
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
    """Remove a campaign that has no records; return whether it was removed."""
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    if sizes.keys() - {_PLAN, RECORDS} or sizes.get(RECORDS):
        return False
    for name in sizes:
        (folder / name).unlink()
    folder.rmdir()
    return True


def keep_plan(folder: Path, plan: Plan, argv: Sequence[str]) -> None:
    """Write the plan to the campaign's folder, before anything runs.

    An existing campaign can be resumed with the same plan, or with more boots.
    Raises UsageError if it has another plan.
    """
    path = folder / _PLAN
    now = json.loads(json.dumps(asdict(plan)))
    document = {
        "plan": now,
        "command": list(argv),
        "harness": harness.__version__,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if path.exists():
        kept = _read_plan(path)
        before = kept["plan"]
        more = dict(now, boots=max(now["boots"], before["boots"]))
        if changed := [k for k in now if more[k] != before.get(k) and k != "boots"]:
            raise UsageError(
                f"{folder} has another plan ({', '.join(changed)} differ); choose "
                "another name"
            )
        if now["boots"] < before["boots"]:
            raise UsageError(
                f"{folder} has {before['boots']} boots planned; the number can be "
                f"raised, but not lowered to {now['boots']}"
            )
        if now["boots"] == before["boots"]:
            return
        document["began"] = kept["began"]
    # A rename: a kill at any time leaves either the old file or the whole new one.
    new = path.with_name(f".{_PLAN}.new")
    new.write_text(json.dumps(document, indent=1) + "\n")
    new.replace(path)


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        # Any: the parts that are used are checked here.
        kept: Any = json.loads(read_small(path))
        if type(kept["plan"]["boots"]) is not int or type(kept["began"]) is not str:
            raise TypeError("boots must be an integer, began must be a string")
        if "base" in kept["plan"]:
            # Plans had one base until 0.3.2.
            kept["plan"]["bases"] = [kept["plan"].pop("base")]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path} is not the plan of a campaign: {error!r:.200}; choose another name"
        ) from None
    return dict(kept)
