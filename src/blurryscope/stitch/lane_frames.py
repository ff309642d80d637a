"""Which frames of the film belong to a lane, as its times are known better."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.timetable import Timetable
from blurryscope.stitch.trajectory import Trajectory, usual_interval_s

_SPARE_S = 0.075
"""Rests scatter by 0.035 s, and may be shorter than is thought: with 0.05 s spare, lanes of a film
whose rests took 0.85 s instead of 1.1 lost 1.2 % of their frames."""
_LEAST_FRAMES = 2
"""Of a lane."""


def timed_lanes(
    lanes: Sequence[Lane], table: Timetable, times_s: NDArray[np.float64]
) -> list[Lane]:
    """Lanes with the frames that the timetable gives them, and some to spare at either end.

    Rests are not all equally long; a lane whose times are its share of what is left gets the frames
    of a ramp to spare. It may have begun earlier than that tells, and a frame of the rest that is
    taken into a lane costs nothing, while one of the lane that is taken for rest is lost.

    `times_s` is when the picture of every frame of the film was taken, (frames,).
    """
    interval_s = usual_interval_s(times_s)
    timed: list[Lane] = []
    earliest = 0
    for number, lane in enumerate(lanes):
        spare_s = max(_SPARE_S if table.is_timed[number] else table.ramp_s, interval_s)
        is_last = number + 1 == len(lanes)
        latest_s = times_s[-1] if is_last else table.start_s[number + 1] - interval_s
        first = int(np.searchsorted(times_s, table.start_s[number] - spare_s))
        last = int(np.searchsorted(times_s, min(table.end_s[number] + spare_s, latest_s)))
        # Where rests are shorter than is thought, the last ones would begin after the film's end.
        room = len(times_s) - _LEAST_FRAMES * (len(lanes) - number)
        first = min(max(first, earliest), room)
        last = min(max(last, first + 1), room + _LEAST_FRAMES - 1)
        timed.append(replace(lane, first=first, last=last))
        earliest = last + 1
    return timed


def retimed(
    known: Trajectory, number: int, lane: Lane, table: Timetable, times_s: NDArray[np.float64]
) -> Trajectory:
    """A lane that lies already with just the frames that it has now; new ones go on as it does.

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


def later_lanes_timed(
    lanes: Sequence[Lane], fixed_count: int, table: Timetable, times_s: NDArray[np.float64]
) -> list[Lane]:
    """Like `timed_lanes`, but so many first lanes keep their frames, and no later one takes any."""
    timed = list(lanes[:fixed_count])
    for lane in timed_lanes(lanes, table, times_s)[fixed_count:]:
        first = max(lane.first, timed[-1].last + 1) if timed else lane.first
        timed.append(replace(lane, first=first, last=max(lane.last, first)))
    return timed


def later_lanes_retimed(
    known: Trajectory,
    lanes: Sequence[Lane],
    fixed_count: int,
    table: Timetable,
    times_s: NDArray[np.float64],
) -> Trajectory:
    """All lanes as they lie already, those that are not fixed with just the frames they have now.

    As `retimed` gives them.
    """
    parts = [known.between_lanes(0, fixed_count - 1)] if fixed_count else []
    for number in range(fixed_count, len(lanes)):
        alone = known.between_lanes(number, number)
        parts.append(retimed(alone, number, lanes[number], table, times_s))
    return reduce(Trajectory.followed_by, parts)
