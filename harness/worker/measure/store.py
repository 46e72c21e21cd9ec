"""The running kernel's store of names: reads it, and switches it if possible."""

from collections.abc import Sequence

from harness.errors import UnsupportedError
from harness.linux import AnonNameSupport, probe_anon_name, read_sysctl, write_sysctl
from harness.workload import Store

# Added by kernels/patches/*/switch.patch: 0 shares names, 1 copies them.
_SWITCH = "vm.anon_name_copy"
_SWITCH_VALUES = {Store.REFCOUNTED: "0", Store.STRDUP: "1"}


def has_switch() -> bool:
    """Whether the running kernel has both stores and a sysctl to switch them."""
    try:
        read_sysctl(_SWITCH)
    except FileNotFoundError:
        return False
    return True


class StoreControl:
    """Reads and switches the store of the running kernel.

    ``stores`` are those that the kernel should have. A kernel with the switch reports
    its store. A kernel without it has a single store, which is not checked; the probe
    only checks whether it supports names. Raises UnsupportedError if the kernel is not
    as it should be.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        probe = probe_anon_name()
        self._fixed: Store | None = None
        wanted = " or ".join(store.value for store in stores)
        if not has_switch():
            if len(stores) != 1:
                raise UnsupportedError(
                    f"the kernel should have the stores {wanted}, "
                    f"but it has no sysctl {_SWITCH}"
                )
            self._fixed = stores[0]
        named = probe.support is AnonNameSupport.SUPPORTED
        if probe.support is AnonNameSupport.FAULTY or named == (Store.ABSENT in stores):
            raise UnsupportedError(
                f"the kernel should have the store {wanted}, "
                f"but the probe says {probe.support.value}: {probe.reason}"
            )

    def current(self) -> Store:
        """The store that the kernel uses now."""
        if self._fixed is not None:
            return self._fixed
        value = read_sysctl(_SWITCH)
        return next(s for s, v in _SWITCH_VALUES.items() if v == value)

    def choose(self, store: Store) -> None:
        """Switch to ``store``. Raises UnsupportedError if that fails."""
        if self._fixed is None and store in _SWITCH_VALUES:
            write_sysctl(_SWITCH, _SWITCH_VALUES[store])
        if self.current() is not store:
            raise UnsupportedError(
                f"this kernel uses the store {self.current().value}, not {store.value}"
            )
