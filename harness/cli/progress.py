"""Progress messages: one live line on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from harness.host.programs import printable

# Without a terminal, steps of the same kind are printed at most this often.
_PLAIN_EVERY_S = 15.0


class Progress:
    """Prints steps on standard error. A context manager: it removes the live line."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False)
        self._live: Status | None = None
        self._printed = ("", 0.0)
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = self._console.status("starting")
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def step(self, what: str) -> None:
        """Print the current step. Of ``KIND: detail``, not every detail is printed."""
        what = printable(what)
        if self._live is not None:
            self._live.update(Text.assemble(what, (f" ({self._elapsed()})", "dim")))
            return
        kind, now = what.partition(":")[0], time.monotonic()
        printed, when = self._printed
        if kind != printed or now - when >= _PLAIN_EVERY_S:
            self._printed = (kind, now)
            self.line(what)

    def cell(self, ended: int, planned: int, what: str) -> None:
        """Print how many cells are finished."""
        self.step(f"measuring: {ended} of {planned} cells, {what}")

    def line(self, what: str) -> None:
        """Print a line that stays on the screen."""
        self._console.print(
            f"{self._elapsed()} {printable(what)}", markup=False, soft_wrap=True
        )
        sys.stderr.flush()

    def result(self, text: str) -> None:
        """Write a result to standard output, also when that is redirected.

        The live line is stopped meanwhile: rich redirects prints to its terminal.
        """
        if self._live is not None:
            self._live.stop()
        sys.stdout.write(text)
        sys.stdout.flush()
        if self._live is not None:
            self._live.start()

    def _elapsed(self) -> str:
        seconds = int(time.monotonic() - self._started)
        return f"{seconds // 60}:{seconds % 60:02}"
