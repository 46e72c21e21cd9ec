"""``anonvma``, and ``python -m harness``: a process of its own for a command.

What is to be said of a signal is said while the command's modules are still being
imported, too, and once: a second Ctrl-C would break off what the first has ended
and is being put back.
"""

import signal
import sys
from typing import NoReturn

_STOPPED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the command; its exit status, 130 where a signal stopped it."""
    try:
        try:
            for number in _SIGNALS:
                # Whoever runs us in the background, or with nohup, has some ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, _stop)
            from harness.cli import main as command

            return command()
        finally:
            # The interpreter's own end would show where it was.
            _ignore()
    except KeyboardInterrupt:
        # From a finally, too.
        print("anonvma: stopped", file=sys.stderr)
        return _STOPPED


def _stop(number: int, frame: object) -> NoReturn:
    _ignore()
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
