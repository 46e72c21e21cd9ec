"""Builds the kernels that are compared, from the data in kernels/."""

from harness.kbuild.build import BuiltKernel, build_kernel
from harness.kbuild.source import find_source
from harness.kbuild.variant import Variant, base_names, variant_named, variant_names

__all__ = [
    "BuiltKernel",
    "Variant",
    "base_names",
    "build_kernel",
    "find_source",
    "variant_named",
    "variant_names",
]
