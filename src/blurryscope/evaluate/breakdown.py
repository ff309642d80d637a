"""Where it goes well and where not: the same figures slide by slide and by the picture's quality.

Quality is cut at its own terciles over the test cores, not where the figures would look best.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.labelled_table import LabelledTable
from blurryscope.evaluate.cases import Cases, fused_cases
from blurryscope.evaluate.intervals import Interval, wilson

_TERCILES = (1 / 3, 2 / 3)
_FEWEST_PER_TERCILE = 3
_MOST_REPEATS = 12
"""More make no table that anybody reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Test cores that share something."""

    what: str
    core_count: int
    accuracy: float
    accuracy_interval: Interval | None
    """Wilson, 95 %."""
    positive_accuracy: float
    """Negative against positive."""
    positive_interval: Interval | None
    scored_share: float | None
    """At the threshold from the calibration cores."""


def by_slide(cases: Cases, threshold: float | None) -> tuple[Stratum, ...]:
    """A stratum a slide; nothing where there is one slide only."""
    slides = np.unique(cases.slides)
    if len(slides) < 2:
        return ()
    return tuple(
        _stratum(str(slide) or "unknown", cases, cases.slides == slide, threshold)
        for slide in slides
    )


def by_repeat(table: LabelledTable) -> tuple[Stratum, ...]:
    """A stratum of the cores' first scans, one of their second ones, …, as they came.

    Nothing is fused, and the threshold for fused scans withholds nothing.
    """
    repeats = np.unique(table.repeats)
    if not 2 <= len(repeats) <= _MOST_REPEATS:
        return ()
    scans = [(f"repeat {repeat}", fused_cases(table.rows(table.repeats == repeat)))
             for repeat in repeats.tolist()]  # fmt: skip
    return tuple(_stratum(what, one, np.ones(one.count, np.bool_), None) for what, one in scans)


def by_quality(cases: Cases, threshold: float | None) -> tuple[Stratum, ...]:
    """Three strata for each figure of the picture that is known, from low to high."""
    strata: list[Stratum] = []
    for name, values in cases.quality.items():
        known = np.isfinite(values)
        if known.sum() < _FEWEST_PER_TERCILE * 3 or len(np.unique(values[known])) < 3:
            continue
        low, high = np.quantile(values[known], _TERCILES)
        word = name.replace("_", " ")
        strata += [
            _stratum(f"{word} below {low:.3g}", cases, known & (values < low), threshold),
            _stratum(
                f"{word} {low:.3g} to {high:.3g}",
                cases,
                known & (values >= low) & (values <= high),
                threshold,
            ),
            _stratum(f"{word} above {high:.3g}", cases, known & (values > high), threshold),
        ]
    return tuple(stratum for stratum in strata if stratum.core_count)


def _stratum(what: str, cases: Cases, among: NDArray[np.bool_], threshold: float | None) -> Stratum:
    chosen = cases.chosen(among)
    positive = chosen.two_class()
    right, positive_right = int(chosen.right.sum()), int(positive.right.sum())
    scored = chosen.confidence >= (threshold or 0.0)
    return Stratum(
        what=what,
        core_count=chosen.count,
        accuracy=right / chosen.count if chosen.count else np.nan,
        accuracy_interval=wilson(right, chosen.count),
        positive_accuracy=positive_right / chosen.count if chosen.count else np.nan,
        positive_interval=wilson(positive_right, chosen.count),
        scored_share=None if threshold is None or not chosen.count else float(scored.mean()),
    )
