"""A stage never runs back within a lane: blank frames go on from the tissue, or stand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.trajectory import Trajectory, lane_rows

_NEXT_FRAMES = 5
"""Held by links, of which most tell whether one before them is held by false ones."""
_BACKWARDS_PX = 5.0
"""More than places within a lane are wrong by where true links hold them."""


def never_backwards(
    trajectory: Trajectory, lanes: Sequence[Lane], linked_frames: NDArray[np.int64]
) -> Trajectory:
    """Let the blank frames at the ends of lanes go on from the frames that links hold, or stand.

    Where the stage is thought to turn too early, they would run back over the tissue and show glass
    there; a stage never runs back within a lane. Frames at the ends from which most of those
    farther in would run back are held by false links, and count as blank: where tissue lies at the
    turns, pictures at rest share their dirt and little else. The trajectory may show only some of
    the lanes.
    """
    positions = trajectory.positions.copy()
    is_linked = np.isin(trajectory.frames, linked_frames)
    for rows in lane_rows(trajectory):
        if is_linked[rows].any():
            direction = lanes[int(trajectory.lanes[rows[0]])].direction
            way_px = direction * positions[rows, 1]
            positions[rows, 1] = direction * _onward(way_px, np.flatnonzero(is_linked[rows]))
    return replace(trajectory, positions=positions)


def _onward(way_px: NDArray[np.float64], linked: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) the ways of a lane's frames, none before or after those that links hold running back."""
    first = int(linked[_first_in_order(way_px[linked])])
    last = int(linked[::-1][_first_in_order(-way_px[linked[::-1]])])
    if first > last:
        return way_px
    onward = way_px.copy()
    onward[last:] = np.maximum.accumulate(way_px[last:])
    onward[: first + 1] = np.minimum.accumulate(way_px[first::-1])[::-1]
    return onward


def _first_in_order(way_px: NDArray[np.float64]) -> int:
    """Number of the first of n ways beyond which most of the next few lie, or at which they do."""
    for number in range(len(way_px) - 1):
        next_px = way_px[number + 1 : number + 1 + _NEXT_FRAMES]
        if np.median(next_px) > way_px[number] - _BACKWARDS_PX:
            return number
    return len(way_px) - 1
