"""PID 1 of a guest: mounts the file systems, runs one job, reports its exit status.

guest_start.py starts it on a bare Python. It imports nothing from the package, and at
its head only modules that a worker imports too, because the worker is forked from this
interpreter. The job is the file init.job beside it. It is marshalled, because importing
a JSON parser would take a tenth of the start:

    argv     the command, or the arguments of a worker
    worker   the module of a worker, or null. A child of this interpreter runs its
             main(); no second interpreter is started
    stdout   "records" (for a worker: the descriptor of its port is its last
             argument), "output" or "console"
    ports    "virtio": ports by name; "serial": ttyS0 for records, ttyS1 for output
    end      "reboot" (with -no-reboot this ends QEMU) or "poweroff"
    env      the environment
    cwd      the folder to run in, if it exists
    entropy  random bytes in hex, for a kernel that gathers none (serial)
    share    folders of the host to mount writable (User-Mode Linux only)

The exit status goes to the port for records as a record of kind "status". If the host
receives none, the guest was lost.
"""

import contextlib
import ctypes
import marshal
import os
import sys

_MOUNTS = (
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
)
_VIRTIO = "/sys/class/virtio-ports"
# Files in the job's folder that only init needs.
_OURS = ("bundle", "guest_init.py", "init", "init.job")
_SERIAL = {"records": "/dev/ttyS0", "output": "/dev/ttyS1"}
_MOST_THREADS = 1000
_POWER_OFF = 0x4321FEDC

_libc = ctypes.CDLL(None, use_errno=True)


def _mount(kind: str, where: str, options: str = "") -> None:
    os.makedirs(where, exist_ok=True)
    # Call mount(2) directly. Starting mount(8) takes as long as booting the kernel.
    # Also, the host's mount(8) belongs to the host's root, who is "nobody" in here if
    # another user runs the guest.
    source = kind.encode()
    if _libc.mount(source, where.encode(), source, ctypes.c_ulong(0), options.encode()):
        code = ctypes.get_errno()
        raise OSError(code, f"cannot mount {kind}: {os.strerror(code)}", where)


def _mount_all(here: str, shares: list[str]) -> None:
    # /run is the only writable folder. Copy the job there first: another mount may
    # cover the folder that it is in.
    _mount("tmpfs", "/run")
    os.mkdir("/run/tmp", 0o1777)
    _copy_job(here, "/run/job")
    for share in shares:
        _mount("hostfs", share, share)
    for kind, where in _MOUNTS:
        _mount(kind, where)
    # It exists if the kernel can count calls of functions.
    if os.path.isdir("/sys/kernel/tracing"):
        _mount("tracefs", "/sys/kernel/tracing")


def _copy_job(here: str, there: str) -> None:
    os.mkdir(there)
    for name in os.listdir(here):
        if name not in _OURS:
            with open(f"{here}/{name}", "rb") as file:
                content = file.read()
            _write(f"{there}/{name}", content)
            os.chmod(f"{there}/{name}", 0o755)


def _write(path: str, content: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(content)


def _text_of(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


def _open_port(kind: str, name: str) -> int:
    if kind == "serial":
        import tty

        fd = os.open(_SERIAL[name], os.O_RDWR | os.O_NOCTTY)
        tty.setraw(fd)
        return fd
    for port in os.listdir(_VIRTIO):
        if _text_of(f"{_VIRTIO}/{port}/name") == f"harness.{name}":
            return os.open(f"/dev/{port}", os.O_WRONLY)
    raise FileNotFoundError(f"the guest has no virtio port harness.{name}")


def _run(job: dict[str, object], records: int) -> int:
    argv = [str(word) for word in job["argv"]]  # type: ignore[attr-defined]
    cwd = str(job["cwd"]) if os.path.isdir(str(job["cwd"])) else "/run/tmp"
    if job["worker"]:
        return _run_worker(str(job["worker"]), [*argv, str(records)], cwd)
    if job["stdout"] == "console":
        return _run_on_console(argv, cwd)
    return _run_with_output(argv, cwd, _open_port(str(job["ports"]), "output"))


def _run_worker(module: str, argv: list[str], cwd: str) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.chdir(cwd)
            sys.dont_write_bytecode = True
            # At the end of the path: most modules outside the bundle belong to the
            # standard library.
            sys.path.append(os.environ["PYTHONPATH"])
            sys.argv = [module, *argv]
            code = __import__(module, fromlist=["main"]).main(argv)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            for stream in (sys.stdout, sys.stderr):
                # os._exit() does not flush. Ignore errors: the console may be a file
                # on a full disk.
                with contextlib.suppress(OSError):
                    stream.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _run_with_output(argv: list[str], cwd: str, output: int) -> int:
    import subprocess

    # Use a pipe: programs take a serial line for a terminal and behave differently.
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, cwd=cwd,
    ) as process:  # fmt: skip
        while chunk := os.read(process.stdout.fileno(), 1 << 16):  # type: ignore[union-attr]
            while chunk:
                chunk = chunk[os.write(output, chunk) :]
    _drain(output)
    return process.returncode


def _run_on_console(argv: list[str], cwd: str) -> int:
    import subprocess

    # The shell needs its own session on a real terminal for job control and Ctrl-C.
    # /dev/console cannot be a controlling terminal.
    active = _text_of("/sys/class/tty/console/active").split()[-1]
    with open(f"/dev/{active}", "r+b", buffering=0) as terminal:
        return subprocess.run(
            ["setsid", "-c", *argv],
            stdin=terminal, stdout=terminal, stderr=terminal, cwd=cwd,
        ).returncode  # fmt: skip


def _drain(fd: int) -> None:
    if os.isatty(fd):
        import termios

        termios.tcdrain(fd)


def main(here: str) -> None:
    """Run the job of a folder, report its status, and end the guest."""
    with open(f"{here}/init.job", "rb") as file:
        job = marshal.load(file)
    os.environ.clear()
    os.environ.update(job["env"])
    os.environ.update(TMPDIR="/run/tmp", HOME="/run/tmp")
    if not job["worker"] and not os.path.exists("/bin/ls"):
        _spawn("/bin/busybox", "--install", "-s", "/bin")
    _mount_all(here, job["share"])
    if job["ports"] == "serial":
        _credit_entropy(bytes.fromhex(job["entropy"]))
        # In User-Mode Linux each thread is a process of the host, where root has no
        # limit.
        _write("/proc/sys/kernel/threads-max", b"%d" % _MOST_THREADS)
    records = _open_port(job["ports"], "records")
    try:
        code = _run(job, records)
    except OSError as error:
        _say(f"init: {error}")
        code = 127
    os.write(records, b'{"kind":"status","code":%d}\n' % code)
    _drain(records)
    if job["end"] == "poweroff":
        _libc.reboot(_POWER_OFF)
    _write("/proc/sysrq-trigger", b"b")


def _say(words: str) -> None:
    # Ignore errors: the console may be a file on a full disk.
    with contextlib.suppress(OSError):
        os.write(2, words.encode(errors="backslashreplace") + b"\n")


def _credit_entropy(some: bytes) -> None:
    # User-Mode Linux before 6.2 has no entropy source: readers of random bytes block.
    import fcntl
    import struct

    # include/uapi/linux/random.h: RNDADDENTROPY of struct rand_pool_info
    pool = struct.pack(f"=ii{len(some)}s", 8 * len(some), len(some), some)
    with open("/dev/random", "wb", buffering=0) as random:
        fcntl.ioctl(random, 0x40085203, pool)


def _spawn(*argv: str) -> None:
    os.waitpid(os.spawnv(os.P_NOWAIT, argv[0], argv), 0)
