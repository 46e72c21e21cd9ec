"""What runs on a kernel with names; on one without, it fails or is skipped."""

import pytest

from harness.linux import probe_anon_name


@pytest.fixture(autouse=True)
def kernel_with_names(request: pytest.FixtureRequest) -> None:
    """Skip on a kernel without names; with ``--require-names``, fail there."""
    probe = probe_anon_name()
    if probe.support.value == "supported":
        return
    if request.config.getoption("--require-names"):
        pytest.fail(f"this kernel is to have names: {probe.reason}")
    pytest.skip(f"no kernel with names: {probe.reason}")
