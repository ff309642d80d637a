"""Calls with a confidence, and what becomes of them as the confidence asked for rises.

A call is one answer: of a scan, or of a core after one of the paper's rules. Both protocols sweep
the same threshold over the same calls; they differ in where they then read off the curve.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.labelled_table import LabelledTable
from blurryscope.evaluate.cases import rows_by_owner

THRESHOLDS: NDArray[np.float64] = np.arange(101) / 100
"""0 to 1 in steps of 0.01, as in the paper."""


class CallRule(StrEnum):
    """How the scans of a core become calls: the paper's ways."""

    ALL_SCANS = "all scans"
    """Nothing is fused; every scan is a call."""
    HIGHEST_CONFIDENCE = "highest confidence"
    """The surest scan speaks; the first of equals."""
    CONFIDENCE_WEIGHTED = "confidence-weighted"
    """round(Σ class · confidence / Σ confidence), half to even; confidence is the mean."""
    PLAIN_AVERAGE = "plain average"
    """round(mean class), half to even; confidence is the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Parallel arrays, one entry a call."""

    labels: NDArray[np.int64]
    called: NDArray[np.int64]
    confidence: NDArray[np.float64]
    cores: NDArray[np.str_]
    classes: int

    @property
    def count(self) -> int:
        return len(self.labels)

    def kept_at(self, threshold: float) -> NDArray[np.bool_]:
        """Which calls are made: those whose confidence reaches the threshold."""
        kept: NDArray[np.bool_] = self.confidence >= threshold
        return kept

    def accuracy_at(self, threshold: float) -> float:
        """Share of the calls made that are right; NaN where none is made."""
        kept = self.kept_at(threshold)
        return float((self.called == self.labels)[kept].mean()) if kept.any() else np.nan

    def indeterminate_at(self, threshold: float) -> float:
        """Share of the calls that are not made."""
        return float(1.0 - self.kept_at(threshold).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Accuracy and indeterminate share at every threshold of `THRESHOLDS`."""

    accuracy: NDArray[np.float64]
    indeterminate: NDArray[np.float64]


def scan_calls(table: LabelledTable) -> Calls:
    """Every scan's most probable class, the lower one of equals, with its probability.

    Scans stand by core and repeat, so that the first scan of a core is its first repeat.
    """
    order = np.lexsort([table.repeats, table.core_keys])
    probabilities = table.probabilities[order]
    return Calls(
        labels=table.labels[order],
        called=probabilities.argmax(axis=1).astype(np.int64),
        confidence=probabilities.max(axis=1),
        cores=table.core_keys[order],
        classes=table.classes,
    )


def merged_to_two_classes(calls: Calls) -> Calls:
    """2+ and 3+ become positive, the confidence stays that of the four-class call."""
    if calls.classes == 2:
        return calls
    return replace(
        calls,
        labels=(calls.labels >= 2).astype(np.int64),
        called=(calls.called >= 2).astype(np.int64),
        classes=2,
    )


def core_calls(scans: Calls, rule: CallRule) -> Calls:
    """One call a core by `rule`, in the order of the cores' names; all scans stay as they are."""
    if rule is CallRule.ALL_SCANS:
        return scans
    groups = scans_by_core(scans)
    fuse = {
        CallRule.HIGHEST_CONFIDENCE: _surest,
        CallRule.CONFIDENCE_WEIGHTED: _weighted,
        CallRule.PLAIN_AVERAGE: _averaged,
    }[rule]
    fused = [fuse(scans.called[rows], scans.confidence[rows]) for rows in groups]
    return fused_calls(scans, groups, fused)


def scans_by_core(scans: Calls) -> list[NDArray[np.intp]]:
    """Rows of each core, its first repeat first, in the order of the cores' names."""
    keys, owner = np.unique(scans.cores, return_inverse=True)
    return list(rows_by_owner(owner, len(keys)))


def fused_calls(
    scans: Calls, groups: list[NDArray[np.intp]], fused: list[tuple[int, float]]
) -> Calls:
    """Calls of cores from (class, confidence) for each group of scans."""
    first = np.array([rows[0] for rows in groups])
    return replace(
        scans,
        labels=scans.labels[first],
        called=np.array([called for called, _ in fused], np.int64),
        confidence=np.array([confidence for _, confidence in fused]),
        cores=scans.cores[first],
    )


def sweep(calls: Calls) -> Sweep:
    """Walk the threshold from 0 to 1."""
    return Sweep(
        accuracy=np.array([calls.accuracy_at(threshold) for threshold in THRESHOLDS]),
        indeterminate=np.array([calls.indeterminate_at(threshold) for threshold in THRESHOLDS]),
    )


def consistency_by_core(scans: Calls) -> dict[str, float]:
    """Share of a core's scans that give its commonest class, 1/n to 1, blind to the label.

    Of cores with several scans: one by itself agrees with nothing, and would count as perfect.
    """
    return {
        str(scans.cores[rows[0]]): float(np.bincount(scans.called[rows]).max() / len(rows))
        for rows in scans_by_core(scans)
        if len(rows) > 1
    }


def _surest(called: NDArray[np.int64], confidence: NDArray[np.float64]) -> tuple[int, float]:
    surest = int(confidence.argmax())
    return int(called[surest]), float(confidence[surest])


def _weighted(called: NDArray[np.int64], confidence: NDArray[np.float64]) -> tuple[int, float]:
    mean = float((called * confidence).sum() / confidence.sum())
    return round(mean), float(confidence.mean())


def _averaged(called: NDArray[np.int64], confidence: NDArray[np.float64]) -> tuple[int, float]:
    return round(float(called.mean())), float(confidence.mean())
