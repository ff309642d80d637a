"""When each lane began and ended, told from where the stage must have turned.

Lanes mostly begin and end over blank glass, where nothing is seen to move. But all lanes share
their turning points, and those that are known give the times of every lane.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.expectations import Expectations, cruise_ends
from blurryscope.stitch.lane_speed import seen_speed
from blurryscope.stitch.lanes import LONGEST_REST, Lane
from blurryscope.stitch.ramps import Habits, seen_habits
from blurryscope.stitch.trajectory import Trajectory, lane_rows
from blurryscope.stitch.turning_points import (
    LeftSides,
    Seen,
    StageHabits,
    common_speed,
    left_sides,
    told_starts,
    usual_width,
)

_RAMP_SPARE_S = 0.1
"""By which a lane may begin later or end earlier than is thought: its steps are little known until
then."""
_TURN_SIGMA_PX = 20.0
"""How well lanes meet at their turning points: what the model of ramps and rests is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """Start and end of each lane, at rest on both sides; all (lanes,)."""

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    ramp_s: float
    """Time to gain full speed."""
    speed_px_per_s: NDArray[np.float64]
    """Of each lane that was seen; the usual speed of the others."""
    width_px: float
    """Way between the turning points."""
    left_px: float
    """X of the left turning points in the mosaic, at y = 0."""
    lean: float
    """By how much that grows with y."""
    turn_sigma_px: float
    """How much one turn may mislead: the spread of turning points."""
    keeps_speed: bool
    """Whether all lanes go at one speed, as those of a stage that tells when it sets off."""
    is_seen: NDArray[np.bool_]
    """Whether a lane was seen to move; the times of the others are their share of what is left."""
    told_s: NDArray[np.float64]
    """When the stage told that it set off on a lane; NaN where it did not."""

    def travelled_px(self, lane: int, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Way since the start of the lane, by a trapezoid of speed.

        A lane that was not seen goes the whole width in its time.
        """
        lasted = self.end_s[lane] - self.start_s[lane]
        ramp_s = min(self.ramp_s, lasted / 2)
        since = np.clip(times_s - self.start_s[lane], 0, lasted)
        left = lasted - since
        gained = np.minimum(since, ramp_s) ** 2 / (2 * ramp_s)
        lost = np.minimum(left, ramp_s) ** 2 / (2 * ramp_s)
        cruise = np.clip(since, ramp_s, lasted - ramp_s) - ramp_s
        way_s = np.asarray(gained + cruise + (ramp_s / 2 - lost), np.float64)
        if self.is_seen[lane]:
            return np.asarray(self.speed_px_per_s[lane] * way_s)
        return np.asarray(self.width_px / max(lasted - ramp_s, 1e-6) * way_s)

    def after(self, earlier: "Timetable", count: int) -> "Timetable":
        """The same, with the first `count` lanes of an earlier table before its own."""

        def with_those_before(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(earlier, name)[:count], getattr(self, name)])

        return replace(
            self,
            start_s=with_those_before("start_s"),
            end_s=with_those_before("end_s"),
            speed_px_per_s=with_those_before("speed_px_per_s"),
            is_seen=with_those_before("is_seen"),
            told_s=with_those_before("told_s"),
        )

    def ends_px(
        self, lane: int, direction: int, first_s: float, last_s: float
    ) -> tuple[float, float]:
        """X from the left turning point, once told from the lane's start and once from its end.

        A stall, or a frame held twice, between the two times makes the lane last longer, not reach
        farther. A stage that tells its starts told the turning points by its cruise, and both come
        from there again: where tissue reaches into the ramps, start and end are as wrong as what is
        known of those, 150 pixels on a stage that gains its speed in half the time.
        """
        begin_px, end_px = (0.0, self.width_px) if direction > 0 else (self.width_px, 0.0)
        told_s = float(self.told_s[lane])
        if np.isfinite(told_s):
            first, last = (
                float(self.speed_px_per_s[lane]) * (time_s - told_s - self.ramp_s / 2)
                for time_s in (first_s, last_s)
            )
            return begin_px + direction * first, begin_px + direction * last
        whole, first, last = self.travelled_px(
            lane, np.array([self.end_s[lane], first_s, last_s])
        ).tolist()
        return begin_px + direction * first, end_px - direction * (whole - last)


def timetable(
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
    habits = seen_habits(trajectory, lanes, is_seen, stage.speed_px_per_s, stage.ramp_s)
    stage = _as_seen(stage, habits)
    told_s = told_starts(stage.starts_s, trajectory, len(lanes))
    is_told = bool(np.isfinite(told_s).any())
    if is_told:
        stage = stage.with_one_speed(len(lanes))
    keeps_speed = is_told and len(stage.linked_speeds_px_per_s) > 0
    seen = _seen_lanes(trajectory, lanes, is_seen, stage)
    if is_told and not keeps_speed:
        stage = replace(stage, speed_px_per_s=common_speed(seen, stage.speed_px_per_s))
    groups = np.concatenate([[0], np.cumsum(~is_linked)])
    width_px, turn_sigma_px = usual_width(seen, is_linked, stage, told_s)
    lefts = left_sides(
        seen, groups, stage, told_s, stage.width_px if width_px is None else width_px, turn_sigma_px
    )
    width_px = lefts.width_px
    start_s, end_s = _timed_by_turns(seen, lefts.x_px[groups], width_px, stage)
    lasts_s = width_px / stage.speed_px_per_s + stage.ramp_s
    # What no turn of its group tells, its own ramps may.
    is_alone = np.isnan(start_s)
    start_s[is_alone] = _first_known(habits.begins_s, habits.ends_s - lasts_s)[is_alone]
    end_s[is_alone] = _first_known(habits.ends_s, habits.begins_s + lasts_s)[is_alone]
    is_timed = np.isfinite(start_s)
    only_told = ~is_timed & np.isfinite(told_s)
    start_s[only_told], end_s[only_told] = told_s[only_told], told_s[only_told] + lasts_s
    _fill_unseen(start_s, end_s, lasts_s, stage, trajectory, seen)
    return Timetable(
        start_s=start_s,
        end_s=end_s,
        ramp_s=stage.ramp_s,
        speed_px_per_s=np.array(
            [stage.speed_px_per_s if part is None else part.speed_px_per_s for part in seen]
        ),
        width_px=width_px,
        left_px=_left_of_fixed(lefts, groups[:fixed_count]),
        lean=stage.lean,
        turn_sigma_px=turn_sigma_px,
        is_seen=is_timed,
        told_s=told_s,
        keeps_speed=keeps_speed,
    )


def _as_seen(stage: StageHabits, seen: Habits) -> StageHabits:
    """The habits of the stage, with ramps and rests as tissue at the turns shows them."""
    if np.isfinite(seen.ramp_s):
        stage = replace(stage, ramp_s=seen.ramp_s)
    if np.isnan(seen.rest_s):
        return stage
    turn_s = seen.rest_s + stage.ramp_s
    lane_s = stage.lane_s + stage.turn_s - turn_s
    return replace(stage, rest_s=seen.rest_s, turn_s=turn_s, lane_s=lane_s)


def _seen_lanes(
    trajectory: Trajectory,
    lanes: Sequence[Lane],
    is_seen: NDArray[np.bool_],
    stage: StageHabits,
) -> list[Seen | None]:
    """What was seen of each lane; None of those that too little was seen of."""
    rows = _seen_rows(trajectory, is_seen, len(lanes))
    seen = [_seen_part(trajectory, rows[n], n, lane, stage) for n, lane in enumerate(lanes)]
    return [
        None if part is None else replace(part, follows_pause=bool(paused))
        for part, paused in zip(seen, _pauses(trajectory, stage), strict=True)
    ]


def _seen_rows(
    trajectory: Trajectory, is_seen: NDArray[np.bool_], lane_count: int
) -> list[NDArray[np.int64]]:
    """Rows of the frames of each lane that were seen to move."""
    rows = np.flatnonzero(is_seen)
    return np.split(rows, np.searchsorted(trajectory.lanes[rows], np.arange(1, lane_count)))


def _seen_part(
    trajectory: Trajectory,
    rows: NDArray[np.int64],
    number: int,
    lane: Lane,
    stage: StageHabits,
) -> Seen | None:
    """What frames in these rows of the trajectory show of their lane."""
    rows = _without_rest(trajectory, rows, lane.direction * stage.speed_px_per_s)
    if len(rows) < _LEAST_SEEN:
        return None
    y_px, x_px = trajectory.positions[rows].T
    times_s, along_px = trajectory.times_s[rows], x_px - stage.lean * y_px
    middle_s = float(times_s.mean())
    speed = dict(enumerate(stage.linked_speeds_px_per_s)).get(number, np.nan)
    if np.isnan(speed):
        speed = seen_speed(trajectory, rows, stage.speed_px_per_s)
    way_px = lane.direction * speed * (times_s - middle_s)
    return Seen(
        first_s=float(times_s[0]),
        first_px=float(along_px[0]),
        last_s=float(times_s[-1]),
        last_px=float(along_px[-1]),
        direction=lane.direction,
        speed_px_per_s=speed,
        middle_s=middle_s,
        middle_px=float(np.median(along_px - way_px)),
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


_STANDS = 0.02
"""Of full speed, at most: frames at rest lay 0.3 px apart where full steps were 134 px long, and
the first step of a slow ramp is twice as long as this."""


def _pauses(trajectory: Trajectory, stage: StageHabits) -> NDArray[np.bool_]:
    """Which lanes lie behind a rest that is far too long, (lanes,)."""
    times_s = [trajectory.times_s[rows] for rows in lane_rows(trajectory)]
    rested_s = [0.0, *(after[0] - before[-1] for before, after in pairwise(times_s))]
    # Lanes are found with half of each ramp left out, which counts as rest for them.
    return np.array(rested_s) > LONGEST_REST * (stage.rest_s + stage.ramp_s)


_LEAST_SEEN = 5
"""Frames of a lane; fewer may be chance, and a wrong turn moves all lanes."""


def _timed_by_turns(
    seen: Sequence[Seen | None], left_px: NDArray[np.float64], width_px: float, stage: StageHabits
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """When lanes begin and end, both (lanes,), given the x of their left turning points.

    NaN where that or the lane itself is not known.
    """
    start_s, end_s = np.full(len(seen), np.nan), np.full(len(seen), np.nan)
    for number, (part, left) in enumerate(zip(seen, left_px.tolist(), strict=True)):
        if part is not None and not np.isnan(left):
            start_s[number], end_s[number] = _begin_and_end(part, left, left + width_px, stage)
    return start_s, end_s


def _left_of_fixed(lefts: LeftSides, fixed_groups: NDArray[np.int64]) -> float:
    """Where groups that are fixed turn on the left, each by how many of its turns tell; else 0."""
    known = np.unique(fixed_groups)
    known = known[np.isfinite(lefts.x_px[known])]
    counts = lefts.turn_counts[known]
    return float(counts @ lefts.x_px[known] / counts.sum()) if counts.sum() else 0.0


def _first_known(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The others where values are NaN."""
    return np.where(np.isnan(values), others, values)


def _begin_and_end(
    part: Seen, left_px: float, right_px: float, stage: StageHabits
) -> tuple[float, float]:
    begin_px, end_px = (left_px, right_px) if part.direction > 0 else (right_px, left_px)
    speed = part.speed_px_per_s
    before_s = stage.time_to_stop_s(part.direction * (part.first_px - begin_px), speed)
    after_s = stage.time_to_stop_s(part.direction * (end_px - part.last_px), speed)
    return part.first_s - before_s, part.last_s + after_s


def _fill_unseen(
    start_s: NDArray[np.float64],
    end_s: NDArray[np.float64],
    lasts_s: float,
    stage: StageHabits,
    trajectory: Trajectory,
    seen: Sequence[Seen | None],
) -> None:
    """Give lanes that show no turn their share of the time between their neighbours, in place.

    Beside a pause, which lasts as long as it likes, they keep the time that they have, and so they
    do where one of them was seen to move at another time: then rests are not what they are told.
    """
    own_s = np.array([trajectory.times_s[rows][[0, -1]] for rows in lane_rows(trajectory)])
    follows_pause = _pauses(trajectory, stage)
    unseen = np.flatnonzero(np.isnan(start_s))
    if len(unseen) == len(start_s):
        start_s[:], end_s[:] = own_s.T
        return
    for run in np.split(unseen, np.flatnonzero(np.diff(unseen) > 1) + 1):
        if not len(run):
            continue
        is_pause = bool(follows_pause[run[0] : run[-1] + 2].any())
        if not is_pause:
            _share_time(start_s, end_s, run, lasts_s, stage.rest_s)
        parts = [(part, n) for n in run.tolist() if (part := seen[n]) is not None]
        if is_pause or any(p.first_s < start_s[n] or p.last_s > end_s[n] for p, n in parts):
            middle_s = own_s[run].mean(axis=1)
            start_s[run], end_s[run] = middle_s - lasts_s / 2, middle_s + lasts_s / 2


def _share_time(
    start_s: NDArray[np.float64],
    end_s: NDArray[np.float64],
    run: NDArray[np.int64],
    lasts_s: float,
    rest_s: float,
) -> None:
    """Time a run of lanes by the lanes around it, in place."""
    before, after = int(run[0]) - 1, int(run[-1]) + 1
    place = np.arange(len(run))
    if before < 0:
        end_s[run] = start_s[after] - rest_s - place[::-1] * (lasts_s + rest_s)
        start_s[run] = end_s[run] - lasts_s
        return
    if after < len(start_s):
        between_s = start_s[after] - end_s[before]
        lasts_s = (between_s - (len(run) + 1) * rest_s) / len(run)
    start_s[run] = end_s[before] + rest_s + place * (lasts_s + rest_s)
    end_s[run] = start_s[run] + lasts_s


def timed_lanes(
    lanes: Sequence[Lane], table: Timetable, times_s: NDArray[np.float64]
) -> list[Lane]:
    """Lanes with the frames that the timetable gives them, and some to spare at either end.

    Rests are not all equally long; a lane that was not seen gets the frames of a ramp to spare. It
    may have begun earlier than its share of the time tells, and a frame of the rest that is taken
    into a lane costs nothing, while one of the lane that is taken for rest is lost.
    """
    interval_s = float(np.median(np.diff(times_s)))
    timed: list[Lane] = []
    earliest = 0
    for number, lane in enumerate(lanes):
        spare_s = max(_SPARE_S if table.is_seen[number] else table.ramp_s, interval_s)
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


_SPARE_S = 0.075
"""Rests scatter by 0.035 s, and may be shorter than is thought: with 0.05 s spare, lanes of a film
whose rests took 0.85 s instead of 1.1 lost 1.2 % of their frames."""
_LEAST_FRAMES = 2
"""Of a lane."""


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
        linked = np.flatnonzero(is_linked[rows])
        if not len(linked):
            continue
        direction = lanes[int(trajectory.lanes[rows[0]])].direction
        way = direction * positions[rows, 1]
        first = int(linked[_first_in_order(way[linked])])
        last = int(linked[::-1][_first_in_order(-way[linked[::-1]])])
        if first > last:
            continue
        way[last:] = np.maximum.accumulate(way[last:])
        way[: first + 1] = np.minimum.accumulate(way[first::-1])[::-1]
        positions[rows, 1] = direction * way
    return replace(trajectory, positions=positions)


def _first_in_order(way_px: NDArray[np.float64]) -> int:
    """Number of the first of n ways beyond which most of the next few lie, or at which they do."""
    for number in range(len(way_px) - 1):
        next_px = way_px[number + 1 : number + 1 + _NEXT_FRAMES]
        if np.median(next_px) > way_px[number] - _BACKWARDS_PX:
            return number
    return len(way_px) - 1


_NEXT_FRAMES = 5
_BACKWARDS_PX = 5.0
"""More than places within a lane are wrong by where true links hold them."""


def expected_motion(
    trajectory: Trajectory, lanes: Sequence[Lane], table: Timetable, pitch_px: float
) -> Expectations:
    """Turn the timetable into expectations for `solve`.

    The trajectory may show only some of the lanes, which are numbered as in the table.
    """
    along = np.zeros(len(trajectory.frames))
    is_ramp = np.zeros(len(trajectory.frames), np.bool_)
    ends = []
    for rows in lane_rows(trajectory):
        number = int(trajectory.lanes[rows[0]])
        direction, times = lanes[number].direction, trajectory.times_s[rows]
        along[rows] = direction * table.travelled_px(number, times)
        margin = table.ramp_s + _RAMP_SPARE_S
        is_ramp[rows] = (times < table.start_s[number] + margin) | (
            times > table.end_s[number] - margin
        )
        # A film may begin or end in mid-lane: frames are expected where the stage was then.
        left_px = table.left_px + table.lean * float(trajectory.positions[rows, 0].mean())
        first_s, last_s = trajectory.times_s[cruise_ends(rows, is_ramp)]
        ends.append(left_px + np.array(table.ends_px(number, direction, first_s, last_s)))
    return Expectations(
        along_px=along,
        is_ramp=is_ramp,
        pitch_px=pitch_px,
        turn_sigma_px=_TURN_SIGMA_PX,
        ends_px=np.array(ends),
        keeps_speed=table.keeps_speed,
    )
