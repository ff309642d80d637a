"""When each lane began and ended, told from where the stage must have turned.

Lanes mostly begin and end over blank glass, where nothing is seen to move. But all lanes share
their turning points, and those that are known give the times of every lane.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.ramps import SeenRamps, seen_ramps
from blurryscope.stitch.seen_lanes import SeenLane, after_pauses, common_speed, seen_lanes
from blurryscope.stitch.stage_habits import StageHabits
from blurryscope.stitch.timetable import Timetable
from blurryscope.stitch.trajectory import Trajectory, lane_rows
from blurryscope.stitch.turning_points import LeftSides, left_sides, usual_width


def time_lanes(
    trajectory: Trajectory,
    lanes: Sequence[Lane],
    is_linked: NDArray[np.bool_],
    is_seen: NDArray[np.bool_],
    stage: StageHabits,
    fixed_count: int = 0,
) -> Timetable:
    """Find when each lane began and ended.

    Parameters
    ----------
    trajectory
        Frames in lanes; x must be right relative to each other within linked lanes.
    is_linked
        Whether each pair of neighbouring lanes is linked, (lanes - 1,).
    is_seen
        Whether each frame of the trajectory was seen to move, (n,).
    fixed_count
        So many first lanes lie where they will stay; they tell where in the mosaic the stage turns.
        Without any, the left turning points get x = 0.
    """
    ramps = seen_ramps(trajectory, lanes, is_seen, stage.speed_px_per_s, stage.ramp_s)
    told_s = _told_starts_s(stage.starts_s, trajectory, len(lanes))
    stage, keeps_speed = _driven(_as_seen(stage, ramps), told_s)
    follows_pause = after_pauses(trajectory, stage)
    seen = seen_lanes(trajectory, lanes, is_seen, stage, follows_pause)
    if np.isfinite(told_s).any() and not keeps_speed:
        stage = replace(stage, speed_px_per_s=common_speed(seen, stage.speed_px_per_s))
    groups = np.concatenate([[0], np.cumsum(~is_linked)])
    width_px, turn_sigma_px = usual_width(seen, is_linked, stage, told_s)
    lefts = left_sides(seen, groups, stage, told_s, width_px, turn_sigma_px)
    lasts_s = lefts.width_px / stage.speed_px_per_s + stage.ramp_s
    # What no turn of its group tells, its own ramps may.
    spans_s = _by_turns(seen, lefts.x_px[groups], lefts.width_px, stage)
    spans_s = _first_known(spans_s, _by_ramps(ramps, lasts_s))
    is_timed = np.isfinite(spans_s[:, 0])
    spans_s = _first_known(spans_s, np.stack([told_s, told_s + lasts_s], axis=1))
    spans_s = _with_shares(spans_s, _own_spans_s(trajectory), seen, follows_pause, stage, lasts_s)
    return Timetable(
        start_s=spans_s[:, 0],
        end_s=spans_s[:, 1],
        ramp_s=stage.ramp_s,
        speed_px_per_s=np.array(
            [stage.speed_px_per_s if lane is None else lane.speed_px_per_s for lane in seen]
        ),
        width_px=lefts.width_px,
        left_px=_left_of_fixed(lefts, groups[:fixed_count]),
        lean=stage.lean,
        turn_sigma_px=turn_sigma_px,
        is_timed=is_timed,
        told_s=told_s,
        keeps_speed=keeps_speed,
    )


def _as_seen(stage: StageHabits, ramps: SeenRamps) -> StageHabits:
    """The habits of the stage, with ramps and rests as tissue at the turns shows them."""
    if np.isfinite(ramps.ramp_s):
        stage = replace(stage, ramp_s=ramps.ramp_s)
    if np.isnan(ramps.rest_s):
        return stage
    turn_s = ramps.rest_s + stage.ramp_s
    lane_s = stage.lane_s + stage.turn_s - turn_s
    return replace(stage, rest_s=ramps.rest_s, turn_s=turn_s, lane_s=lane_s)


def _told_starts_s(
    lane_starts_s: Sequence[float], trajectory: Trajectory, lane_count: int
) -> NDArray[np.float64]:
    """(lanes,) when the stage told that it set off; NaN where it did not.

    A lane that was broken off and begun again counts from its last start.
    """
    middles_s = [float(trajectory.times_s[rows].mean()) for rows in lane_rows(trajectory)]
    told_s = np.full(lane_count, np.nan)
    for start_s in sorted(lane_starts_s):
        number = int(np.searchsorted(middles_s, start_s))
        if number < lane_count:
            told_s[number] = start_s
    return told_s


def _driven(stage: StageHabits, told_s: NDArray[np.float64]) -> tuple[StageHabits, bool]:
    """The habits of a stage that tells its starts: it is driven by steps, at one speed.

    Also whether links tell which; else its lanes' own frames have to.
    """
    if not np.isfinite(told_s).any():
        return stage, False
    stage = stage.with_one_speed(len(told_s))
    return stage, len(stage.linked_speeds_px_per_s) > 0


def _by_turns(
    seen: Sequence[SeenLane | None],
    left_px: NDArray[np.float64],
    width_px: float,
    stage: StageHabits,
) -> NDArray[np.float64]:
    """(lanes, 2) when lanes begin and end, given the x of their left turning points, (lanes,).

    NaN where that or the lane itself is not known.
    """
    spans_s = np.full((len(seen), 2), np.nan)
    for number, (lane, left) in enumerate(zip(seen, left_px.tolist(), strict=True)):
        if lane is not None and not np.isnan(left):
            spans_s[number] = _begin_and_end_s(lane, left, left + width_px, stage)
    return spans_s


def _begin_and_end_s(
    lane: SeenLane, left_px: float, right_px: float, stage: StageHabits
) -> tuple[float, float]:
    begin_px, end_px = (left_px, right_px) if lane.direction > 0 else (right_px, left_px)
    speed = lane.speed_px_per_s
    before_s = stage.time_to_stop_s(lane.direction * (lane.first_px - begin_px), speed)
    after_s = stage.time_to_stop_s(lane.direction * (end_px - lane.last_px), speed)
    return lane.first_s - before_s, lane.last_s + after_s


def _by_ramps(ramps: SeenRamps, lasts_s: float) -> NDArray[np.float64]:
    """(lanes, 2) when lanes that last so long begin and end, by a ramp at either end; else NaN."""
    spans_s = np.stack([ramps.begins_s, ramps.ends_s], axis=1)
    by_other_end_s = np.stack([ramps.ends_s - lasts_s, ramps.begins_s + lasts_s], axis=1)
    return _first_known(spans_s, by_other_end_s)


def _first_known(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The others where values are NaN."""
    return np.where(np.isnan(values), others, values)


def _own_spans_s(trajectory: Trajectory) -> NDArray[np.float64]:
    """(lanes, 2) times of the first and last frame that each lane has now."""
    return np.array([trajectory.times_s[rows][[0, -1]] for rows in lane_rows(trajectory)])


def _with_shares(
    spans_s: NDArray[np.float64],
    own_s: NDArray[np.float64],
    seen: Sequence[SeenLane | None],
    follows_pause: NDArray[np.bool_],
    stage: StageHabits,
    lasts_s: float,
) -> NDArray[np.float64]:
    """(lanes, 2) the same, where lanes without times share what is left between their neighbours.

    Beside a pause, which lasts as long as it likes, they keep the time that they have, and so they
    do where one of them was seen to move at another time: then rests are not what they are told.
    """
    spans_s = spans_s.copy()
    unknown = np.flatnonzero(np.isnan(spans_s[:, 0]))
    if len(unknown) == len(spans_s):
        return own_s
    for run in np.split(unknown, np.flatnonzero(np.diff(unknown) > 1) + 1):
        if not len(run):
            continue
        shares_s = _shares_s(spans_s, run, lasts_s, stage.rest_s)
        is_pause = bool(follows_pause[run[0] : run[-1] + 2].any())
        if is_pause or _contradicts(shares_s, [seen[number] for number in run.tolist()]):
            middle_s = own_s[run].mean(axis=1)
            shares_s = np.stack([middle_s - lasts_s / 2, middle_s + lasts_s / 2], axis=1)
        spans_s[run] = shares_s
    return spans_s


def _shares_s(
    spans_s: NDArray[np.float64], run: NDArray[np.int64], lasts_s: float, rest_s: float
) -> NDArray[np.float64]:
    """(run, 2) times of neighbouring lanes, `run`, by those of the lanes around them."""
    before, after = int(run[0]) - 1, int(run[-1]) + 1
    place = np.arange(len(run))
    if before < 0:
        end_s = spans_s[after, 0] - rest_s - place[::-1] * (lasts_s + rest_s)
        return np.stack([end_s - lasts_s, end_s], axis=1)
    if after < len(spans_s):
        between_s = spans_s[after, 0] - spans_s[before, 1]
        lasts_s = (between_s - (len(run) + 1) * rest_s) / len(run)
    start_s = spans_s[before, 1] + rest_s + place * (lasts_s + rest_s)
    return np.stack([start_s, start_s + lasts_s], axis=1)


def _contradicts(spans_s: NDArray[np.float64], seen: Sequence[SeenLane | None]) -> bool:
    """Whether one of some lanes was seen to move outside its time; (lanes, 2) and (lanes,)."""
    return any(
        lane.first_s < start_s or lane.last_s > end_s
        for lane, (start_s, end_s) in zip(seen, spans_s.tolist(), strict=True)
        if lane is not None
    )


def _left_of_fixed(lefts: LeftSides, fixed_groups: NDArray[np.int64]) -> float:
    """Where groups that are fixed turn on the left, each by how many of its turns tell; else 0."""
    known = np.unique(fixed_groups)
    known = known[np.isfinite(lefts.x_px[known])]
    counts = lefts.turn_counts[known]
    return float(counts @ lefts.x_px[known] / counts.sum()) if counts.sum() else 0.0
