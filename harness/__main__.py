"""``anonvma``, and ``python -m harness``: a process of its own for a command.

What is to be said of a signal is said while the command's modules are still being
imported, too, and once: a second Ctrl-C right after the first would break off what
is being put back.
"""

import signal
import sys
import time

_STOPPED = 130
# What is put back takes less: a signal after that long asks again.
_WHILE_S = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the command; its exit status, 130 where a signal stopped it."""
    stop = _Stop()
    try:
        try:
            # Who had it ignored would have every program of ours end with 0.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in _SIGNALS:
                # Whoever runs us in the background, or with nohup, has some ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, stop)
            from harness.cli import main as command

            return command()
        finally:
            # The interpreter's own end would show where it was.
            _ignore()
    except KeyboardInterrupt:
        # From a finally, too.
        print("anonvma: stopped", file=sys.stderr)
        return _STOPPED


class _Stop:
    """A handler of signals that interrupts, at most once in a while."""

    def __init__(self) -> None:
        self._last = -_WHILE_S

    def __call__(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if now - self._last >= _WHILE_S:
            self._last = now
            raise KeyboardInterrupt


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # An interrupt within exec(), as dataclasses are made by, makes the interpreter
    # end of SIGINT however it was dealt with, unless another has ended well since
    # (run_eval_code_obj() of Python/pythonrun.c).
    exec("")


if __name__ == "__main__":
    sys.exit(main())
