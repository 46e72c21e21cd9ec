"""The command ``anonvma import``."""

import sys

from harness.campaign import appended_records, campaign_folder
from harness.cli.requests import ImportRequest
from harness.measure import Run
from harness.programs import printable


def import_(request: ImportRequest) -> int:
    """Append foreign records to a campaign, or refuse all of them; 0."""
    # pandas takes a second to import: only what needs it waits for it.
    from harness.campaign.importing import check_fits, read_foreign_records

    records = read_foreign_records(request.records)
    folder = campaign_folder(request.results, request.name)
    try:
        check_fits(records, folder)
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    with appended_records(folder) as append:
        for record in records:
            append(record)
    runs = sum(isinstance(record, Run) for record in records)
    where = printable(str(folder))
    print(f"{runs} runs, {len(records)} records: anonvma show {where}", file=sys.stderr)
    return 0
