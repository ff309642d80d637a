"""How fast the stage went."""

from typing import NamedTuple

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
_FIT_CORRELATION = 0.9
"""Below it steps are shorter still than the line through the better ones says."""
_FIT_SIGMA = 0.001
"""Relative; how uncertain the speed of perfect links may be."""
_LEAST_SIGMA = 1e-6
"""Relative; no fit is more certain, however well its links agree."""
_FIT_COUNT = 20
"""Links; of fewer the spread itself is not known."""
_TOLD_SIGMA = 0.0005
"""Relative; how well a calibration of some hours ago tells the speed in pixels."""
_CONTRADICTION = 4.0
"""Standard deviations; a calibration that is farther off is of another microscope."""


class Speed(NamedTuple):
    """A speed and its standard error, px/s."""

    px_per_s: float
    sigma_px_per_s: float


def linked_speeds(
    trajectory: Trajectory, links: Links, lane_count: int, usual_px_per_s: float
) -> NDArray[np.float64]:
    """Speed of each lane by tissue that was found again exactly in the next frame.

    Returns mosaic pixels per second, (lanes,); NaN where too little is linked. It is all the way
    over all the time, not the usual step: frame times jitter, and what one step has too much the
    next has too little.
    """
    rows, step_px, lasted_s, correlation = _steady_steps(trajectory, links, usual_px_per_s)
    sure = correlation >= _SURE_CORRELATION
    pairs, pair_of = np.unique(rows[sure], return_inverse=True)
    way_px, way_s = (
        np.bincount(pair_of, each[sure]) / np.bincount(pair_of) for each in (step_px, lasted_s)
    )
    count, whole_px, whole_s = (
        np.bincount(trajectory.lanes[pairs], each, lane_count) for each in (None, way_px, way_s)
    )
    return np.where(count >= _STEADY_COUNT, whole_px / np.maximum(whole_s, 1e-9), np.nan)


def perfect_speed(trajectory: Trajectory, links: Links, usual_px_per_s: float) -> Speed | None:
    """Speed of a stage that goes equally fast on all lanes; None where links leave it open.

    The worse a link correlates the shorter is its step, so it is the speed that links would tell if
    they correlated perfectly: a straight line through all steps, read at a correlation of 1.
    """
    _, step_px, lasted_s, correlation = _steady_steps(trajectory, links, usual_px_per_s)
    fit = correlation >= _FIT_CORRELATION
    missing, speeds = 1 - correlation[fit], step_px[fit] / lasted_s[fit]
    if len(speeds) < _FIT_COUNT or np.ptp(missing) == 0:
        return None
    apart, square = missing - missing.mean(), float(((missing - missing.mean()) ** 2).sum())
    slope = float(apart @ speeds) / square
    speed = float(speeds.mean()) - slope * float(missing.mean())
    spread = float(np.std(speeds - speeds.mean() - slope * apart))
    sigma = spread * float(np.sqrt(1 / len(speeds) + float(missing.mean()) ** 2 / square))
    return Speed(speed, max(sigma, _LEAST_SIGMA * speed))


def agreed_speed(seen: Speed | None, told_px_per_s: float | None) -> float:
    """Put together what links tell and what the calibration does, px/s; NaN if it stays open.

    The first lanes of a film tell little: 0.1 % is 15 pixels over a lane of 20 mm.
    """
    known = [] if seen is None else [seen]
    if told_px_per_s is not None:
        told = Speed(told_px_per_s, _TOLD_SIGMA * told_px_per_s)
        apart = 0.0 if seen is None else abs(told.px_per_s - seen.px_per_s)
        doubt = 0.0 if seen is None else np.hypot(told.sigma_px_per_s, seen.sigma_px_per_s)
        if apart <= _CONTRADICTION * doubt:
            known.append(told)
    weights = np.array([1 / speed.sigma_px_per_s**2 for speed in known])
    if not len(weights) or weights.sum() ** -0.5 >= _FIT_SIGMA * known[0].px_per_s:
        return float("nan")
    return float(np.average([speed.px_per_s for speed in known], weights=weights))


def seen_speed(trajectory: Trajectory, rows: NDArray[np.int64], usual_px_per_s: float) -> float:
    """Median speed over neighbouring frames of one lane that were seen, px/s; else the usual."""
    pairs = rows[:-1][np.diff(rows) == 1]
    way = np.abs(trajectory.positions[pairs + 1, 1] - trajectory.positions[pairs, 1])
    lasted = trajectory.times_s[pairs + 1] - trajectory.times_s[pairs]
    speeds = way[lasted > 0] / lasted[lasted > 0]
    steady = speeds[np.abs(speeds / usual_px_per_s - 1) < _STEADY_FRACTION]
    return float(np.median(steady)) if len(steady) >= _STEADY_COUNT else usual_px_per_s


def _steady_steps(
    trajectory: Trajectory, links: Links, usual_px_per_s: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Row of the earlier frame, way, time and correlation of links from a frame to the next."""
    first, second = trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)
    is_step = (second == first + 1) & (trajectory.lanes[first] == trajectory.lanes[second])
    first, second, links = first[is_step], second[is_step], links.only(is_step)
    along = trajectory.matrices[:, 1]
    way_px = (along[first] * links.point_earlier).sum(axis=1)
    way_px -= (along[second] * links.point_later).sum(axis=1)
    step_px = np.abs(way_px)
    lasted_s = trajectory.times_s[second] - trajectory.times_s[first]
    steady = np.abs(step_px - usual_px_per_s * lasted_s) < _STEADY_FRACTION * step_px
    return first[steady], step_px[steady], lasted_s[steady], links.correlation[steady]
