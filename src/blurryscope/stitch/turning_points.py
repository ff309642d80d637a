"""Where the stage turned: by how long it rested, or by when it told that it set off.

All lanes share their turning points, and the stage rests there for about the same time. Two
neighbouring lanes that were seen somewhere and linked to each other therefore fix the place between
them where it turned. How long it rested is only known about, and 20 ms of it are 100 µm of way;
where the stage told when it set off, the place where it did so takes the turn's place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.trajectory import Trajectory, lane_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class StageHabits:
    """What the stage does at its turns."""

    speed_px_per_s: float
    """Usual speed; lanes differ from it by about a percent."""
    rest_s: float
    """Standing still between two lanes, the step across included."""
    ramp_s: float
    """Time to gain full speed."""
    lane_s: float
    """How long lanes are seen to move by the rhythm of the film; half of each ramp is left out."""
    turn_s: float
    """And how long it takes from one to the next."""
    starts_s: Sequence[float] = ()
    """When it told that it set off on lanes, as far as it did."""
    linked_speeds_px_per_s: Sequence[float] = ()
    """Of lanes from the first on, as exact links tell them; NaN where they do not."""
    agreed_speed_px_per_s: float = np.nan
    """Of all lanes, if they go at one speed: of perfect links, and by the calibration."""
    lean: float = 0.0
    """Way along the lanes that comes with a step across them, as a part of it: the stage's axes are
    not quite at a right angle, and all lanes begin at one place of its own."""

    @classmethod
    def by_rhythm(
        cls,
        spans_s: NDArray[np.float64],
        *,
        speed_px_per_s: float,
        rest_s: float,
        ramp_s: float,
        skew_deg: float,
    ) -> "StageHabits":
        """The habits of a stage whose lanes were first and last seen to move at these times.

        `spans_s` is (lanes, 2); `skew_deg` the angle from x to y of the stage, less 90 degrees.
        """
        begins_s, ends_s = spans_s.T
        lane_s = float(np.median(ends_s - begins_s))
        return cls(
            speed_px_per_s=speed_px_per_s,
            rest_s=rest_s,
            ramp_s=ramp_s,
            lane_s=lane_s,
            turn_s=float(np.median(np.diff((begins_s + ends_s) / 2))) - lane_s,
            # With more than a right angle from x to y the way along y leads back along x.
            lean=-np.tan(np.deg2rad(skew_deg)),
        )

    @property
    def width_px(self) -> float:
        """Way between the turning points by rhythm alone."""
        return self.speed_px_per_s * self.lane_s

    def since(self, lane: int) -> "StageHabits":
        """What is known of the lanes from one on, which is the first now."""
        return replace(self, linked_speeds_px_per_s=self.linked_speeds_px_per_s[lane:])

    def before(self, lane: int) -> "StageHabits":
        """What is known of the lanes before one."""
        return replace(self, linked_speeds_px_per_s=self.linked_speeds_px_per_s[:lane])

    def with_one_speed(self, lane_count: int) -> "StageHabits":
        """The habits of a stage that is driven by steps: all lanes go at one speed."""
        known = [speed for speed in self.linked_speeds_px_per_s if np.isfinite(speed)]
        if not known:
            return replace(self, linked_speeds_px_per_s=())
        is_certain = np.isfinite(self.agreed_speed_px_per_s)
        common = self.agreed_speed_px_per_s if is_certain else float(np.median(known))
        return replace(self, speed_px_per_s=common, linked_speeds_px_per_s=(common,) * lane_count)

    def time_to_stop_s(self, way_px: float, speed_px_per_s: float) -> float:
        """Time from a point at this distance before the turn to the stop; 0 beyond it."""
        braking_px = speed_px_per_s * self.ramp_s / 2
        if way_px >= braking_px:
            return self.ramp_s + (way_px - braking_px) / speed_px_per_s
        return float(np.sqrt(2 * max(way_px, 0.0) * self.ramp_s / speed_px_per_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """First and last frame of a lane that was seen to move."""

    first_s: float
    first_px: float
    last_s: float
    last_px: float
    direction: int
    speed_px_per_s: float
    """Of this lane; half a percent on a blank way as long as a field is some pixels."""
    middle_s: float
    middle_px: float
    """Where the lane was on average, and when: single frame times jitter."""
    follows_pause: bool = False
    """Whether the stage rested for longer before it than it rests: that tells of no turn."""


def told_starts(
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


def common_speed(seen: Sequence[Seen | None], usual_speed: float) -> float:
    """Speed of a stage that is driven by steps, the same in all lanes: their median."""
    speeds = [
        abs(part.last_px - part.first_px) / (part.last_s - part.first_s)
        for part in seen
        if part is not None and part.last_s - part.first_s > _LONG_S
    ]
    return float(np.median(speeds)) if speeds else usual_speed


_LONG_S = 0.5
"""Of a lane that tells the speed: single frame times are off by a millisecond or two."""


def _turning_point(before: Seen, after: Seen, stage: StageHabits) -> float:
    """X at which the stage turned between two lanes, so that it rested for the usual time.

    The farther out the turn, the longer the way there and back and the shorter the rest: bisection.
    """
    gap_s = after.first_s - before.last_s
    outermost = max(before.direction * before.last_px, before.direction * after.first_px)
    near, far = outermost, outermost + stage.speed_px_per_s * gap_s
    for _ in range(40):
        middle = (near + far) / 2
        way_there = stage.time_to_stop_s(
            middle - before.direction * before.last_px, before.speed_px_per_s
        )
        way_back = stage.time_to_stop_s(
            middle - before.direction * after.first_px, after.speed_px_per_s
        )
        if gap_s - way_there - way_back > stage.rest_s:
            near = middle
        else:
            far = middle
    return before.direction * (near + far) / 2


def _set_off_px(part: Seen, start_s: float, stage: StageHabits) -> float:
    """X from which the stage set off on a lane, from when it did so.

    Where the stage's answers come late by the same time, lanes of both directions seem to have set
    off too far inside, and by the same way: their middle, and the width seen, put that right.
    """
    way_s = part.middle_s - start_s - stage.ramp_s / 2
    return part.middle_px - part.direction * stage.speed_px_per_s * way_s


def _turns(
    seen: Sequence[Seen | None], in_group: NDArray[np.bool_], stage: StageHabits
) -> list[tuple[int, float]]:
    """Side (+1 right, -1 left) and x of every turn between two linked lanes that were seen."""
    turns = []
    for number in np.flatnonzero(in_group[:-1] & in_group[1:]).tolist():
        before, after = seen[number], seen[number + 1]
        if before is not None and after is not None and not after.follows_pause:
            turns.append((before.direction, _turning_point(before, after, stage)))
    return turns


def _turning_points(
    seen: Sequence[Seen | None],
    in_group: NDArray[np.bool_],
    stage: StageHabits,
    told_s: NDArray[np.float64],
) -> list[tuple[int, float]]:
    """Side (+1 right, -1 left) and x of the turns of linked lanes: told, or else where seen."""
    told = [
        (-part.direction, _set_off_px(part, float(told_s[number]), stage))
        for number in np.flatnonzero(in_group & np.isfinite(told_s)).tolist()
        if (part := seen[number]) is not None
    ]
    return told or _turns(seen, in_group, stage)


def _sides(turns: Sequence[tuple[int, float]]) -> dict[int, float]:
    """Median turning point of either side (-1 left, +1 right) that was seen."""
    return {
        side: float(np.median([x for s, x in turns if s == side]))
        for side in {side for side, _ in turns}
    }


def usual_width(
    seen: Sequence[Seen | None],
    is_linked: NDArray[np.bool_],
    stage: StageHabits,
    told_s: NDArray[np.float64],
) -> tuple[float | None, float]:
    """Median distance between turning points, over neighbouring turns of linked lanes.

    Also how far one of the two turns strays: what turns usually do, and the spread of these
    distances.
    """
    widths = []
    # A turn lies between two lanes, a start in one.
    count = 2 if np.isfinite(told_s).any() else 3
    for number in range(len(seen) - count + 1):
        if is_linked[number : number + count - 1].all():
            in_group = np.zeros(len(seen), np.bool_)
            in_group[number : number + count] = True
            sides = _sides(_turning_points(seen, in_group, stage, told_s))
            if len(sides) == 2:
                width = sides[1] - sides[-1]
                if abs(width / stage.width_px - 1) < _WIDTH_TOLERANCE:
                    widths.append(width)
    usual_s = _TOLD_SIGMA_S if np.isfinite(told_s).any() else _TURN_SIGMA_S
    usual_px = usual_s * stage.speed_px_per_s
    if not widths:
        return None, usual_px
    spread_px = np.median(np.abs(np.array(widths) - np.median(widths))) * _MAD_TO_SIGMA / np.sqrt(2)
    return float(np.median(widths)), float(np.hypot(usual_px, spread_px))


_TURN_SIGMA_S = 0.008
"""Of the turns of one row of cores, in time: what they have wrong together, their spread does not
tell. With it 17 of 24 pairs of neighbouring rows on simulated and recorded scans, 7 to 280 µm wrong
to each other, lay within what is said."""
_TOLD_SIGMA_S = 0.002
"""Of places where the stage told that it set off, by its answers."""
_MAD_TO_SIGMA = 1.4826
_WIDTH_TOLERANCE = 0.2
"""Widths farther than this from what the rhythm says rest on something that is no turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftSides:
    """Where each group of linked lanes, as it lies now, has its left turning points."""

    x_px: NDArray[np.float64]
    """(groups,); NaN where a group shows no turn."""
    turn_counts: NDArray[np.int64]
    """(groups,) how many turns of its own say so."""
    width_px: float
    """From there to the right turning points, the same for all."""


def left_sides(
    seen: Sequence[Seen | None],
    groups: NDArray[np.int64],
    stage: StageHabits,
    told_s: NDArray[np.float64],
    width_px: float,
    sigma_px: float,
) -> LeftSides:
    """Find the turning points of all groups at once, by robust least squares.

    A rest that lasts longer than usual moves a turning point outward, on both sides alike, so their
    distance is free to take that up. A turn between two groups lies, as far as they are wrong to
    each other, half way between the turning points of both: it tells where two groups lie that
    show one turn each, on opposite sides. A turn that strays (a frame lost or held twice over glass
    moves it by half a step) is outvoted by the others.

    Parameters
    ----------
    groups
        (lanes,) the group of each lane, counted from 0 without gaps.
    width_px
        About how far the turning points are from each other.
    sigma_px
        How much one turn may stray.
    """
    count = int(groups[-1]) + 1
    turns = [_turning_points(seen, groups == group, stage, told_s) for group in range(count)]
    turn_counts = np.array([len(each) for each in turns])
    equations = [({group: 1.0}, side, x) for group, each in enumerate(turns) for side, x in each]
    if not np.isfinite(told_s).any():
        equations += [
            ({int(groups[number]): 0.5, int(groups[number + 1]): 0.5}, side, x)
            for number, side, x in _turns_between(seen, groups, stage)
            if turn_counts[groups[number]] and turn_counts[groups[number + 1]]
        ]
    matrix = np.zeros((len(equations) + 1, count + 1))
    target = np.zeros(len(equations) + 1)
    for row, (shares, side, x) in enumerate(equations):
        matrix[row, list(shares)] = list(shares.values())
        matrix[row, -1] = side > 0
        target[row] = x
    # The last unknown is the width, which the rhythm tells about.
    matrix[-1, -1] = sigma_px / (_WIDTH_TOLERANCE * width_px)
    target[-1] = matrix[-1, -1] * width_px
    found = _robust_solution(matrix, target, _SURE * sigma_px)
    return LeftSides(
        x_px=np.where(turn_counts > 0, found[:-1], np.nan),
        turn_counts=turn_counts,
        width_px=float(found[-1]),
    )


def _turns_between(
    seen: Sequence[Seen | None], groups: NDArray[np.int64], stage: StageHabits
) -> list[tuple[int, int, float]]:
    """Lane, side and x of every turn from the last lane of a group to the first of the next."""
    turns = []
    for number in np.flatnonzero(np.diff(groups)).tolist():
        before, after = seen[number], seen[number + 1]
        if before is not None and after is not None and not after.follows_pause:
            turns.append((number, before.direction, _turning_point(before, after, stage)))
    return turns


def _robust_solution(
    matrix: NDArray[np.float64], target: NDArray[np.float64], sure_within: float
) -> NDArray[np.float64]:
    """Least squares up to this residual and least distances beyond (Huber), by reweighting.

    It has one minimum only, wherever the first guess lies. Unknowns that nothing tells are 0.
    """
    root = np.ones(len(target))
    for _ in range(_ROUNDS):
        found = np.linalg.lstsq(matrix * root[:, None], target * root, rcond=None)[0]
        root = np.sqrt(sure_within / np.maximum(np.abs(matrix @ found - target), sure_within))
    return np.asarray(found)


_ROUNDS = 20
_SURE = 0.25
"""Of how much a turn may stray: a frame lost or held twice is three times as much, and few turns
have to outvote it."""
