"""The figures of an honest evaluation, each from labels and probabilities alone.

Written out here, since the bootstrap calls each a thousand times and scikit-learn's checks of its
arguments would take most of the time; the tests compare them with scikit-learn.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.evaluate.cases import Cases

CALIBRATION_BINS = 15
"""Of equal width, over the confidence."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How one figure is computed."""

    title: str
    of: Callable[[Cases], float]
    """NaN where it is not defined, as AUROC with one class only."""
    higher_is_better: bool = True
    counts: Callable[[Cases], tuple[int, int]] | None = None
    """Hits and trials, where it is a share of cores; it then has a Wilson interval."""


def confusion(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Counts, (label, predicted); predictions outside the classes are left out."""
    known = (predicted >= 0) & (predicted < classes)
    cells = np.bincount(labels[known] * classes + predicted[known], minlength=classes**2)
    return cells.reshape(classes, classes).astype(np.int64)


def accuracy(cases: Cases) -> float:
    """Share of cores whose most probable class is the label."""
    return float(cases.right.mean()) if cases.count else np.nan


def balanced_accuracy(cases: Cases) -> float:
    """Mean over the classes that occur of the share recognised."""
    table = confusion(cases.labels, cases.predicted, cases.classes)
    totals = table.sum(axis=1)
    there = totals > 0
    return float((table.diagonal()[there] / totals[there]).mean()) if there.any() else np.nan


def quadratic_kappa(cases: Cases) -> float:
    """Cohen's kappa with squared distances: 0 taken for 3+ costs nine times 0 taken for 1+."""
    table = confusion(cases.labels, cases.predicted, cases.classes).astype(float)
    steps = np.arange(cases.classes)
    cost = (steps[:, None] - steps) ** 2
    by_chance = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(table.sum(), 1.0)
    expected = (cost * by_chance).sum()
    return float(1.0 - (cost * table).sum() / expected) if expected > 0 else np.nan


def auroc(cases: Cases) -> float:
    """Chance that a positive core has the higher P(positive); ties count half."""
    return area_under_roc(cases.labels == 1, cases.probabilities[:, 1])


def area_under_roc(positive: NDArray[np.bool_], values: NDArray[np.float64]) -> float:
    """Area under the ROC of any figure that should be higher for positives."""
    count = int(positive.sum())
    others = len(positive) - count
    if count == 0 or others == 0:
        return np.nan
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(sizes) - (sizes - 1) / 2
    above = ranks[group][positive].sum() - count * (count + 1) / 2
    return float(above / (count * others))


def average_precision(cases: Cases) -> float:
    """Precision over recall, summed over the steps of P(positive)."""
    positive = cases.labels == 1
    if not positive.any():
        return np.nan
    values, group = np.unique(-cases.probabilities[:, 1], return_inverse=True)
    hits = np.bincount(group, weights=positive, minlength=len(values)).cumsum()
    called = np.bincount(group, minlength=len(values)).cumsum()
    recall_steps = np.diff(hits, prepend=0.0) / positive.sum()
    return float((recall_steps * hits / called).sum())


def brier(cases: Cases) -> float:
    """Mean squared distance of the probabilities from the truth; 0 is best.

    Over both, or all four, classes: for two classes twice what is written for one of them.
    """
    truth = np.eye(cases.classes)[cases.labels]
    return float(((cases.probabilities - truth) ** 2).sum(axis=1).mean()) if cases.count else np.nan


def expected_calibration_error(cases: Cases) -> float:
    """Distance of accuracy from confidence, weighted over bins; biased upwards with few cores."""
    if not cases.count:
        return np.nan
    return calibration_gap(cases.confidence, cases.right)


def calibration_gap(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The same from confidence and hits alone."""
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def area_under_risk_coverage(cases: Cases) -> float:
    """Mean error among the surest n cores, over all n; without any order it is the error rate."""
    if not cases.count:
        return np.nan
    return float(selective_risks(cases).mean())


def selective_risks(cases: Cases) -> NDArray[np.float64]:
    """(core,): error among the surest 1, 2, … cores; equal confidences share their errors."""
    levels, group = np.unique(-cases.confidence, return_inverse=True)
    sizes = np.bincount(group, minlength=len(levels))
    errors = np.bincount(group, weights=~cases.right, minlength=len(levels))
    spread = np.repeat(errors / sizes, sizes)
    risks: NDArray[np.float64] = spread.cumsum() / np.arange(1, cases.count + 1)
    return risks


def _share(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> tuple[int, int]:
    return int((hits & among).sum()), int(among.sum())


def _right(cases: Cases) -> tuple[int, int]:
    return int(cases.right.sum()), cases.count


def _sensitive(cases: Cases) -> tuple[int, int]:
    return _share(cases.predicted == 1, cases.labels == 1)


def _specific(cases: Cases) -> tuple[int, int]:
    return _share(cases.predicted == 0, cases.labels == 0)


def sensitivity(cases: Cases) -> float:
    """Share of positive cores (2+, 3+) that are called positive."""
    return _ratio(_sensitive(cases))


def specificity(cases: Cases) -> float:
    """Share of negative cores (0, 1+) that are called negative."""
    return _ratio(_specific(cases))


def _ratio(counts: tuple[int, int]) -> float:
    return counts[0] / counts[1] if counts[1] else np.nan


SCORE_METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("accuracy", accuracy, counts=_right),
    "balanced_accuracy": Metric("balanced accuracy", balanced_accuracy),
    "quadratic_kappa": Metric("quadratic kappa", quadratic_kappa),
    "aurc": Metric("area under risk-coverage", area_under_risk_coverage, higher_is_better=False),
    "ece": Metric("calibration error (ECE)", expected_calibration_error, higher_is_better=False),
    "brier": Metric("Brier score", brier, higher_is_better=False),
}
"""Of four classes."""

POSITIVE_METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("accuracy", accuracy, counts=_right),
    "sensitivity": Metric("sensitivity for 2+/3+", sensitivity, counts=_sensitive),
    "specificity": Metric("specificity for 2+/3+", specificity, counts=_specific),
    "balanced_accuracy": Metric("balanced accuracy", balanced_accuracy),
    "auroc": Metric("AUROC of P(positive)", auroc),
    "average_precision": Metric("average precision of P(positive)", average_precision),
    "aurc": Metric("area under risk-coverage", area_under_risk_coverage, higher_is_better=False),
    "ece": Metric("calibration error (ECE)", expected_calibration_error, higher_is_better=False),
    "brier": Metric("Brier score", brier, higher_is_better=False),
}
"""Of negative against positive."""
