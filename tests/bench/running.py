"""The bench as a command: rows by name, one after the other, whatever befalls one."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.errors import UsageError
from harness.host.clock_lock import silicon_clock_held
from harness.host.programs import printable
from tests.bench.figures import Figure, Pair, Reached, Verdict, failed, judge, status_of
from tests.bench.records import appended, render_failure, render_pair
from tests.bench.subjects import SUBJECTS
from tests.bench.table import print_table
from tests.bench.taking import Setting, Subject

_WIDTH = 176
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the figures asked for and print their table: 1 when one is missed."""
    options = _parser().parse_args(arguments)
    figures = [figure for subject in SUBJECTS for figure in subject.figures]
    if options.list:
        for figure in figures:
            print(f"{figure.name:20} {figure.what}, against {figure.against}")
        return 0
    try:
        chosen = chosen_names(options.only, [figure.name for figure in figures])
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.status
    interrupted = False
    results: list[Reached] = []
    with (
        appended(options.results) as (path, append),
        tempfile.TemporaryDirectory(prefix="bench-") as scratch,
    ):
        setting = Setting(
            quick=options.quick, scratch=Path(scratch), chosen=chosen, on_step=_say
        )
        for subject, wanted in turns(SUBJECTS, chosen):
            if interrupted:
                results += [failed(f, "not begun: interrupted") for f in wanted]
                continue
            names = frozenset(figure.name for figure in wanted)
            try:
                results += take(subject, replace(setting, chosen=names), append)
            except Interrupted as stop:
                interrupted = True
                results += stop.results
    width = None if sys.stdout.isatty() else _WIDTH
    print_table(results, Console(width=width, highlight=False, markup=False),
                quick=options.quick)  # fmt: skip
    print(f"records: {path}")
    return _INTERRUPTED if interrupted else status_of(results, exact_only=options.quick)


def turns(
    subjects: Sequence[Subject], chosen: frozenset[str]
) -> Iterator[tuple[Subject, list[Figure]]]:
    """What is taken at a time: a subject with those of its figures that are chosen."""
    for subject in subjects:
        wanted = [figure for figure in subject.figures if figure.name in chosen]
        if subject.apart:
            yield from ((subject, [figure]) for figure in wanted)
        elif wanted:
            yield subject, wanted


class Interrupted(Exception):
    """Ctrl-C, with what was reached by then."""

    def __init__(self, results: list[Reached]) -> None:
        super().__init__()
        self.results = results


def take(
    subject: Subject, setting: Setting, append: Callable[[bytes], None]
) -> list[Reached]:
    """Take a subject's figures, each repetition recorded as it comes.

    Whatever it raises is the reason why its figures failed, another that takes time
    on this machine included; Interrupted for Ctrl-C.
    """
    wanted = {f.name: f for f in subject.figures if f.name in setting.chosen}
    pairs: dict[str, list[Pair]] = {name: [] for name in wanted}
    _say(f"taking {', '.join(wanted)}")
    reason, interrupted = "", False
    by = f"make bench, {', '.join(wanted)}"
    try:
        with silicon_clock_held(by) if subject.takes_time else nullcontext():
            for name, pair in subject.measure(setting):
                if name in wanted:
                    pairs[name].append(pair)
                    append(render_pair(wanted[name], pair))
    except KeyboardInterrupt:
        reason, interrupted = "interrupted", True
    # Anything: one row's fault must not lose the other rows.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    results = [_reached(figure, pairs[name], reason) for name, figure in wanted.items()]
    for result in results:
        if result.reason:
            append(render_failure(result.figure, result.reason))
    if interrupted:
        raise Interrupted(results)
    return results


def _reached(figure: Figure, pairs: list[Pair], reason: str) -> Reached:
    if not reason:
        return judge(figure, pairs)
    if not pairs:
        return failed(figure, reason)
    return replace(judge(figure, pairs), verdict=Verdict.FAILED, reason=reason)


def chosen_names(only: str | None, known: Sequence[str]) -> frozenset[str]:
    """The figures that ``--only`` asks for: each by its name or how it begins.

    Raises UsageError for a word that no name begins with.
    """
    if only is None:
        return frozenset(known)
    chosen: set[str] = set()
    for word in only.split(","):
        found = [name for name in known if name == word or name.startswith(f"{word}-")]
        if not found:
            raise UsageError(
                f"no row is called {word[:60]!r}; known: {', '.join(known)}"
            )
        chosen.update(found)
    return frozenset(chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench", description="What the harness costs beside what it measures."
    )
    parser.add_argument("--only", metavar="ROW,...", help="these rows, or their groups")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument(
        "--quick", action="store_true",
        help="smaller and fewer; what hangs on the machine's load is told only",
    )  # fmt: skip
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="FOLDER",
        help="where bench-TIME/records.jsonl is made",
    )  # fmt: skip
    return parser


def _say(step: str) -> None:
    print(f"bench: {printable(step)}", file=sys.stderr, flush=True)
