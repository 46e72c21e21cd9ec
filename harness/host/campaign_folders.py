"""Where campaigns are: by name among results, by path, or the newest.

A campaign is a folder with records.jsonl, or a file: records, or Parquet. Users
give its name in results, or a path. A folder that has the name by chance, and is
no campaign, must not hide the one in results.
"""

import difflib
from pathlib import Path

from harness.errors import UsageError

RECORDS = "records.jsonl"

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
    campaigns = campaigns_in(results)
    if not campaigns:
        raise UsageError(f"there is no campaign in {results}; try anonvma run")
    return campaigns[0]


def campaigns_in(results: Path) -> list[Path]:
    """The campaigns in ``results``, the one that was measured last first."""
    # By the records, which nothing but a measurement changes.
    ages = {}
    for records in results.glob(f"*/{RECORDS}"):
        ages[records.parent] = records.stat().st_mtime
    return sorted(ages, key=lambda folder: ages[folder], reverse=True)


def _is_campaign(place: Path) -> bool:
    if place.is_dir():
        records = place / RECORDS
        return records.exists() and not records.is_dir()
    return place.suffix in (".parquet", ".jsonl") and place.exists()


def _known(given: Path, results: Path) -> str:
    names = [folder.name for folder in campaigns_in(results)]
    if not names:
        return f"there are none in {results}; try anonvma run"
    if close := difflib.get_close_matches(given.name, names, _SUGGESTED):
        return f"did you mean {', '.join(close)}?"
    return f"the newest in {results}: {', '.join(names[:_SUGGESTED])}"


def _cut(path: Path) -> str:
    text = str(path)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
