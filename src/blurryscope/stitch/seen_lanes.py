"""What was seen of the stage on each lane: its first frame and its last, its speed, its middle."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.lane_speed import seen_speed
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.rhythm import LONGEST_REST
from blurryscope.stitch.stage_habits import StageHabits
from blurryscope.stitch.trajectory import Trajectory, lane_rows

_LEAST_SEEN = 5
"""Frames of a lane; fewer may be chance, and a wrong turn moves all lanes."""
_STANDS = 0.02
"""Of full speed, at most: frames at rest lay 0.3 px apart where full steps were 134 px long, and
the first step of a slow ramp is twice as long as this."""
_LONG_S = 0.5
"""Of a lane that tells the speed: single frame times are off by a millisecond or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLane:
    """First and last frame of a lane that was seen to move; x along the lanes, mosaic pixels."""

    first_s: float
    first_px: float
    last_s: float
    last_px: float
    direction: int
    """+1 or -1 along x."""
    speed_px_per_s: float
    """Of this lane; half a percent on a blank way as long as a field is some pixels."""
    middle_s: float
    middle_px: float
    """Where the lane was on average, and when: single frame times jitter."""
    follows_pause: bool = False
    """Whether the stage rested for longer before it than it rests: that tells of no turn."""


def seen_lanes(
    trajectory: Trajectory,
    lanes: Sequence[Lane],
    is_seen: NDArray[np.bool_],
    stage: StageHabits,
    follows_pause: NDArray[np.bool_],
) -> list[SeenLane | None]:
    """Tell what was seen of each lane; None of those of which too little was.

    Parameters
    ----------
    is_seen
        Whether each frame of the trajectory was seen to move, (n,).
    follows_pause
        As `after_pauses` gives it, (lanes,).
    """
    rows = _seen_rows(trajectory, is_seen, len(lanes))
    return [
        _seen_lane(
            trajectory,
            rows[number],
            lane.direction,
            stage,
            linked_px_per_s=stage.linked_speed_px_per_s(number),
            follows_pause=bool(follows_pause[number]),
        )
        for number, lane in enumerate(lanes)
    ]


def after_pauses(trajectory: Trajectory, stage: StageHabits) -> NDArray[np.bool_]:
    """Which lanes lie behind a rest that is far too long, (lanes,)."""
    times_s = [trajectory.times_s[rows] for rows in lane_rows(trajectory)]
    rested_s = [0.0, *(after[0] - before[-1] for before, after in pairwise(times_s))]
    # Lanes are found with half of each ramp left out, which counts as rest for them.
    return np.array(rested_s) > LONGEST_REST * (stage.rest_s + stage.ramp_s)


def common_speed(seen: Sequence[SeenLane | None], usual_px_per_s: float) -> float:
    """Speed of a stage that is driven by steps, the same in all lanes: their median, px/s."""
    speeds = [
        abs(lane.last_px - lane.first_px) / (lane.last_s - lane.first_s)
        for lane in seen
        if lane is not None and lane.last_s - lane.first_s > _LONG_S
    ]
    return float(np.median(speeds)) if speeds else usual_px_per_s


def _seen_rows(
    trajectory: Trajectory, is_seen: NDArray[np.bool_], lane_count: int
) -> list[NDArray[np.int64]]:
    """Rows of the frames of each lane that were seen to move."""
    rows = np.flatnonzero(is_seen)
    return np.split(rows, np.searchsorted(trajectory.lanes[rows], np.arange(1, lane_count)))


def _seen_lane(
    trajectory: Trajectory,
    rows: NDArray[np.int64],
    direction: int,
    stage: StageHabits,
    *,
    linked_px_per_s: float,
    follows_pause: bool,
) -> SeenLane | None:
    """What frames in these rows of the trajectory show of their lane."""
    rows = _without_rest(trajectory, rows, direction * stage.speed_px_per_s)
    if len(rows) < _LEAST_SEEN:
        return None
    y_px, x_px = trajectory.positions[rows].T
    times_s, along_px = trajectory.times_s[rows], x_px - stage.lean * y_px
    middle_s = float(times_s.mean())
    speed = linked_px_per_s
    if np.isnan(speed):
        speed = seen_speed(trajectory, rows, stage.speed_px_per_s)
    way_px = direction * speed * (times_s - middle_s)
    return SeenLane(
        first_s=float(times_s[0]),
        first_px=float(along_px[0]),
        last_s=float(times_s[-1]),
        last_px=float(along_px[-1]),
        direction=direction,
        speed_px_per_s=speed,
        middle_s=middle_s,
        middle_px=float(np.median(along_px - way_px)),
        follows_pause=follows_pause,
    )


def _without_rest(
    trajectory: Trajectory, rows: NDArray[np.int64], velocity_px_per_s: float
) -> NDArray[np.int64]:
    """The rows of a lane from the first step of the stage to the last.

    Where rests are longer than is thought, a lane is given frames of them, and tissue at the turns
    shows how those lie: one upon the other.
    """
    times_s, x_px = trajectory.times_s[rows], trajectory.positions[rows, 1]
    moves = np.flatnonzero(np.diff(x_px) / velocity_px_per_s > _STANDS * np.diff(times_s))
    return rows[moves[0] : moves[-1] + 2] if len(moves) else rows[:0]
