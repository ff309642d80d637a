"""What hangs together by links that were not rejected: frames of one lane, and lanes."""

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.links import Links
from blurryscope.stitch.solve import Solution

_LEAST_TIES = 3
"""Pairs of frames that join two lanes; fewer may be chance."""


def tied_lanes(solution: Solution, links: Links, lane_count: int) -> NDArray[np.bool_]:
    """Whether frames join each pair of neighbouring lanes, (lanes - 1,).

    Lanes that show little of the same tissue may not be told to overlap by their strips as wholes,
    while single frames of them are found again beyond doubt.
    """
    trajectory = solution.trajectory
    ends = np.stack([links.earlier, links.later])[:, solution.is_kept]
    upper, lower = (
        trajectory.lanes[trajectory.rows_of(frames)] for frames in np.unique(ends, axis=1)
    )
    pairs = np.bincount(upper[lower == upper + 1], minlength=lane_count)
    return np.asarray(pairs[: lane_count - 1] >= _LEAST_TIES)


def held_frames(solution: Solution, links: Links) -> NDArray[np.int64]:
    """The frames that some link holds which was not rejected, increasing."""
    agreeing = links.only(solution.is_kept)
    return np.union1d(agreeing.earlier, agreeing.later)


def tied_to_next(solution: Solution, links: Links) -> NDArray[np.bool_]:
    """Whether a link of the same lane leads across from each frame to the next one, (n,)."""
    trajectory = solution.trajectory
    first, second = trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)
    within = (trajectory.lanes[first] == trajectory.lanes[second]) & solution.is_kept
    ends = np.zeros(len(trajectory.frames) + 1, np.int64)
    np.add.at(ends, first[within], 1)
    np.add.at(ends, second[within], -1)
    return np.asarray(np.cumsum(ends)[:-1] > 0)
