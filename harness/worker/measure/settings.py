"""Kernel settings: changed while they are needed, and put back whatever happens."""

import contextlib
from collections.abc import Iterator, Mapping

from harness.errors import EnvironmentFault
from harness.linux import read_sysctl, settings_put_back, write_sysctl

MAX_MAP_COUNT = "vm.max_map_count"


@contextlib.contextmanager
def map_count_up_to(needed: int) -> Iterator[int]:
    """Run with vm.max_map_count at ``needed`` or more, where it may be raised.

    Yields what it is: less than ``needed`` where it may not.
    """
    before = int(read_sysctl(MAX_MAP_COUNT))
    with contextlib.ExitStack() as stack:
        if before < needed:
            with contextlib.suppress(EnvironmentFault):
                stack.enter_context(settings_of({MAX_MAP_COUNT: str(needed)}))
                before = needed
        yield before


@contextlib.contextmanager
def settings_of(wanted: Mapping[str, str]) -> Iterator[None]:
    """Run with settings, by their dotted names, at the values given.

    They are put back by a process of its own when this one leaves the block or
    dies of anything, kill -9 included (and from disk, by ``anonvma doctor
    --mend``, where that process was killed too); one that somebody else has
    changed meanwhile is left to them. Raises EnvironmentFault, which names the setting,
    where one is missing or may not be changed; those before it are put back.
    """
    before = {name: _read(name) for name in wanted}
    changing = {name: wanted[name] for name in wanted if before[name] != wanted[name]}
    if not changing:
        yield
        return
    with settings_put_back(before, changing):
        for name, value in changing.items():
            try:
                write_sysctl(name, value)
            except OSError as error:
                raise EnvironmentFault(
                    f"{name} is {before[name]} and {value} is needed, but it cannot be "
                    f"changed here ({error.strerror}); as root: sysctl {name}={value}"
                ) from error
        yield


def _read(name: str) -> str:
    try:
        return read_sysctl(name)
    except FileNotFoundError:
        raise EnvironmentFault(f"this kernel has no setting {name}") from None
