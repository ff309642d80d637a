"""Pieces of lanes beside each other: a jerk over blank glass shifts only what comes after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.lane_strips import (
    RUN_STEPS,
    DetailOf,
    StripLayer,
    scoring_of_rows,
    step_px_of,
)
from blurryscope.stitch.links import Link
from blurryscope.stitch.steps import Motion, UsualSteps, seen_steps
from blurryscope.stitch.strips import Strip, compare_near, rows_between
from blurryscope.stitch.trajectory import Trajectory

_FAR_STEPS = 2 * RUN_STEPS
"""How far a piece may lie off that shows nothing of a neighbour nearer by: a stage that stuck for a
quarter of a second is 7 steps late."""
_LEAST_RUN_SCORE = 10.0
"""Log-likelihood gain that makes an agreement more than chance: over the some 1,000 offsets that
are tried, chance reaches about log(1,000) = 7."""
_RUN_ROWS = 6.0
"""How far a piece may lie above or below where it is thought to, pixels of the detail pictures."""
_RUN_SIGMA_STEPS = 1.0
"""And how far it usually does, which counts against what is farther."""
_DUST_ROWS = 4.0
"""By how much farther a speck of dust reaches that lies beyond the rows compared, rounded up."""
_TISSUE_DETAIL = 0.01
"""Standard deviation of absorbance of a frame that shows enough to be linked alone."""


def run_links(
    beside: Trajectory, motion: Motion, usual: UsualSteps, detail_of: DetailOf, reduction: int
) -> list[Link]:
    """Link the lanes piece by piece: a jerk over blank glass shifts only what comes after it.

    `beside` must be right to some steps.
    """
    steps = set(seen_steps(motion, usual))
    runs = [_runs(beside, number, steps, detail_of) for number in range(len(motion.lanes))]
    layer = StripLayer(beside, detail_of, reduction)
    pairs = [pair for above, below in pairwise(runs) for pair in _laid(above, below, layer)]
    link = partial(_link, beside, step_px_of(beside), reduction)
    near = [link(RUN_STEPS, pair) for pair in pairs]
    held = {id(below) for (_, below), found in zip(pairs, near, strict=True) if found is not None}
    lost = [pair for pair in pairs if id(pair[1]) not in held]
    far = [link(_FAR_STEPS, pair) for pair in lost]
    return [found for found in (*near, *far) if found is not None]


@dataclass(frozen=True, slots=True)
class _Run:
    """Frames of one lane that hang together."""

    rows: NDArray[np.int64]
    """Of the trajectory."""
    strip: Strip
    """What a neighbouring lane may share."""
    row_count: int
    """Of the strip as a whole."""


def _laid(
    above: Sequence[NDArray[np.int64]], below: Sequence[NDArray[np.int64]], layer: StripLayer
) -> list[tuple[_Run, _Run]]:
    """All pairs of a run with one in the lane below, laid as far as lanes share rows."""
    reaches = [[layer.reach_y(rows) for rows in runs] for runs in (above, below)]
    if not all(reaches):
        return []
    rim = _RUN_ROWS + _DUST_ROWS
    shared = min(top for top, _ in reaches[1]) - rim, max(last for _, last in reaches[0]) + rim

    def laid(rows: NDArray[np.int64]) -> _Run:
        top, last = layer.reach_y(rows)
        return _Run(rows, layer.strip(rows, shared), row_count=int(last - top) + 1)

    return list(product(map(laid, above), map(laid, below)))


def _link(
    beside: Trajectory, step_px: float, reduction: int, reach_steps: float, pair: tuple[_Run, _Run]
) -> Link | None:
    """Link a run to one in the lane below by what both show; None where that may be chance.

    They may lie so many steps off from where they are thought to.
    """
    above, below = pair
    x_above, x_below = beside.positions[above.rows, 1], beside.positions[below.rows, 1]
    apart_px = max(x_above.min() - x_below.max(), x_below.min() - x_above.max())
    reach_px = reach_steps * step_px
    if apart_px > reach_px:
        return None
    # Beside much tissue that one of them shows alone, little that both do is little.
    surface = compare_near(
        rows_between(above.strip, below.strip.origin[0] - _RUN_ROWS, np.inf),
        rows_between(below.strip, -np.inf, above.strip.bottom + _RUN_ROWS),
        scoring_of_rows(above.row_count),
        around=(0.0, 0.0),
        reach=(_RUN_ROWS, reach_px / reduction),
    )
    surface = surface.expecting(0.0, _RUN_SIGMA_STEPS * step_px / reduction)
    dy, dx, correlation, score = surface.best(0.0, _RUN_ROWS)
    if score < _LEAST_RUN_SCORE:
        return None
    first = int(above.rows[len(above.rows) // 2])
    nearest = np.abs(x_below - beside.positions[first, 1])
    second = int(below.rows[int(np.argmin(nearest))])
    moved = beside.positions[second] + np.array([dy, dx]) * reduction
    point = np.linalg.solve(beside.matrices[first], moved - beside.positions[first])
    return (
        int(beside.frames[first]),
        int(beside.frames[second]),
        (float(point[0]), float(point[1])),
        (0.0, 0.0),
        correlation,
    )


def _runs(
    trajectory: Trajectory, number: int, steps: set[int], detail_of: DetailOf
) -> list[NDArray[np.int64]]:
    """Rows of the frames of one lane that hang together by seen steps.

    A single frame counts where it shows tissue: between a lost frame and blank glass nothing else
    holds it.
    """
    rows = trajectory.rows_in(number)
    breaks = [
        place + 1
        for place, frame in enumerate(trajectory.frames[rows][:-1])
        if int(frame) not in steps
    ]
    return [
        run
        for run in np.split(rows, breaks)
        if len(run) > 1 or _most_detail(detail_of(int(trajectory.frames[run[0]]))) > _TISSUE_DETAIL
    ]


def _most_detail(detail: Grey) -> float:
    """Largest standard deviation of any of 16 parts: a rim may fill a corner of the field only."""
    rows, columns = (4 * (side // 4) for side in detail.shape)
    whole = detail[:rows, :columns]
    mean, energy = (
        np.asarray(cv2.resize(values, (4, 4), interpolation=cv2.INTER_AREA), np.float64)
        for values in (whole, cv2.multiply(whole, whole))
    )
    return float(np.sqrt(np.maximum(energy - mean**2, 0).max()))
