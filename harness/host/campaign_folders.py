"""Finds campaigns: by name in results, by path, or the newest.

A campaign is a folder with records.jsonl, or a file of records or Parquet. Users give
its name in results, or its path. A folder of the same name that is not a campaign must
not hide the campaign in results.
"""

import difflib
from pathlib import Path

from harness.errors import UsageError

RECORDS = "records.jsonl"

_SUGGESTED = 3
_LONGEST_SHOWN = 200


def find_campaign(given: Path, results: Path) -> Path:
    """The campaign that a user means, by its path or by its name in ``results``.

    Raises UsageError if there is none, with similar or the newest names, or if the
    name fits two different campaigns.
    """
    named = results / given
    try:
        found = [path for path in (given, named) if _is_campaign(path)]
        if len(found) > 1 and not given.samefile(named):
            raise UsageError(
                f"{given} fits two campaigns, {given.absolute()} and {named}: give the "
                "whole path of one"
            )
        if found:
            return found[0]
        if given.exists() and not given.is_dir():
            # A file with another suffix. The reader checks whether it has records.
            return given
        kind = "folder" if given.is_dir() else "nothing"
    except OSError as error:
        raise UsageError(
            f"{_cut(given)} cannot be read: {error.strerror}; {_known(given, results)}"
        ) from None
    if kind == "folder":
        what = f"{_cut(given)} is not a campaign: the folder has no {RECORDS}"
    elif given.is_absolute():
        what = f"there is no campaign at {_cut(given)}"
    else:
        what = f"there is no campaign and no path called {_cut(given)}"
    raise UsageError(f"{what}; {_known(given, results)}")


def newest_campaign(results: Path) -> Path:
    """The campaign in ``results`` that was measured last.

    Raises UsageError if there is none.
    """
    campaigns = campaigns_in(results)
    if not campaigns:
        raise UsageError(f"there is no campaign in {results}; try anonvma run")
    return campaigns[0]


def campaigns_in(results: Path) -> list[Path]:
    """The campaigns in ``results``; the one that was measured last comes first."""
    # By the time of the records, because only measuring and importing change them.
    ages = {}
    for records in results.glob(f"*/{RECORDS}"):
        ages[records.parent] = records.stat().st_mtime
    return sorted(ages, key=lambda folder: ages[folder], reverse=True)


def _is_campaign(path: Path) -> bool:
    if path.is_dir():
        records = path / RECORDS
        return records.exists() and not records.is_dir()
    return path.suffix in (".parquet", ".jsonl") and path.exists()


def _known(given: Path, results: Path) -> str:
    names = [folder.name for folder in campaigns_in(results)]
    if not names:
        return f"{results} has no campaigns; try anonvma run"
    if close := difflib.get_close_matches(given.name, names, _SUGGESTED):
        return f"did you mean {', '.join(close)}?"
    return f"the newest in {results}: {', '.join(names[:_SUGGESTED])}"


def _cut(path: Path) -> str:
    text = str(path)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
