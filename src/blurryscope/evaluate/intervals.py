"""How sure a figure is: Wilson intervals of shares, and the bootstrap by patient."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.evaluate.cases import Cases, rows_by_owner
from blurryscope.evaluate.metrics import Metric

_Z = 1.959963984540054
"""Of the normal distribution: 95 % lie within."""
_BOUNDS = (2.5, 97.5)
_LEAST_WIDTH = 1e-9
"""Less is rounding: all draws gave one figure."""
_LEAST_DEFINED = 0.95
"""Of the replicates; where more are undefined, an interval would be of other data."""


@dataclass(frozen=True, slots=True)
class Interval:
    """95 % interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One figure with what is known of its error."""

    title: str
    value: float
    """NaN where it is not defined."""
    wilson: Interval | None
    """For shares of cores only; takes the cores to be independent."""
    bootstrap: Interval | None
    """Patients drawn with replacement; None where it is not defined."""
    hits: int | None = None
    trials: int | None = None


def wilson(hits: int, trials: int) -> Interval | None:
    """Wilson's score interval of a share; None of nothing."""
    if trials == 0:
        return None
    share = hits / trials
    middle = share + _Z**2 / (2 * trials)
    spread = _Z * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    scale = 1 + _Z**2 / trials
    return Interval(max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def draws_by_patient(
    cases: Cases, rng: np.random.Generator, replicates: int
) -> Iterator[NDArray[np.intp]]:
    """Rows of bootstrap samples: as many patients as there are, each with all its cores."""
    patients, owner = np.unique(cases.patients, return_inverse=True)
    rows = rows_by_owner(owner, len(patients))
    for _ in range(replicates):
        drawn = rng.integers(len(patients), size=len(patients))
        yield np.concatenate([rows[patient] for patient in drawn])


def estimates(
    cases: Cases,
    metrics: dict[str, Metric],
    rng: np.random.Generator,
    replicates: int,
) -> dict[str, Estimate]:
    """Every metric with its intervals; all from the same bootstrap samples."""
    drawn = bootstrapped(cases, [metric.of for metric in metrics.values()], rng, replicates)
    result = {}
    for (name, metric), values in zip(metrics.items(), drawn.T, strict=True):
        hits, trials = metric.counts(cases) if metric.counts else (None, None)
        result[name] = Estimate(
            title=metric.title,
            value=metric.of(cases),
            wilson=None if hits is None or trials is None else wilson(hits, trials),
            bootstrap=told_interval(values),
            hits=hits,
            trials=trials,
        )
    return result


def bootstrapped(
    cases: Cases,
    figures: list[Callable[[Cases], float]],
    rng: np.random.Generator,
    replicates: int,
) -> NDArray[np.float64]:
    """(replicate, figure)."""
    rows = [
        [figure(sample) for figure in figures]
        for sample in map(cases.chosen, draws_by_patient(cases, rng, replicates))
    ]
    return np.array(rows, np.float64).reshape(len(rows), len(figures))


def told_interval(values: NDArray[np.float64]) -> Interval | None:
    """`percentile_interval`; None where every draw gives the same figure: it tells no error.

    So it is where all cores are right, and where all are of one patient.
    """
    told = percentile_interval(values)
    return None if told is None or told.high - told.low < _LEAST_WIDTH else told


def percentile_interval(values: NDArray[np.float64]) -> Interval | None:
    """The middle 95 % of bootstrap values; None if more than one in twenty is not defined."""
    defined = values[np.isfinite(values)]
    if len(values) == 0 or len(defined) < _LEAST_DEFINED * len(values):
        return None
    low, high = np.percentile(defined, _BOUNDS)
    return Interval(float(low), float(high))
