"""Gives a lane that lies already other frames, as its turns are known better."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.trajectory import Trajectory
from blurryscope.stitch.turns import Timetable


def retimed(
    known: Trajectory, number: int, lane: Lane, table: Timetable, times_s: NDArray[np.float64]
) -> Trajectory:
    """The lane with just the frames that it has now; new ones go on as the stage does.

    Parameters
    ----------
    known
        The frames of the lane as they lie.
    number
        Of the lane in the timetable.
    times_s
        When the picture of every frame of the film was taken, (frames,).
    """
    frames = np.arange(lane.first, lane.last + 1)
    nearest = np.clip(frames, known.frames[0], known.frames[-1]) - known.frames[0]
    own_s = times_s[frames]
    way = table.travelled_px(number, own_s) - table.travelled_px(number, known.times_s[nearest])
    positions = known.positions[nearest].copy()
    positions[:, 1] += lane.direction * way
    return replace(
        known,
        frames=frames,
        lanes=np.full(len(frames), number),
        times_s=own_s,
        positions=positions,
        halves=None,  # they are found anew with the places
    )
