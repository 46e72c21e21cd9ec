"""External programs: logged, bounded in time, and dead when we are.

Each runs under a leash, a small process that is told by a pipe when this one
is gone: ``kill -9`` included. The leash then ends the program's whole process
group, so that no make leaves compilers behind and no harness a guest.

Run as a script, this module is the leash. It imports nothing of the package,
so that it starts in a few hundredths of a second.
"""

import contextlib
import fcntl
import os
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

# How long a program has between being asked to end and being killed.
_GRACE_S = 2.0
_TAIL_LINES = 20


@contextlib.contextmanager
def leashed(
    argv: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: tuple[int, ...] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A running program whose whole process group ends with the block.

    The process is the leash: its exit status is the program's, 128 + N when a
    signal N ended that.
    """
    watched, held = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(watched), *argv],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(watched, *pass_fds),
            env=None if env is None else dict(env),
        )
    except BaseException:
        os.close(held)
        raise
    finally:
        os.close(watched)
    try:
        yield process
    finally:
        os.close(held)
        process.wait()


def run_logged(
    argv: Sequence[str],
    log: Path,
    *,
    deadline_s: float,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> int | None:
    """Run to the end with all output appended to ``log``; None past the deadline.

    ``on_line`` sees each line as it comes. Otherwise returns the exit status.
    """
    end = time.monotonic() + deadline_s
    with open(log, "ab", buffering=0) as out:
        out.write(f"$ {shlex.join(argv)}\n".encode())
        with leashed(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env
        ) as process:
            assert process.stdout is not None
            pending = b""
            with selectors.DefaultSelector() as ready, process.stdout as pipe:
                ready.register(pipe, selectors.EVENT_READ)
                while (left := end - time.monotonic()) > 0:
                    if not ready.select(left):
                        continue
                    chunk = os.read(pipe.fileno(), 1 << 16)
                    if not chunk:
                        return process.wait()
                    out.write(chunk)
                    *lines, pending = (pending + chunk).split(b"\n")
                    if on_line is not None:
                        for line in lines:
                            on_line(line.decode(errors="replace"))
            return None


@contextlib.contextmanager
def exclusive(
    path: Path, *, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold a file's lock, waiting for it; it is free again however we end."""
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tail_of(path: Path, *, lines: int = _TAIL_LINES) -> str:
    """The last lines of a text file, made printable; empty if there is none."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 200 * lines))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(printable(line) for line in text.splitlines()[-lines:])


def printable(text: str) -> str:
    """The text with everything that could steer a terminal shown as its escape."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """The same of a text of several lines, which stay lines."""
    return "\n".join(map(printable, text.split("\n")))


def _leash(watched: int, argv: Sequence[str]) -> int:
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(watched)
        try:
            os.execvp(argv[0], list(argv))
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        os._exit(127)
    # The owner deals with Ctrl-C; the leash stays until the program is over.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    pidfd = os.pidfd_open(child)
    with selectors.DefaultSelector() as ready:
        ready.register(watched, selectors.EVENT_READ)
        ready.register(pidfd, selectors.EVENT_READ)
        events = {key.fd for key, _ in ready.select()}
        if pidfd not in events:
            _kill_group(child, signal.SIGTERM)
            ready.unregister(watched)
            ready.select(_GRACE_S)
    _kill_group(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 128 - code if code < 0 else code


def _kill_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


if __name__ == "__main__":
    sys.exit(_leash(int(sys.argv[1]), sys.argv[2:]))
