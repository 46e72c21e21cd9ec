"""Changes kernel settings for a block and always puts them back."""

import contextlib
from collections.abc import Iterator, Mapping

from harness.errors import EnvironmentFault
from harness.linux import read_sysctl, settings_put_back, write_sysctl

MAX_MAP_COUNT = "vm.max_map_count"


@contextlib.contextmanager
def map_count_up_to(needed: int) -> Iterator[int]:
    """Run with vm.max_map_count at ``needed`` or more, if this user may raise it.

    Yields its value, which is less than ``needed`` if it could not be raised.
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
    """Run with sysctls, by their dotted names, at the given values.

    A guardian process puts them back when this process leaves the block or dies, even
    by kill -9. If the guardian is killed too, ``anonvma doctor --mend`` puts them back
    from a file. A setting that somebody else has changed meanwhile is not touched.

    Raises EnvironmentFault, which names the setting, if one is missing or may not be
    changed; the settings changed before it are put back.
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
                    f"{name} is {before[name]}, but {value} is needed; it cannot be "
                    f"changed here ({error.strerror}); as root: sysctl {name}={value}"
                ) from error
        yield


def _read(name: str) -> str:
    try:
        return read_sysctl(name)
    except FileNotFoundError:
        raise EnvironmentFault(f"this kernel has no sysctl {name}") from None
