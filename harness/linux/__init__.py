"""The running kernel: system calls by address, /proc, clocks and scheduling."""

from harness.linux.clockkind import counts_instructions
from harness.linux.clone import timed_fork, timed_wait
from harness.linux.heap import current_break, move_heap, set_break
from harness.linux.mman import (
    advise_memory,
    lock_memory,
    map_memory,
    protect_memory,
    read_into,
    remap_memory,
    unlock_memory,
    unmap_memory,
)
from harness.linux.prctl import (
    AnonNameProbe,
    AnonNameSupport,
    anon_name_supported,
    bound_fork,
    die_with_parent,
    probe_anon_name,
    set_anon_name,
)
from harness.linux.procfs import (
    config_digest,
    count_maps,
    cpu_name,
    kernel_build_id,
    kernel_config,
    open_maps,
    read_file,
    read_maps,
    read_smaps,
    read_sysctl,
    write_sysctl,
)
from harness.linux.procmap import QueriedVma, query_vma
from harness.linux.sched import clock_step, fifo_without_children, pin_to_one_cpu
from harness.linux.sysctls import settings_put_back

__all__ = [
    "AnonNameProbe",
    "AnonNameSupport",
    "QueriedVma",
    "advise_memory",
    "anon_name_supported",
    "bound_fork",
    "clock_step",
    "config_digest",
    "count_maps",
    "counts_instructions",
    "cpu_name",
    "current_break",
    "die_with_parent",
    "fifo_without_children",
    "kernel_build_id",
    "kernel_config",
    "lock_memory",
    "map_memory",
    "move_heap",
    "open_maps",
    "pin_to_one_cpu",
    "probe_anon_name",
    "protect_memory",
    "query_vma",
    "read_file",
    "read_into",
    "read_maps",
    "read_smaps",
    "read_sysctl",
    "remap_memory",
    "set_anon_name",
    "set_break",
    "settings_put_back",
    "timed_fork",
    "timed_wait",
    "unlock_memory",
    "unmap_memory",
    "write_sysctl",
]
