"""When a score is given: the rules that a model brings along, for one scan and for several."""

from dataclasses import dataclass

import numpy as np

from blurryscope.artifacts.predictions import Decision, Probabilities
from blurryscope.basics.conformal import score_sets
from blurryscope.basics.her2 import Score
from blurryscope.basics.percent import percent

PROMISE = "(such sets hold the true score"
"""Begins what a reason says of all such cores alike; before it stands what is so of this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRule:
    """Fixed on calibration cores; a score needs confidence and a set that takes one side.

    Sets that hold two scores of one side, such as 0 and 1+, do not withhold the score: the call
    that sends a core to a second test, negative against positive, is not touched by it.
    """

    threshold: float = 0.0
    """Confidence from which a score is given, 0 to 1."""
    cutoffs: Probabilities | None = None
    """`class_cutoffs` for the four scores; None where nothing was calibrated."""
    coverage: float = 0.9
    """What the cutoffs promise: share of cores whose set holds the true score."""

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("coverage", self.coverage)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must be 0 to 1, got {value}")

    def decide(self, probabilities: Probabilities, confidence: float) -> tuple[Decision, str]:
        """`SCORED` with no reason, or `INDETERMINATE` with what is wrong in words."""
        possible = self.possible(probabilities)
        if {score.is_positive for score in possible} == {True, False}:
            labels = " or ".join(score.label for score in possible)
            return Decision.INDETERMINATE, (
                f"negative and positive cannot be told apart: it may be {labels} "
                f"{PROMISE} in {percent(self.coverage)} of simulated cores)"
            )
        if confidence < self.threshold:
            return Decision.INDETERMINATE, (
                f"confidence {confidence:.2f} is below {self.threshold:.2f}"
            )
        return Decision.SCORED, ""

    def possible(self, probabilities: Probabilities) -> tuple[Score, ...]:
        """The conformal set, lowest first; empty where there are no cutoffs, or nothing fits."""
        if self.cutoffs is None:
            return ()
        row = score_sets(np.array([probabilities]), np.array(self.cutoffs))[0]
        return tuple(score for score in Score if row[score])


@dataclass(frozen=True, slots=True)
class DecisionRules:
    """One rule for a single scan, one for an answer fused of two, and so on.

    Each keeps the same promises. Fused answers are not those of single scans: where scans agree
    they are as sure, where they do not, less.
    """

    by_count: tuple[DecisionRule, ...]

    def __post_init__(self) -> None:
        if not self.by_count:
            raise ValueError("by_count must not be empty")

    def of(self, scan_count: int) -> DecisionRule:
        """The rule for so many scans; beyond what was fitted, that for the most."""
        if scan_count < 1:
            raise ValueError(f"scan_count must be positive, got {scan_count}")
        return self.by_count[min(scan_count, len(self.by_count)) - 1]
