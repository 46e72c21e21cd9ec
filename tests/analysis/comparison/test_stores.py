import pandas as pd
import pytest

from harness.analysis.comparison.stores import store_changes
from harness.analysis.stats import Verdict
from harness.worker.measure import Record, Sample
from tests.synthetic import frame_of_records, run_of, sealed

SHARED, COPIED = 1_000_000, 1_100_000


def naming_campaign(
    *, boots: int = 3, uneven: str = "", unit: str = "insns"
) -> pd.DataFrame:
    """Naming in both stores, two blocks a boot; ``uneven`` is slower in the second."""
    records: list[Record] = []
    for boot in range(boots):
        for block in range(2):
            for position, (store, cost) in enumerate(
                (("refcounted", SHARED), ("strdup", COPIED))
            ):
                run = run_of(
                    run=f"{boot}-{block}-{position}", boot=boot, block=block,
                    position=2 * block + position, store=store,
                    naming="distinct:79", unit=unit,
                )  # fmt: skip
                slower = 1.1 if store == uneven and block else 1
                sample = Sample(
                    run=run.run, order=0, began=0, metric="name", unit=unit,
                    value=int((cost + 100 * boot) * slower), store=store, repetition=0,
                    warmup=False, valid=True, reason="",
                )  # fmt: skip
                records += sealed([run, sample])
    return frame_of_records(records)


def test_copied_names_are_set_against_shared_ones_of_the_same_boot() -> None:
    (found,) = store_changes(naming_campaign(), margin=2, metric="name")

    assert (found.arm.store, found.arm.names) == ("strdup", "distinct:79")
    assert found.shared_by_boot == (SHARED, SHARED + 100, SHARED + 200)
    assert found.copied_by_boot == (COPIED, COPIED + 100, COPIED + 200)
    assert found.percent.value == pytest.approx(10, abs=0.01)
    assert found.judged.verdict is Verdict.REGRESSED
    assert found.trusted


@pytest.mark.parametrize("uneven", ["refcounted", "strdup"])
def test_both_arms_must_be_like_their_twins(uneven: str) -> None:
    (found,) = store_changes(naming_campaign(uneven=uneven), margin=2, metric="name")

    assert not found.trusted


def test_one_store_has_nothing_to_be_set_against() -> None:
    frame = naming_campaign().query("store == 'strdup'")

    assert store_changes(frame, margin=2, metric="name") == []
