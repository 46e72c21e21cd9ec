"""Builds the kernels to compare, from the data in kernels/, and their selftest."""

from harness.kbuild.build import BuiltKernel, build_kernel
from harness.kbuild.selftest import SELFTEST, BuiltSelftest, build_selftest
from harness.kbuild.source import find_source
from harness.kbuild.toml_table import read_table
from harness.kbuild.toolchain import check_static_libc
from harness.kbuild.variant import (
    Variant,
    base_names,
    check_base,
    readable,
    variant_named,
    variant_names,
)

__all__ = [
    "SELFTEST",
    "BuiltKernel",
    "BuiltSelftest",
    "Variant",
    "base_names",
    "build_kernel",
    "build_selftest",
    "check_base",
    "check_static_libc",
    "find_source",
    "read_table",
    "readable",
    "variant_named",
    "variant_names",
]
