"""Stops a guest and dumps its memory, through QEMU's monitor (QMP)."""

import asyncio
import socket
from pathlib import Path

from qemu.qmp import ExecuteError, QMPClient, QMPError

from harness.errors import EnvironmentFault, GuestHung
from harness.host.programs import printable, tail_of
from harness.targets.channel import ended_without_status

_LONGEST_S = 300


def dump_memory(monitor: socket.socket, path: Path, console: Path) -> None:
    """Stop a guest and write its physical memory to a file, as ELF.

    ``monitor`` is our end of QEMU's monitor. Raises EnvironmentFault if QEMU cannot
    write the file, GuestHung if it takes too long, and the error that
    ``ended_without_status`` returns if QEMU ends.
    """
    try:
        asyncio.run(asyncio.wait_for(_dump(monitor, path), _LONGEST_S))
    except ExecuteError as error:
        raise EnvironmentFault(
            f"the guest's memory cannot be written to {path}: QEMU says "
            f"{printable(str(error))[:1000]}"
        ) from None
    # If QEMU ends during the greeting, an assertion in the client fails. If a message
    # cannot be parsed, the client raises the parser's own exceptions.
    except (
        QMPError, AssertionError, OSError, EOFError, LookupError, ValueError,
        TypeError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        if isinstance(error, TimeoutError):
            raise GuestHung(
                f"the guest's memory was not written within {_LONGEST_S} s",
                tail_of(console),
            ) from None
        raise ended_without_status(
            console, runner_output="QEMU ended while it wrote the guest's memory"
        ) from None


async def _dump(monitor: socket.socket, path: Path) -> None:
    client = QMPClient("guest")
    client.logger.disabled = True
    try:
        await client.connect(monitor)
        await client.execute("stop")
        arguments: dict[str, object] = {"paging": False, "protocol": f"file:{path}"}
        await client.execute("dump-guest-memory", arguments)
    finally:
        await client.disconnect()
