"""make torture: kills, faults and hostile input, for as long as it is given.

    python -m tests.torture --minutes 60
    python -m tests.torture --minutes 5 --only kills --seed 7

Ends with 1 at the first promise that is broken; what it worked on is then kept.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.torture.campaigns import Broken
from tests.torture.faults import fault_until
from tests.torture.fuzz import fuzz
from tests.torture.kills import kill_until

# Which part of the time each takes.
_SHARES = {"kills": 0.5, "faults": 0.25, "fuzz": 0.25}


def main() -> int:
    """Torture, and print what was tried: 0 where everything held."""
    options = _options()
    started = time.monotonic()
    chosen = options.only.split(",") if options.only else list(_SHARES)
    if unknown := set(chosen) - set(_SHARES):
        sys.exit(f"no part is called {', '.join(unknown)}; parts: {', '.join(_SHARES)}")
    seconds = options.minutes * 60
    whole = sum(_SHARES[name] for name in chosen)

    def on_line(line: str) -> None:
        elapsed = int(time.monotonic() - started)
        print(f"{elapsed // 60}:{elapsed % 60:02} {line}", flush=True)

    on_line(f"seed {options.seed}, {options.minutes:g} minutes")
    folder = Path(tempfile.mkdtemp(prefix="anonvma-torture-"))
    told: list[str] = []
    try:
        for name in chosen:
            rng = random.Random(f"{options.seed} {name}")
            share = seconds * _SHARES[name] / whole
            place = folder / name
            place.mkdir()
            told.append(_part(name, share, rng, place, on_line))
    except Broken as broken:
        print(f"broken: {broken}\nseed {options.seed}; kept in {folder}")
        return 1
    shutil.rmtree(folder)
    for line in told:
        print(line)
    return 0


def _part(
    name: str,
    seconds: float,
    rng: random.Random,
    folder: Path,
    on_line: Callable[[str], None],
) -> str:
    end = time.monotonic() + seconds
    match name:
        case "kills":
            kills = kill_until(end, rng, folder, on_line)
            by = ", ".join(f"{n} of {what}" for what, n in sorted(kills.kills.items()))
            return (
                f"kills survived: {kills.kills.total()} ({by}) in {kills.campaigns} "
                f"campaigns of {kills.samples} samples; lost 0, doubled 0"
            )
        case "faults":
            faults = fault_until(end, rng, folder, on_line)
            skipped = f"; need root: {sorted(faults.skipped)}" if faults.skipped else ""
            return f"faults tried: {faults.tried.total()} {dict(faults.tried)}{skipped}"
        case _:
            report = fuzz(seconds, rng.randrange(1 << 32), on_line, results=folder)
            if report.failures:
                raise Broken("; ".join(map(str, report.failures)))
            return f"inputs tried: {report.inputs} of {len(report.tried)} readers"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("--minutes", type=float, default=60, help="default: 60")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--only", help=f"parts of {', '.join(_SHARES)}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
