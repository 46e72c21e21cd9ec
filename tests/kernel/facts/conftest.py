"""What the tests of rows share."""

import errno
from collections.abc import Iterator

import pytest

from harness.linux.uapi import MAP_ANONYMOUS, MAP_SHARED
from tests.kernel.facts.arena import PAGE, Arena, name_at


@pytest.fixture(autouse=True)
def of_row(request: pytest.FixtureRequest) -> None:
    """The row that a test is of: every test here has one."""
    assert request.param, "@row() is missing"


@pytest.fixture
def arena() -> Iterator[Arena]:
    """Empty addresses; what was mapped there is gone afterwards."""
    arena = Arena()
    arena.clear()
    yield arena
    arena.clear()


@pytest.fixture(scope="session")
def anon_shmem() -> bool:
    """Whether shared anonymous memory can be named here: from 6.2 on."""
    arena = Arena(0x21_0000_0000)
    arena.map(0, 1, flags=MAP_SHARED | MAP_ANONYMOUS)
    answer = name_at(arena.at(0), PAGE, b"probe")
    arena.clear()
    assert answer in (0, errno.EBADF)
    return answer == 0
