"""Random bytes and numbers, equal to those of ``random.Random``.

The module ``random`` is not imported: it imports digests, statistics and more, which
add a hundred pages to a process that forks.
"""

try:
    from _random import Random as _Source
except ImportError:
    from random import Random as _Source  # type: ignore[assignment]


class Noise:
    """Draws the same values as ``random.Random`` with the same seed and calls."""

    def __init__(self, seed: int) -> None:
        self._bits = _Source(seed).getrandbits

    def some_bytes(self, count: int) -> bytes:
        """As ``Random.randbytes``."""
        return self._bits(count * 8).to_bytes(count, "little")

    def below(self, limit: int) -> int:
        """As ``Random.randrange``; ``limit`` is at least 1."""
        # As in Lib/random.py _randbelow_with_getrandbits(): draw again if too large.
        bits = limit.bit_length()
        while (drawn := self._bits(bits)) >= limit:
            pass
        return drawn
