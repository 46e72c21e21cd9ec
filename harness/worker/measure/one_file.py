"""anonvma.pyz: the harness in one file, for other machines.

It needs only Python 3.10 or newer. It measures the kernel that it runs on;
``anonvma import`` adds its records to a campaign.
"""

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from harness.errors import EnvironmentFault, HarnessError, UnsupportedError, UsageError
from harness.linux import fifo_without_children, read_sysctl
from harness.linux.started import keep_ended_children
from harness.worker.measure.facts import KernelFacts, kernel_facts
from harness.worker.measure.job import Job, PlannedCell
from harness.worker.measure.parsing import parse_record
from harness.worker.measure.records import Record, RunEnd, render_record
from harness.worker.measure.settings import MAX_MAP_COUNT
from harness.worker.measure.worker import run_job
from harness.workload import Store, all_cells, interleaved

_INTERRUPTED = 130
_MOST = 10**9
# No machine has memory or addresses for more.
_MOST_VMAS, _MOST_PAGES = 2**24, 2**35
_MOST_CELLS = 10**6
# Numbers in records have at most 64 bits.
_MOST_SEED = 2**63 - 1
_EXAMPLES = """\
examples:
  python3 anonvma.pyz doctor
  python3 anonvma.pyz run --vmas 1000,65536 --out records.jsonl
then, on the machine with the harness:
  anonvma import records.jsonl

exit status: 0 done; 1 some cells could not be measured; 2 wrong usage; 3 something in
the environment is missing or failed; 4 not supported by this kernel; 130 stopped
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command of anonvma.pyz; its exit status."""
    options = _parser().parse_args(arguments)
    keep_ended_children()
    try:
        if options.command == "doctor":
            return _doctor()
        return _run(options)
    except HarnessError as error:
        print(f"anonvma.pyz: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("anonvma.pyz: stopped", file=sys.stderr)
        return _INTERRUPTED
    except OSError as error:
        print(f"anonvma.pyz: {error}", file=sys.stderr)
        return EnvironmentFault.status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anonvma.pyz",
        description="Measure what a named anonymous VMA costs on this kernel.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, dest="command")
    commands.add_parser("doctor", help="show what this kernel and this user can do")
    run = commands.add_parser("run", help="measure and write records")
    run.add_argument("--out", type=Path, required=True, metavar="RECORDS.jsonl")
    run.add_argument("--vmas", type=_counts, default=(1000, 4000, 16000, 65536))
    run.add_argument("--pages", type=_counts_from_0, default=(0,))
    run.add_argument("--naming", type=_words, default=("distinct:63", "distinct:79"))
    run.add_argument("--blocks", type=_count, default=3)
    run.add_argument("--repetitions", type=_count, default=10)
    run.add_argument("--seed", type=_seed, default=1)
    return parser


def _number(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        shown = text if len(text) <= 60 else text[:60] + "..."
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least} to {most}, not {shown!r}"
        )
    return number


def _count(text: str) -> int:
    return _number(text, 1, _MOST)


def _seed(text: str) -> int:
    return _number(text, 0, _MOST_SEED)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_number(word, 1, _MOST_VMAS) for word in _words(text))


def _counts_from_0(text: str) -> tuple[int, ...]:
    return tuple(_number(word, 0, _MOST_VMAS) for word in _words(text))


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        raise argparse.ArgumentTypeError("expected values separated by commas")
    return words


def _doctor() -> int:
    facts = kernel_facts()
    with fifo_without_children() as fifo:
        pass
    limit = read_sysctl(MAX_MAP_COUNT)
    raisable = os.access("/proc/sys/vm/max_map_count", os.W_OK)
    conditions = facts.conditions("host")
    print(f"kernel         linux {facts.release} on {facts.machine}, {facts.cpu}")
    print(f"names          {facts.support}: {facts.reason}")
    print(f"store          {' and '.join(store.value for store in facts.stores)}")
    print(f"clock          {conditions.unit.value} ({conditions.accelerator})")
    if conditions.unusable:
        print(f"               not usable: {conditions.unusable}")
    print(f"max_map_count  {limit}{'' if raisable else ', only root may raise it'}")
    print(
        f"SCHED_FIFO     {'yes' if fifo else 'no: other tasks may preempt; use root'}"
    )
    return 0 if facts.named else UnsupportedError.status


def _run(options: argparse.Namespace) -> int:
    _check_size(options)
    fd = _create(options.out)
    try:
        job = _job_of(options)
    except BaseException:
        os.close(fd)
        options.out.unlink(missing_ok=True)
        raise
    return _measure(options, job, fd)


def _check_size(options: argparse.Namespace) -> None:
    # Check before anything is probed or created. The kernel's stores are not known yet:
    # count the cells for one store, the smallest number possible.
    if max(options.vmas) * max(options.pages) > _MOST_PAGES:
        raise UsageError(
            f"VMAs times pages is more than {_MOST_PAGES}; no machine has that much"
        )
    cells = len(options.vmas) * len(options.pages) * (len(options.naming) + 2)
    if cells * options.blocks > _MOST_CELLS:
        raise UsageError(
            f"these options make more than {_MOST_CELLS} cells: reduce --blocks"
        )
    all_cells(options.vmas, options.pages, options.naming, (Store.REFCOUNTED,))


def _job_of(options: argparse.Namespace) -> Job:
    facts = kernel_facts()
    if not facts.named and options.naming != ("none",):
        raise UnsupportedError(
            f"linux {facts.release} does not name memory: {facts.reason}. "
            "To measure fork without names, add --naming none"
        )
    return _job(options, facts)


def _measure(options: argparse.Namespace, job: Job, fd: int) -> int:
    def emit(record: Record) -> None:
        line = render_record(record)
        if os.write(fd, line) != len(line):
            raise EnvironmentFault(f"{options.out}: the disk is full")
        if isinstance(record, RunEnd):
            _print_progress(record, job)

    try:
        run_job(job, emit)
    finally:
        os.close(fd)
    # Cells run in child processes: their ends are only in the file.
    records = [parse_record(line) for line in options.out.read_bytes().splitlines()]
    ends = [record for record in records if isinstance(record, RunEnd)]
    valid = sum(end.valid for end in ends)
    print(f"{valid} of {len(job.cells)} cells measured: {options.out}", file=sys.stderr)
    return 0 if valid == len(job.cells) else 1


def _print_progress(end: RunEnd, job: Job) -> None:
    position = int(end.run.rpartition("-")[2])
    label = job.cells[position].cell.label
    result = "measured" if end.valid else f"not measured: {end.reason}"
    print(f"{position + 1} of {len(job.cells)}: {label}: {result}", file=sys.stderr)


def _create(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
    except FileExistsError:
        raise UsageError(f"{path} already exists; choose another name") from None
    except OSError as error:
        raise UsageError(
            f"cannot write {str(path)[:200]!r}: {error.strerror}"
        ) from None


def _job(options: argparse.Namespace, facts: KernelFacts) -> Job:
    cells = all_cells(options.vmas, options.pages, options.naming, facts.stores)
    order = interleaved(cells, blocks=options.blocks, seed=str(options.seed))
    # Python 3.10 has no ``datetime.UTC``.
    launched = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Job(
        campaign="probe",
        session=secrets.token_hex(4),
        boot=0,
        seed=options.seed,
        variant="host",
        base=facts.base,
        stores=facts.stores,
        conditions=facts.conditions("host"),
        launched=launched,
        warmups=1,
        repetitions=options.repetitions,
        cells=tuple(PlannedCell(block=block, cell=cell) for block, cell in order),
    )
