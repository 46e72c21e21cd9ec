"""How the running kernel keeps names, and choosing it where there is a choice."""

from collections.abc import Sequence

from harness.errors import UnsupportedError
from harness.linux import AnonNameSupport, probe_anon_name, read_sysctl, write_sysctl
from harness.workload import Store

# Added by kernels/patches/*/switch.patch: 0 shares names, 1 copies them.
_SWITCH = "vm.anon_name_copy"
_SWITCH_VALUES = {Store.REFCOUNTED: "0", Store.STRDUP: "1"}


def has_switch() -> bool:
    """Whether the running kernel holds both stores and can be told which to use."""
    try:
        read_sysctl(_SWITCH)
    except FileNotFoundError:
        return False
    return True


class StoreControl:
    """The store of the running kernel, asked from the kernel where it can tell.

    ``stores`` are those that the kernel should have. One with the switch says
    itself which it uses; of one without, which has a single store, it is probed
    whether it keeps names at all. A kernel that is not what it should be raises
    UnsupportedError.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        probe = probe_anon_name()
        self._fixed: Store | None = None
        wanted = " or ".join(store.value for store in stores)
        if not has_switch():
            if len(stores) != 1:
                raise UnsupportedError(
                    f"the kernel should keep names as {wanted}, but has no {_SWITCH}"
                )
            self._fixed = stores[0]
        named = probe.support is AnonNameSupport.SUPPORTED
        if probe.support is AnonNameSupport.FAULTY or named == (Store.ABSENT in stores):
            raise UnsupportedError(
                f"the kernel should keep names as {wanted}, "
                f"but the probe says {probe.support.value}: {probe.reason}"
            )

    def current(self) -> Store:
        """The store in force now."""
        if self._fixed is not None:
            return self._fixed
        value = read_sysctl(_SWITCH)
        return next(s for s, v in _SWITCH_VALUES.items() if v == value)

    def choose(self, store: Store) -> None:
        """Make ``store`` the one in force; UnsupportedError where it can't be."""
        if self._fixed is None and store in _SWITCH_VALUES:
            write_sysctl(_SWITCH, _SWITCH_VALUES[store])
        if self.current() is not store:
            raise UnsupportedError(
                f"this kernel keeps names as {self.current().value}, not {store.value}"
            )
