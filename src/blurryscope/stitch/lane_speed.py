"""How fast the stage went on each lane."""

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.links import Links
from blurryscope.stitch.trajectory import Trajectory

_STEADY_FRACTION = 0.05
"""Jerks and lost frames make steps that no steady stage makes; they are left out."""
_STEADY_COUNT = 8
"""Pairs of frames; fewer tell too little."""
_SURE_CORRELATION = 0.95
"""Weaker links are mostly of the rims of cores, where what is left of dirt and shading, which does
not move, makes the step too short: by 0.3 % on a simulated slide."""


def linked_speeds(
    trajectory: Trajectory, links: Links, lane_count: int, usual_px_per_s: float
) -> NDArray[np.float64]:
    """Speed of each lane by tissue that was found again exactly in the next frame.

    Returns mosaic pixels per second, (lanes,); NaN where too little is linked. It is all the way
    over all the time, not the usual step: frame times jitter, and what one step has too much the
    next has too little.
    """
    first, second = trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)
    is_step = (second == first + 1) & (trajectory.lanes[first] == trajectory.lanes[second])
    is_step &= links.correlation >= _SURE_CORRELATION
    first, second = first[is_step], second[is_step]
    along = trajectory.matrices[:, 1]
    way_px = (along[first] * links.point_earlier[is_step]).sum(axis=1)
    way_px -= (along[second] * links.point_later[is_step]).sum(axis=1)
    pairs, pair_of = np.unique(first, return_inverse=True)
    step_px = np.abs(np.bincount(pair_of, way_px) / np.bincount(pair_of))
    lasted_s = trajectory.times_s[pairs + 1] - trajectory.times_s[pairs]
    steady = np.abs(step_px - usual_px_per_s * lasted_s) < _STEADY_FRACTION * step_px
    lanes = trajectory.lanes[pairs[steady]]
    count, whole_px, whole_s = (
        np.bincount(lanes, weights, lane_count)
        for weights in (None, step_px[steady], lasted_s[steady])
    )
    return np.where(count >= _STEADY_COUNT, whole_px / np.maximum(whole_s, 1e-9), np.nan)


def seen_speed(trajectory: Trajectory, rows: NDArray[np.int64], usual_px_per_s: float) -> float:
    """Median speed over neighbouring frames of one lane that were seen; else the usual one."""
    pairs = rows[:-1][np.diff(rows) == 1]
    way = np.abs(trajectory.positions[pairs + 1, 1] - trajectory.positions[pairs, 1])
    lasted = trajectory.times_s[pairs + 1] - trajectory.times_s[pairs]
    speeds = way[lasted > 0] / lasted[lasted > 0]
    steady = speeds[np.abs(speeds / usual_px_per_s - 1) < _STEADY_FRACTION]
    return float(np.median(steady)) if len(steady) >= _STEADY_COUNT else usual_px_per_s
