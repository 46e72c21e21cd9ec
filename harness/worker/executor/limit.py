"""vm.max_map_count as a trace has it: so many VMAs in the arena, whatever else is.

The limit is in force during the call only: the interpreter maps, too, and may have
mapped since the limit was set. So the VMAs of both are counted before each call
that may come near it; and only before these, as counting reads all of maps.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator

from harness.linux import read_sysctl

MAX_MAP_COUNT = "vm.max_map_count"

# What the interpreter may map while a trace is near its limit.
_OWN = 1000
# No call adds more VMAs: munmap and prctl 1 or 2, mremap 3.
MOST_ADDED = 4
# mremap refuses early, with room for a few.
NEAR = 64


class MapCountLimit:
    """vm.max_map_count, held at a number for one call, and wide between calls."""

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
        """Whether this process may change it; where not, nothing else may be used."""
        return self._fd != -1

    @contextlib.contextmanager
    def held(self, limit: int) -> Iterator[None]:
        """Hold it at a number."""
        self._set(limit)
        try:
            yield
        finally:
            self.widen(limit)

    def widen(self, limit: int) -> None:
        """Leave room above a number, where there is none."""
        wide = max(self._usual, limit + _OWN)
        if wide != self._now:
            self._set(wide)

    def _set(self, limit: int) -> None:
        os.pwrite(self._fd, str(limit).encode(), 0)
        self._now = limit


class ArenaLimit:
    """How many VMAs the arena may have, once ``set``.

    ``count`` reads maps: how many VMAs there are outside of the arena, and inside.
    """

    def __init__(
        self, sysctl: MapCountLimit, count: Callable[[], tuple[int, int]]
    ) -> None:
        self._sysctl = sysctl
        self._count = count
        self._limit: int | None = None
        # The arena has at least so much room still.
        self._room = 0

    def set(self, room: int) -> None:
        """Let the arena have ``room`` VMAs more than now, or less."""
        own, arena = self._count()
        self._limit, self._room = arena + room, room
        if room > NEAR:
            self._sysctl.widen(own + self._limit)

    @contextlib.contextmanager
    def for_a_call(self) -> Iterator[None]:
        """Hold the sysctl where it should be for a call."""
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
