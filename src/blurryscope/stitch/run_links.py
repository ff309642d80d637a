"""Pieces of lanes beside each other: a jerk over blank glass shifts only what comes after it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.lane_strips import (
    RUN_STEPS,
    DetailOf,
    StripLayer,
    lane_rows,
    scoring,
    step_px_of,
)
from blurryscope.stitch.links import Link
from blurryscope.stitch.steps import Motion, UsualSteps, seen_steps
from blurryscope.stitch.strips import Strip, compare_near, rows_between
from blurryscope.stitch.trajectory import Trajectory

_LEAST_RUN_SCORE = 10.0
"""Log-likelihood gain that makes an agreement more than chance: over the some 1,000 offsets that
are tried, chance reaches about log(1,000) = 7."""
_RUN_ROWS = 6.0
"""How far a piece may lie above or below where it is thought to, pixels of the detail pictures."""
_RUN_SIGMA_STEPS = 1.0
"""And how far it usually does, which counts against what is farther."""
_TISSUE_DETAIL = 0.01
"""Standard deviation of absorbance of a frame that shows enough to be linked alone."""


def run_links(
    beside: Trajectory, motion: Motion, usual: UsualSteps, detail_of: DetailOf, reduction: int
) -> list[Link]:
    """Link the lanes piece by piece: a jerk over blank glass shifts only what comes after it.

    `beside` must be right to a few steps.
    """
    steps = set(seen_steps(motion, usual))
    layer = StripLayer(beside, detail_of, reduction)
    matrices = beside.matrices
    step_px = step_px_of(beside)
    reach_px = RUN_STEPS * step_px
    links: list[Link] = []
    upper: list[tuple[NDArray[np.int64], Strip]] = []
    for number in range(len(motion.lanes)):
        runs = _runs(beside, number, steps, detail_of)
        lower = [(run, layer.strip(run)) for run in runs]
        for run_above, strip_above in upper:
            for run_below, strip_below in lower:
                x_above, x_below = beside.positions[run_above, 1], beside.positions[run_below, 1]
                apart_px = max(x_above.min() - x_below.max(), x_below.min() - x_above.max())
                if apart_px > reach_px:
                    continue
                # Beside much tissue that one of them shows alone, little that both do is little.
                shared_above = rows_between(strip_above, strip_below.origin[0] - _RUN_ROWS, np.inf)
                shared_below = rows_between(strip_below, -np.inf, strip_above.bottom + _RUN_ROWS)
                surface = compare_near(
                    shared_above,
                    shared_below,
                    scoring(strip_above),
                    around=(0.0, 0.0),
                    reach=(_RUN_ROWS, reach_px / reduction),
                )
                surface = surface.expecting(0.0, _RUN_SIGMA_STEPS * step_px / reduction)
                dy, dx, correlation, score = surface.best(0.0, _RUN_ROWS)
                if score < _LEAST_RUN_SCORE:
                    continue
                first = int(run_above[len(run_above) // 2])
                nearest = np.abs(x_below - beside.positions[first, 1])
                second = int(run_below[int(np.argmin(nearest))])
                moved = beside.positions[second] + np.array([dy, dx]) * reduction
                point = np.linalg.solve(matrices[first], moved - beside.positions[first])
                links.append(
                    (
                        int(beside.frames[first]),
                        int(beside.frames[second]),
                        (float(point[0]), float(point[1])),
                        (0.0, 0.0),
                        correlation,
                    )
                )
        upper = lower
    return links


def _runs(
    trajectory: Trajectory, number: int, steps: set[int], detail_of: DetailOf
) -> list[NDArray[np.int64]]:
    """Rows of the frames of one lane that hang together by seen steps.

    A single frame counts where it shows tissue: between a lost frame and blank glass nothing else
    holds it.
    """
    rows = lane_rows(trajectory, number)
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
