"""When a test that boots a guest may be skipped, and when that is a failure."""

import pytest

from harness.arch import UM
from harness.errors import EnvironmentFault, NoSuchSource
from tests import conftest

TO_INSTALL = EnvironmentFault("linux-source-6.1 is not installed; apt-get install it")
LACKING = NoSuchSource("this Debian has no package linux-source-6.1")


@pytest.mark.parametrize(
    ("required", "base", "fault", "raised"),
    [
        (False, "6.12", TO_INSTALL, pytest.skip.Exception),
        (False, "6.1", LACKING, pytest.skip.Exception),
        (True, "6.12", TO_INSTALL, EnvironmentFault),
        (True, "6.1", TO_INSTALL, EnvironmentFault),
        (True, "6.1", LACKING, pytest.skip.Exception),
        # All guests would be skipped, and make test-guest would pass.
        (True, "6.12", LACKING, EnvironmentFault),
    ],
)
def test_where_guests_are_required_only_an_older_base_may_be_lacking(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config,
    required: bool, base: str, fault: EnvironmentFault, raised: type[Exception],
) -> None:  # fmt: skip
    def refuse(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(conftest, "build_kernel", refuse)
    monkeypatch.setattr(pytestconfig.option, "require_guest", required)

    with pytest.raises(raised, match=r"linux-source-6\.1"):
        conftest.guest_kernel(pytestconfig, "switch", base, UM)
