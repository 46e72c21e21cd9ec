"""The campaigns that come with us, and what this version measures."""

from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import check_poolable, load
from harness.analysis.comparison.compare import compare_campaigns
from harness.errors import UsageError
from harness.worker.measure import PROTOCOL

SHIPPED = sorted((Path(__file__).parents[1] / "notebooks/data").glob("*.parquet"))


@pytest.fixture(params=SHIPPED, ids=lambda path: path.stem)
def shipped(request: pytest.FixtureRequest) -> pd.DataFrame:
    return load(request.param)


def measured_today(shipped: pd.DataFrame) -> pd.DataFrame:
    """The same campaign, as this version says of its runs."""
    today = shipped.assign(harness="99.0", protocol=PROTOCOL)
    return today.astype({"harness": "category"})


def test_a_shipped_campaign_may_be_pooled_with_one_measured_today(
    shipped: pd.DataFrame,
) -> None:
    assert set(shipped["protocol"]) == {PROTOCOL}
    check_poolable(shipped, measured_today(shipped))


@pytest.mark.long
def test_a_shipped_campaign_compares_with_one_measured_today(
    shipped: pd.DataFrame,
) -> None:
    kernel = shipped[shipped["variant"] == shipped["variant"].iloc[0]]

    found = compare_campaigns(kernel, measured_today(kernel), margin=2.0)

    assert found.cells
    assert all(cell.change.low <= 0 <= cell.change.high for cell in found.cells)


def test_one_of_another_protocol_is_not_compared(shipped: pd.DataFrame) -> None:
    kernel = shipped[shipped["variant"] == shipped["variant"].iloc[0]]

    with pytest.raises(UsageError, match="cannot be compared: protocol is "):
        compare_campaigns(kernel, kernel.assign(protocol=PROTOCOL + 1), margin=2.0)
