"""How figures are written for people."""

import math

from blurryscope.basics.percent import percent
from blurryscope.evaluate.intervals import Estimate, Interval

SHARES = frozenset(
    {"accuracy", "balanced_accuracy", "sensitivity", "specificity", "coverage", "scored_accuracy"}
)
"""Metrics written as percentages; the others as plain numbers."""


def number(value: float | None, *, is_share: bool) -> str:
    """`79.3 %` or `0.761`; a dash where it is not defined."""
    if value is None or not math.isfinite(value):
        return "–"
    return percent(value, 1) if is_share else f"{value:.3f}"


def interval(bounds: Interval | None, *, is_share: bool) -> str:
    """`73.7 to 83.9`, without the unit."""
    if bounds is None:
        return "–"
    if is_share:
        return f"{100 * bounds.low:.1f} to {100 * bounds.high:.1f}"
    return f"{bounds.low:.3f} to {bounds.high:.3f}"


def of_trials(estimate: Estimate) -> str:
    """`28 of 40`; empty where the figure is no share of cores."""
    if estimate.hits is None or estimate.trials is None:
        return ""
    return f"{estimate.hits} of {estimate.trials}"


def counted(number_of: int, noun: str) -> str:
    """`1 core`, `2 cores`."""
    return f"{number_of} {noun}" if number_of == 1 else f"{number_of} {noun}s"
