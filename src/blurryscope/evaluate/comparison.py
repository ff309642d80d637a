"""Two models on the same cores: the difference of each figure, by paired bootstrap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.errors import InputError
from blurryscope.evaluate.cases import Cases
from blurryscope.evaluate.honest_protocol import HonestReport, HonestSettings
from blurryscope.evaluate.intervals import (
    Interval,
    draws_by_patient,
    percentile_interval,
    told_interval,
)
from blurryscope.evaluate.metrics import POSITIVE_METRICS, SCORE_METRICS, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """First model minus second."""

    classes: int
    title: str
    higher_is_better: bool
    first: float
    second: float
    difference: float
    interval: Interval | None
    """95 %, patients drawn with replacement, the same for both models."""
    p_value: float
    """Two-sided: how often the bootstrap falls on the other side of no difference, doubled. NaN
    where it tells no error, as with the cores of one patient."""


def paired_differences(
    first: HonestReport, second: HonestReport, settings: HonestSettings
) -> tuple[Difference, ...]:
    """Compare two reports on the test cores that both answer."""
    differences: list[Difference] = []
    for classes in sorted(set(first.views) & set(second.views), reverse=True):
        metrics = dict(SCORE_METRICS if classes == 4 else POSITIVE_METRICS)
        one, other = _same_cores(first.views[classes].cases, second.views[classes].cases)
        if not one.count:
            raise InputError(second.name, f"shares no core with {first.name}",
                             "Compare models on the same cores")  # fmt: skip
        rng = np.random.default_rng(settings.seed)
        differences += _differences(classes, one, other, metrics, rng, settings.replicates)
    return tuple(differences)


def _same_cores(first: Cases, second: Cases) -> tuple[Cases, Cases]:
    _, ours, theirs = np.intersect1d(first.keys, second.keys, return_indices=True)
    one, other = first.chosen(ours), second.chosen(theirs)
    if (one.labels != other.labels).any():
        key = str(one.keys[one.labels != other.labels][0]).replace("\t", " ").strip()
        raise InputError(f"core {key}", "has different labels in the two tables", "Put it right")
    return one, other


def _differences(
    classes: int,
    one: Cases,
    other: Cases,
    metrics: dict[str, Metric],
    rng: np.random.Generator,
    replicates: int,
) -> list[Difference]:
    drawn = np.array(
        [
            [
                metric.of(one.chosen(rows)) - metric.of(other.chosen(rows))
                for metric in metrics.values()
            ]
            for rows in draws_by_patient(one, rng, replicates)
        ]
    )
    result = []
    for metric, values in zip(metrics.values(), drawn.T, strict=True):
        ours, theirs = metric.of(one), metric.of(other)
        known = values[np.isfinite(values)]
        are_alike = len(known) > 0 and not known.any()
        interval = percentile_interval(values) if are_alike else told_interval(values)
        result.append(
            Difference(
                classes=classes,
                title=metric.title,
                higher_is_better=metric.higher_is_better,
                first=ours,
                second=theirs,
                difference=ours - theirs,
                interval=interval,
                p_value=np.nan if interval is None else _p_value(known),
            )
        )
    return result


def _p_value(differences: NDArray[np.float64]) -> float:
    below, above = int((differences <= 0).sum()), int((differences >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(differences) + 1))
