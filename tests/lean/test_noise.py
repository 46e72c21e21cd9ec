"""Noise is random.Random's."""

import random

from hypothesis import given
from hypothesis import strategies as st

from harness.lean.noise import Noise


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(1, 2**20)))
def test_bytes_and_numbers_come_as_from_the_standard_library(
    seed: int, limits: list[int]
) -> None:
    wanted, noise = random.Random(seed), Noise(seed)

    for limit in limits:
        assert noise.below(limit) == wanted.randrange(limit)
        assert noise.some_bytes(limit % 99) == wanted.randbytes(limit % 99)
