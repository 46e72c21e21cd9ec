"""The command ``anonvma tune``."""

from rich import box
from rich.table import Table

from harness import tune as machine
from harness.cli.requests import TuneRequest
from harness.cli.tables import stdout_console


def tune(request: TuneRequest) -> int:
    """Show what disturbs, change it, or put it back; 0."""
    console = stdout_console()
    if request.action == "undo":
        count = 0
        for path, value in machine.undo():
            count += 1
            console.print(f"{path}: back to {value}", markup=False)
        console.print("all is as it was" if count else "there is nothing to put back")
        return 0
    if request.action == "apply":
        changed = []
        for setting in machine.apply():
            changed.append(setting)
            console.print(
                f"{setting.path}: {setting.value} becomes {setting.knob.wanted}",
                markup=False,
            )
        if changed:
            console.print("anonvma tune --undo puts them back")
        else:
            console.print("nothing is to be changed")
        return 0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    disturbing = False
    for setting in machine.settings_here():
        disturbing |= setting.disturbs
        advice = f"{setting.knob.wanted} is better: {setting.knob.why}"
        table.add_row(
            "disturbs" if setting.disturbs else "ok",
            setting.knob.subject,
            str(setting.path),
            setting.value,
            advice if setting.disturbs else "",
        )
    for subject, found in machine.remarks():
        table.add_row("note", subject, "", found, "")
    console.print(table)
    if disturbing:
        console.print(
            "as root: anonvma tune --apply changes them, --undo puts them back"
        )
    return 0
