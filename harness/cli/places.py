"""Where campaigns are, and whether a place can be written to or read.

A campaign is a folder with records.jsonl, or a file: records, or Parquet. Users
give its name in --results, or a path. A folder that has the name by chance, and is
no campaign, must not hide the one in --results.
"""

import difflib
import os
from pathlib import Path

from harness.campaign import RECORDS
from harness.errors import EnvironmentFault, UsageError

_SUGGESTED = 3
_LONGEST_SHOWN = 200


def find_campaign(given: Path, results: Path) -> Path:
    """The campaign that a user means: one in ``results`` by its name, or a path.

    Raises UsageError where there is none, with the names that are closest or newest;
    or where it is two different ones.
    """
    named = results / given
    try:
        found = [place for place in (given, named) if _is_campaign(place)]
        if len(found) > 1 and not given.samefile(named):
            raise UsageError(
                f"{given} could be {given.absolute()} and {named}, which are two "
                "campaigns: give the whole path of one"
            )
        if found:
            return found[0]
        if given.exists() and not given.is_dir():
            # Records by any other name; who reads them says whether they are.
            return given
        kind = "folder" if given.is_dir() else "nothing"
    except OSError as error:
        raise UsageError(
            f"{_cut(given)} cannot be read: {error.strerror}; {_known(given, results)}"
        ) from None
    if kind == "folder":
        what = f"{_cut(given)} is a folder without a file {RECORDS}, so no campaign"
    elif given.is_absolute():
        what = f"there is no campaign at {_cut(given)}"
    else:
        what = f"no campaign is called {_cut(given)}, nor is there such a path"
    raise UsageError(f"{what}; {_known(given, results)}")


def newest_campaign(results: Path) -> Path:
    """The campaign in ``results`` that was measured last; UsageError without any."""
    campaigns = _newest_first(results)
    if not campaigns:
        raise UsageError(f"there is no campaign in {results}; try anonvma run")
    return campaigns[0]


def _is_campaign(place: Path) -> bool:
    if place.is_dir():
        records = place / RECORDS
        return records.exists() and not records.is_dir()
    return place.suffix in (".parquet", ".jsonl") and place.exists()


def _newest_first(results: Path) -> list[Path]:
    # By the records, which nothing but a measurement changes.
    ages = {}
    for records in results.glob(f"*/{RECORDS}"):
        ages[records.parent] = records.stat().st_mtime
    return sorted(ages, key=lambda folder: ages[folder], reverse=True)


def _known(given: Path, results: Path) -> str:
    names = [folder.name for folder in _newest_first(results)]
    if not names:
        return f"there are none in {results}; try anonvma run"
    if close := difflib.get_close_matches(given.name, names, _SUGGESTED):
        return f"did you mean {', '.join(close)}?"
    return f"the newest in {results}: {', '.join(names[:_SUGGESTED])}"


def _cut(path: Path) -> str:
    text = str(path)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def check_folder(path: Path) -> None:
    """Assert that a folder is there, or can be made; nothing stays made.

    Raises EnvironmentFault, which says why not.
    """
    missing = [p for p in (path, *path.parents) if not p.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(
            f"{path} cannot be a folder to write to: {error.strerror}; give another"
        ) from None
    finally:
        for made in missing:
            if made.is_dir():
                made.rmdir()


def check_file(path: Path) -> None:
    """Assert that a file can be written; what is there stays, nothing stays made.

    Raises EnvironmentFault, which says why not.
    """
    there = os.path.lexists(path)
    try:
        path.open("ab").close()
    except OSError as error:
        raise EnvironmentFault(
            f"{path} cannot be written: {error.strerror}; give another place"
        ) from None
    if not there:
        path.unlink()


def check_suffix(path: Path, suffix: str) -> None:
    """Assert that what is to be made is called what it will be; UsageError."""
    if path.suffix != suffix:
        raise UsageError(f"expected a name that ends in {suffix}, not {path}")


def check_not_in_use(path: Path, campaign: Path) -> None:
    """Assert that a file is none of those that a campaign has; UsageError."""
    place, own = path.parent.resolve() / path.name, campaign.resolve()
    if os.path.lexists(path) and own in (place, *place.parents):
        raise UsageError(f"{path} is a file of the campaign itself; give another place")


def check_given_folder(option: str, path: Path | None) -> None:
    """Assert that a folder that a user named is there; UsageError."""
    if path is not None and not path.is_dir():
        raise UsageError(f"{option} expects a folder that is there, not {path}")
