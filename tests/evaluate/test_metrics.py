"""Each metric against scikit-learn or a case worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from blurryscope.evaluate.cases import Cases, fused_cases
from blurryscope.evaluate.intervals import estimates, wilson
from blurryscope.evaluate.metrics import (
    POSITIVE_METRICS,
    SCORE_METRICS,
    area_under_risk_coverage,
    calibration_gap,
    selective_risks,
)
from tests.evaluate.tables import call, table_of


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(20, 80), st.booleans())
def test_metrics_of_four_classes_are_those_of_scikit_learn(
    seed: int, count: int, has_ties: bool
) -> None:
    cases = drawn_cases(seed, count, 4, has_ties)
    labels, predicted = cases.labels, cases.predicted
    recalls = [np.mean(predicted[labels == of] == of) for of in np.unique(labels)]
    expected = {
        "accuracy": reference.accuracy_score(labels, predicted),
        "balanced_accuracy": np.mean(recalls),
        "quadratic_kappa": reference.cohen_kappa_score(
            labels, predicted, weights="quadratic", labels=range(4)
        ),
    }
    for name, value in expected.items():
        assert SCORE_METRICS[name].of(cases) == pytest.approx(value)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(20, 80), st.booleans())
def test_metrics_of_two_classes_are_those_of_scikit_learn(
    seed: int, count: int, has_ties: bool
) -> None:
    cases = drawn_cases(seed, count, 2, has_ties)
    labels, predicted, positive = cases.labels, cases.predicted, cases.probabilities[:, 1]
    expected = {
        "sensitivity": reference.recall_score(labels, predicted),
        "specificity": reference.recall_score(labels, predicted, pos_label=0),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, predicted),
        "auroc": reference.roc_auc_score(labels, positive),
        "average_precision": reference.average_precision_score(labels, positive),
        "brier": 2 * reference.brier_score_loss(labels, positive),
    }
    for name, value in expected.items():
        assert POSITIVE_METRICS[name].of(cases) == pytest.approx(value), name


def test_risk_coverage_is_worked_from_the_surest_down() -> None:
    # right, wrong, right, wrong from the surest down: risks 0, 1/2, 1/3, 2/4
    cases = cases_of([(0, 0), (0, 1), (0, 0), (0, 1)], [0.9, 0.8, 0.7, 0.6])
    assert selective_risks(cases).tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert area_under_risk_coverage(cases) == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_equal_confidences_cannot_be_ordered_to_advantage() -> None:
    cases = cases_of([(0, 0), (0, 1)], [0.8, 0.8])
    assert selective_risks(cases).tolist() == pytest.approx([0.5, 0.5])


def test_the_calibration_gap_is_worked_bin_by_bin() -> None:
    # bins of 1/15: 0.95 twice, one right; 0.55 twice, both right
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, False, True, True])
    assert calibration_gap(confidence, right) == pytest.approx(0.5 * 0.45 + 0.5 * 0.45)


def test_wilson_is_worked_by_hand() -> None:
    # 8 of 10: (0.8 + 3.84/20 ± 1.96 · sqrt(0.016 + 3.84/400)) / (1 + 0.384)
    interval = wilson(8, 10)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 0) is None


def test_the_bootstrap_draws_patients_with_all_their_cores() -> None:
    # two patients, ten cores each, one all right and one all wrong: 0, 1/2 or 1 and nothing else
    scans = [(f"{who}{n}", 1, 0, call(who == "B", 0.9)) for who in "AB" for n in range(10)]
    patients = [core[0] for core, *_ in scans]
    cases = fused_cases(table_of(scans, patients=patients))
    chosen = {"accuracy": SCORE_METRICS["accuracy"]}
    entry = estimates(cases, chosen, np.random.default_rng(0), 200)["accuracy"]
    assert entry.value == 0.5
    assert entry.bootstrap is not None
    assert (entry.bootstrap.low, entry.bootstrap.high) == (0.0, 1.0)
    assert entry.wilson is not None
    assert entry.wilson.low > 0.2


def test_a_figure_that_is_not_defined_has_no_interval() -> None:
    cases = cases_of([(0, 0)] * 5).two_class()
    chosen = {"auroc": POSITIVE_METRICS["auroc"]}
    entry = estimates(cases, chosen, np.random.default_rng(0), 50)["auroc"]
    assert np.isnan(entry.value)
    assert entry.bootstrap is None


def cases_of(calls: list[tuple[int, int]], confidences: list[float] | None = None) -> Cases:
    scans = [
        (f"A{n}", 1, label, call(called, 0.9 if confidences is None else confidences[n]))
        for n, (label, called) in enumerate(calls)
    ]
    cases = fused_cases(table_of(scans))
    order = np.argsort([int(key.split("A")[1]) for key in cases.keys])
    return cases.chosen(order)


def drawn_cases(seed: int, count: int, classes: int, has_ties: bool) -> Cases:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=count - classes)])
    raw = rng.integers(1, 4, (count, classes)) if has_ties else rng.random((count, classes))
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    return fused_cases(
        table_of(
            [
                (f"A{n:03}", 1, int(label), tuple(row))
                for n, (label, row) in enumerate(zip(labels, probabilities, strict=True))
            ]
        )
    )
