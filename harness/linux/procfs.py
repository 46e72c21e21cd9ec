"""Reads facts about the kernel and about a process from /proc and /sys."""

import io
import os
import zlib
from collections.abc import Iterator

from harness.lean.texts import sha256

# wbits for zlib: a stream with a gzip header. Importing gzip would take longer.
_GZIP = 31
_NT_GNU_BUILD_ID = 3


def read_file(path: str) -> bytes:
    """The content of a kernel file. Raises OSError if it cannot be read."""
    # Unbuffered: the kernel returns at most one page per read, whatever its size.
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def read_maps(pid: int | None = None) -> bytes:
    """The text of /proc/PID/maps; without a pid, of this process."""
    return _read_of(pid, "maps")


def open_maps(pid: int | None = None) -> io.FileIO:
    """Open /proc/PID/maps, to read it piece by piece."""
    return _open_of(pid, "maps")


def read_smaps(pid: int | None = None) -> bytes:
    """The text of /proc/PID/smaps. FileNotFoundError if it is not built in."""
    return _read_of(pid, "smaps")


def _read_of(pid: int | None, file_name: str) -> bytes:
    with _open_of(pid, file_name) as file:
        return file.readall()


def _open_of(pid: int | None, file_name: str) -> io.FileIO:
    who = "self" if pid is None else str(pid)
    # Unbuffered: the kernel returns at most one page per read, whatever its size.
    return open(f"/proc/{who}/{file_name}", "rb", buffering=0)


def count_maps() -> int:
    """The number of lines of /proc/self/maps, counted without keeping the text."""
    count = 0
    with open_maps() as file:
        while chunk := file.read(1 << 16):
            count += chunk.count(b"\n")
    return count


def read_sysctl(name: str) -> str:
    """The value of a sysctl, by its dotted name, without the final newline."""
    return read_file(_sysctl_path(name)).decode().strip()


def write_sysctl(name: str, value: str) -> None:
    """Set a sysctl, by its dotted name. PermissionError without root."""
    # One write(2): the kernel takes each write as a complete value.
    fd = os.open(_sysctl_path(name), os.O_WRONLY)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _sysctl_path(name: str) -> str:
    return f"/proc/sys/{name.replace('.', '/')}"


def kernel_build_id() -> str | None:
    """The running kernel's GNU build id in hex, or None."""
    try:
        notes = read_file("/sys/kernel/notes")
    except OSError:
        return None
    return parse_build_id(notes)


def parse_build_id(notes: bytes) -> str | None:
    """The build id in a series of ELF notes, or None."""
    for name, kind, value in elf_notes(notes):
        if (name, kind) == (b"GNU\0", _NT_GNU_BUILD_ID):
            return value.hex()
    return None


def elf_notes(notes: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """The name, type and value of each ELF note, without a last one that is cut off.

    Source: elf(5), Nhdr: three words of 32 bits, then the name and the value, each
    padded to a multiple of 4 bytes.
    """
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = (
            int.from_bytes(notes[at + i : at + i + 4], "little") for i in (0, 4, 8)
        )
        value_at = at + 12 + (name_size + 3 & ~3)
        if value_at + size > len(notes):
            return
        yield notes[at + 12 : at + 12 + name_size], kind, notes[value_at:][:size]
        at = value_at + (size + 3 & ~3)


def kernel_config() -> str | None:
    """The running kernel's configuration, or None without /proc/config.gz."""
    try:
        packed = read_file("/proc/config.gz")
    except FileNotFoundError:
        return None
    return zlib.decompress(packed, wbits=_GZIP).decode()


def config_digest(config: str) -> str:
    """SHA-256 over the options of a configuration, without its comments.

    So two configurations with the same options are equal, whatever their headers say.
    """
    # Kconfig writes options in two fixed forms: no regular expression is needed.
    options = sorted(
        line for line in config.splitlines()
        if (line.startswith("CONFIG_") and "=" in line)
        or (line.startswith("# CONFIG_") and line.endswith(" is not set"))
    )  # fmt: skip
    digest: str = sha256("\n".join(options).encode()).hexdigest()
    return digest


def cpu_name() -> str:
    """The name of the first CPU in /proc/cpuinfo, in one line."""
    fields: dict[str, str] = {}
    for line in read_file("/proc/cpuinfo").decode().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    if "model name" in fields:
        return fields["model name"]
    parts = [fields[k] for k in ("CPU implementer", "CPU part") if k in fields]
    return " ".join(parts) or "unknown"
