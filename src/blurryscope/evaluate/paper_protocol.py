"""The published evaluation, slips and all, so that figures can be laid beside the paper's.

Four things are wrong with it and are done here on purpose, here alone:

1. The threshold is read off the test cores themselves: the first at which 15 % are withheld.
2. The ROC sorts cores by their confidence in whatever was called, instead of by P(positive).
3. The plain average is thresholded by the confidence of each core's first scan.
4. The text prints the weighted rule without its division, so that its sums can lie beyond 3+; it
   stands beside the rule that the published scripts compute.

Four-class predictions are merged to two classes as the published figures do: by the class called,
with the confidence of the four-class call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.labelled_table import LabelledTable
from blurryscope.evaluate.calls import (
    THRESHOLDS,
    CallRule,
    Calls,
    Sweep,
    consistency_by_core,
    core_calls,
    fused_calls,
    merged_to_two_classes,
    scan_calls,
    scans_by_core,
    sweep,
)
from blurryscope.evaluate.metrics import area_under_roc, confusion

WITHHELD_SHARE = 0.15
"""The indeterminate point at which the paper gives its accuracies."""

AS_PRINTED = "confidence-weighted as printed"
"""The rule of the paper's text, without the division."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFigures:
    """What the paper gives for one way of counting and one number of classes."""

    rule: str
    calls: Calls
    sweep: Sweep
    threshold: float
    """First of the sweep that withholds 15 %; slip 1: of these very cores."""
    indeterminate: float
    accuracy: float
    """Of the calls that remain."""
    accuracy_of_all: float
    """None withheld; the paper does not print it."""
    confusion: NDArray[np.int64]
    """(label, called) of the calls that remain."""
    auc_of_confidence: float | None
    """Slip 2; two classes only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperReport:
    """The whole published evaluation of one table."""

    name: str
    scan_count: int
    core_count: int
    figures: Mapping[int, tuple[PaperFigures, ...]]
    """By number of classes, four first."""
    consistency: Mapping[str, float]
    """By core that has several scans; the paper prints the mean."""

    @property
    def mean_consistency(self) -> float:
        """NaN where no core has several scans."""
        return float(np.mean(list(self.consistency.values()))) if self.consistency else np.nan


def paper_evaluation(table: LabelledTable) -> PaperReport:
    """Evaluate a table as the paper did; all its rows are test rows."""
    scans = scan_calls(table)
    views = [scans] if scans.classes == 2 else [scans, merged_to_two_classes(scans)]
    return PaperReport(
        name=table.name,
        scan_count=scans.count,
        core_count=len(np.unique(scans.cores)),
        figures={view.classes: tuple(_figures_of(view)) for view in views},
        consistency=consistency_by_core(scans),
    )


def paper_threshold(curve: Sweep, share: float = WITHHELD_SHARE) -> float:
    """The first threshold of the sweep at which at least `share` of the calls are withheld.

    1 where none is: every call is certain.
    """
    # 3 of 20 is 0.15 or a hair less, depending on how it was computed.
    reached = np.flatnonzero(curve.indeterminate >= share - 1e-9)
    return float(THRESHOLDS[reached[0] if len(reached) else -1])


def first_scan_average(scans: Calls) -> Calls:
    """Slip 3: the plain average with the confidence of each core's first scan."""
    groups = scans_by_core(scans)
    averaged = core_calls(scans, CallRule.PLAIN_AVERAGE)
    return replace(averaged, confidence=np.array([scans.confidence[rows[0]] for rows in groups]))


def weighted_as_printed(scans: Calls) -> Calls:
    """Slip 4: round(Σ class · confidence), not divided; calls beyond the last class are wrong."""
    groups = scans_by_core(scans)
    fused = [
        (
            round(float((scans.called[rows] * scans.confidence[rows]).sum())),
            float(scans.confidence[rows].mean()),
        )
        for rows in groups
    ]
    return fused_calls(scans, groups, fused)


def _figures_of(scans: Calls) -> list[PaperFigures]:
    ways = {str(rule): core_calls(scans, rule) for rule in CallRule}
    ways[CallRule.PLAIN_AVERAGE] = first_scan_average(scans)
    ways[AS_PRINTED] = weighted_as_printed(scans)
    return [_read_off(rule, calls) for rule, calls in ways.items()]


def _read_off(rule: str, calls: Calls) -> PaperFigures:
    curve = sweep(calls)
    threshold = paper_threshold(curve)
    kept = calls.kept_at(threshold)
    return PaperFigures(
        rule=rule,
        calls=calls,
        sweep=curve,
        threshold=threshold,
        indeterminate=calls.indeterminate_at(threshold),
        accuracy=calls.accuracy_at(threshold),
        accuracy_of_all=calls.accuracy_at(0.0),
        confusion=confusion(calls.labels[kept], calls.called[kept], calls.classes),
        auc_of_confidence=(
            area_under_roc(calls.labels == 1, calls.confidence) if calls.classes == 2 else None
        ),
    )
