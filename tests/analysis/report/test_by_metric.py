import pytest

from harness.analysis import aa_checks, cell_costs, cell_effects, load
from harness.analysis.report.by_metric import ByMetric, by_metric
from harness.worker.measure.records import Metric
from tests.analysis.campaigns import DATA, shipped_report


def test_every_metric_that_can_be_recorded_has_a_title_and_a_meaning() -> None:
    for metric in Metric:
        told = ByMetric(metric=metric.value, effects=(), costs=(), checks=())
        assert told.title != metric.value
        assert told.meaning.endswith(".")


@pytest.mark.long
def test_each_metric_has_what_is_computed_of_it_and_nothing_else() -> None:
    frame = load(DATA / "lifecycle-6.12-arm64.parquet")

    found = {each.metric: each for each in by_metric(frame, margin=2)}

    assert next(iter(found)) == "fork"
    for metric in ("fork", "exit_reap", "split", "munmap"):
        effects = tuple(cell_effects(frame, margin=2, metric=metric))
        assert (found[metric].effects, found[metric].costs) == (effects, ())
    for metric in ("name", "rename"):
        costs = tuple(cell_costs(frame, margin=2, metric=metric))
        assert (found[metric].effects, found[metric].costs) == ((), costs)
    for metric, each in found.items():
        assert list(each.checks) == aa_checks(frame, margin=2, metric=metric)


def test_what_the_check_of_an_arm_says_is_what_the_arm_is_trusted_for() -> None:
    words = {True: "holds", False: "differs", None: "not measured"}
    for name in ("published-6.12-uml", "lifecycle-6.12-arm64"):
        for metric in shipped_report(name).evidence.metrics:
            for effect in metric.effects:
                told = metric.check_words(effect.place, effect.arm)
                assert (told == "holds") == effect.trusted
            for cost in metric.costs:
                told = metric.check_words(cost.place, cost.arm)
                assert told == words[cost.alike]
