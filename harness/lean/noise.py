"""Random bytes and numbers as ``random.Random`` gives them, without that module.

It brings digests, statistics and the like: a hundred pages of a process that forks.
"""

try:
    from _random import Random as _Source
except ImportError:
    from random import Random as _Source  # type: ignore[assignment]


class Noise:
    """What ``random.Random`` of a seed comes to, call for call."""

    def __init__(self, seed: int) -> None:
        self._bits = _Source(seed).getrandbits

    def some_bytes(self, count: int) -> bytes:
        """``randbytes``."""
        return self._bits(count * 8).to_bytes(count, "little")

    def below(self, limit: int) -> int:
        """``randrange``, of a limit of 1 or more."""
        # As Lib/random.py _randbelow_with_getrandbits(): those past it are drawn again.
        bits = limit.bit_length()
        while (drawn := self._bits(bits)) >= limit:
            pass
        return drawn
