"""Limits the VMAs of the arena, whatever else the process has mapped.

vm.max_map_count limits the VMAs of the whole process, and the interpreter maps memory
at any time. So the sysctl is low only during a call of the trace. Its value is computed
from the number of VMAs just before the call. Counting reads all of maps: it is
done only if the call may come near the limit.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator

from harness.linux import read_sysctl

MAX_MAP_COUNT = "vm.max_map_count"

# VMAs that the interpreter may add between calls while a trace is near its limit.
_OWN = 1000
# No call adds more VMAs than this: munmap and prctl add 1 or 2, mremap 3.
MOST_ADDED = 4
# With fewer VMAs left than this, the limit is set: mremap refuses a few VMAs early.
NEAR = 64


class MapCountLimit:
    """vm.max_map_count: set to a number for one call, and high between calls."""

    def __init__(self) -> None:
        self._now = self._usual = int(read_sysctl(MAX_MAP_COUNT))
        try:
            self._fd = os.open(
                f"/proc/sys/{MAX_MAP_COUNT.replace('.', '/')}", os.O_WRONLY
            )
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            self._fd = -1

    @property
    def allowed(self) -> bool:
        """Whether this process may change it; if not, use no other method."""
        return self._fd != -1

    @contextlib.contextmanager
    def held(self, limit: int) -> Iterator[None]:
        """Run with the sysctl at ``limit``."""
        self._set(limit)
        try:
            yield
        finally:
            self.widen(limit)

    def widen(self, limit: int) -> None:
        """Set the sysctl high enough for ``limit`` VMAs and the interpreter's."""
        wide = max(self._usual, limit + _OWN)
        if wide != self._now:
            self._set(wide)

    def _set(self, limit: int) -> None:
        os.pwrite(self._fd, str(limit).encode(), 0)
        self._now = limit


class ArenaLimit:
    """The limit of VMAs in the arena; none before ``set``.

    ``count`` reads maps and returns the number of VMAs outside the arena and inside.
    """

    def __init__(
        self, sysctl: MapCountLimit, count: Callable[[], tuple[int, int]]
    ) -> None:
        self._sysctl = sysctl
        self._count = count
        self._limit: int | None = None
        # The arena can have at least this many more VMAs.
        self._room = 0

    def set(self, room: int) -> None:
        """Allow the arena ``room`` more VMAs than it has now; may be negative."""
        own, arena = self._count()
        self._limit, self._room = arena + room, room
        if room > NEAR:
            self._sysctl.widen(own + self._limit)

    @contextlib.contextmanager
    def for_a_call(self) -> Iterator[None]:
        """Run one call of the trace with the limit in force."""
        if self._limit is None:
            yield
            return
        self._room -= MOST_ADDED
        if self._room > NEAR:
            yield
            return
        own, arena = self._count()
        self._room = self._limit - arena
        if self._room > NEAR:
            yield
            return
        with self._sysctl.held(max(0, own + self._limit)):
            yield
