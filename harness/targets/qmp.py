"""What QEMU's monitor is asked while a guest runs: to stop it, and for its memory."""

import asyncio
import socket
from pathlib import Path

from qemu.qmp import ExecuteError, QMPClient, QMPError

from harness.errors import EnvironmentFault, GuestHung
from harness.host.programs import printable, tail_of
from harness.targets.channel import ended_without_status

_LONGEST_S = 300


def dump_memory(monitor: socket.socket, path: Path, console: Path) -> None:
    """Stop a guest for good and write its physical memory to a file, as ELF.

    ``monitor`` is our end of QEMU's monitor. Raises EnvironmentFault where QEMU
    cannot write the file, GuestHung when it takes too long, and what
    ``ended_without_status`` makes of the console when QEMU goes away.
    """
    try:
        asyncio.run(asyncio.wait_for(_dump(monitor, path), _LONGEST_S))
    except ExecuteError as error:
        raise EnvironmentFault(
            f"the guest's memory cannot be written to {path}: QEMU says "
            f"{printable(str(error))[:1000]}"
        ) from None
    # An assertion of the client fails where QEMU goes away as it greets, and what its
    # reader made of what is no message is raised as it is.
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
            console, runner_said="it went away while its memory was written"
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
