"""The command ``anonvma import``."""

import sys

from harness.campaign import (
    append_file,
    appended_records,
    campaign_folder,
    remove_empty_campaign,
)
from harness.cli.requests import ImportRequest
from harness.finding import RECORDS
from harness.measure import Run, render_record
from harness.programs import printable
from harness.scratch import scratch_folder


def import_(request: ImportRequest) -> int:
    """Append foreign records to a campaign, or refuse all of them; 0."""
    # pandas takes a second to import: only what needs it waits for it.
    from harness.campaign.importing import check_fits, foreign_records

    with scratch_folder() as scratch:
        # All of it is looked at before any is taken, and what was looked at is taken.
        copy = scratch / RECORDS
        runs = []
        count = 0
        with open(copy, "wb") as file:
            for record in foreign_records(request.records):
                count += 1
                file.write(render_record(record))
                if isinstance(record, Run):
                    runs.append(record)
        folder = campaign_folder(request.results, request.name)
        with appended_records(folder):
            try:
                check_fits(runs, folder)
                append_file(folder, copy)
            except BaseException:
                remove_empty_campaign(folder)
                raise
    where = printable(str(folder))
    print(f"{len(runs)} runs, {count} records: anonvma show {where}", file=sys.stderr)
    return 0
