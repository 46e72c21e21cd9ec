"""The entry point of ``anonvma`` and ``python -m harness``.

It handles signals before it imports the command's modules, so that a signal during the
imports also ends the command with one line. The first signal stops the command. For
ten seconds further signals are ignored: they would interrupt the cleanup.
"""

import signal
import sys
import time

_STOPPED = 130
# The cleanup takes less time than this; a signal after that interrupts again.
_IGNORED_S = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the command; its exit status, or 130 if a signal stopped it."""
    stop = _Stop()
    try:
        try:
            # If the caller ignored SIGCHLD, all child processes would seem to end
            # with 0.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in _SIGNALS:
                # A shell in the background and nohup ignore some signals: keep that.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, stop)
            from harness.cli import main as command

            return command()
        finally:
            # A signal while the interpreter exits would print a traceback.
            _ignore()
    except KeyboardInterrupt:
        # This also catches an interrupt of a finally block.
        print("anonvma: stopped", file=sys.stderr)
        return _STOPPED


class _Stop:
    """A signal handler that raises KeyboardInterrupt at most once in ten seconds."""

    def __init__(self) -> None:
        self._last = -_IGNORED_S

    def __call__(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if now - self._last >= _IGNORED_S:
            self._last = now
            raise KeyboardInterrupt


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # After an interrupt inside exec(), which dataclasses use, the interpreter kills
    # itself with SIGINT at its end, even if the interrupt was handled. Another exec()
    # that ends normally prevents that (run_eval_code_obj() in Python/pythonrun.c).
    exec("")


if __name__ == "__main__":
    sys.exit(main())
