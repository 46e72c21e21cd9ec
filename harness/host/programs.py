"""Runs external programs: with a log, with a deadline, and never longer than we live.

Each program runs under a leash, a small process. A pipe between this process and the
leash closes when this process ends, even by ``kill -9``. Then the leash ends the
program's whole process group, so that no compilers and no guests are left. It also
ends processes that left the group: they become children of the leash, because it is a
subreaper. A process first gets SIGTERM and some time to restore what it changed.

Run as a script, this module is the leash. It then imports nothing of the package, so
that it starts in a few hundredths of a second.
"""

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

# The time between SIGTERM and SIGKILL.
_GRACE_S = 2.0
_TAIL_LINES = 20
_POLL_S = 0.5

# More than a worker, an executor or a guest ever needed.
MOST_PROCESSES = 1000

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@contextlib.contextmanager
def leashed(
    argv: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: tuple[int, ...] = (),
    env: Mapping[str, str] | None = None,
    processes: int = 0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program; it and all that it starts are ended with the context.

    The yielded process is the leash. Its exit status is the program's, or 128 + N if
    signal N ended the program. ``processes`` limits how many more processes the user
    may have than now (RLIMIT_NPROC); the kernel exempts root from this limit.
    """
    watched, ours = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(watched), str(processes), *argv],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(watched, *pass_fds),
            env=None if env is None else dict(env),
            # Ctrl-C in the terminal must go to this process only, also while the leash
            # starts.
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(watched)
    try:
        yield process
    finally:
        os.close(ours)
        process.wait()


def run_logged(
    argv: Sequence[str],
    log: Path,
    *,
    deadline_s: float,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> int | None:
    """Run a program and append its output to ``log``; return its exit status.

    Returns None if it was ended at the deadline. ``on_line`` gets each line when it is
    written.
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
                    # The wait is short: Python handles a signal that comes just before
                    # it only after it.
                    if not ready.select(min(left, _POLL_S)):
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


def tail_of(path: Path, *, lines: int = _TAIL_LINES) -> str:
    """The last lines of a text file, made printable; empty if there is no file."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 200 * lines))
            text = file.read(200 * lines).decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(printable(line) for line in text.splitlines()[-lines:])


def printable(text: str) -> str:
    """The text with every character that could control a terminal escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines; its newlines are kept."""
    return "\n".join(map(printable, text.split("\n")))


def _leash(watched: int, processes: int, argv: Sequence[str]) -> int:
    prctl = _prctl()
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # If our starter ignores SIGCHLD, a child leaves no status to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        # If the leash is killed, the kernel kills the program.
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        os.close(watched)
        if processes:
            _limit_processes(processes)
        try:
            os.execvp(argv[0], list(argv))
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        os._exit(127)
    # The leash must live until the program has ended.
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
    _end_stragglers()
    return 128 - code if code < 0 else code


def _kill_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def _end_stragglers() -> None:
    # End the processes that left the group: SIGTERM once, and SIGKILL later.
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + _GRACE_S
        signalled: set[int] = set()
        while _reap_and_check_children() and time.monotonic() < end:
            # A process whose parent was killed becomes our child, now or soon.
            for pid in _descendants() - signalled:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                signalled.add(pid)
            time.sleep(0.01)


def _reap_and_check_children() -> bool:
    # Reap the dead children; return whether any child is left.
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _descendants() -> set[int]:
    parents = {pid: int(_stat_after_name(pid)[1]) for pid in _pids()}
    found = {os.getpid()}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def _limit_processes(more: int) -> None:
    # Imported here because most programs are started without a limit.
    import resource

    mine = [pid for pid in _pids() if _real_user(pid) == os.getuid()]
    threads = sum(int(_stat_after_name(pid)[17]) for pid in mine)
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    limit = min([threads + more, *known])
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, hard))


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _stat_after_name(pid: int) -> list[str]:
    # The fields of /proc/pid/stat after the name; zeros if the process is gone.
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 50


def _real_user(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", errors="replace") as file:
            return next(int(x.split()[1]) for x in file if x.startswith("Uid:"))
    except (FileNotFoundError, ProcessLookupError):
        return -1


def _prctl() -> Callable[[int, int], object]:
    # Imported here because only the leash needs it.
    import ctypes

    call = ctypes.CDLL(None).prctl
    call.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)

    def prctl(option: int, word: int) -> object:
        return call(option, word, 0, 0, 0)

    return prctl


if __name__ == "__main__":
    sys.exit(_leash(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
