"""Where the stage turned: by how long it rested, or by when it told that it set off.

All lanes share their turning points, and the stage rests there for about the same time. Two
neighbouring lanes that were seen somewhere and linked to each other therefore fix the place between
them where it turned. How long it rested is only known about, and 20 ms of it are 100 µm of way;
where the stage told when it set off, the place where it did so takes the turn's place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.seen_lanes import SeenLane
from blurryscope.stitch.stage_habits import StageHabits

_TURN_SIGMA_S = 0.008
"""Of the turns of one row of cores, in time: what they have wrong together, their spread does not
tell. With it 17 of 24 pairs of neighbouring rows on simulated and recorded scans, 7 to 280 µm wrong
to each other, lay within what is said."""
_TOLD_SIGMA_S = 0.002
"""Of places where the stage told that it set off, by its answers."""
_WIDTH_TOLERANCE = 0.2
"""Widths farther than this from what the rhythm says rest on something that is no turn."""
_MAD_TO_SIGMA = 1.4826
_ROUNDS = 20
_SURE = 0.25
"""Of how much a turn may stray: a frame lost or held twice is three times as much, and few turns
have to outvote it."""


def usual_width(
    seen: Sequence[SeenLane | None],
    is_linked: NDArray[np.bool_],
    stage: StageHabits,
    told_s: NDArray[np.float64],
) -> tuple[float, float]:
    """Median distance between turning points, over neighbouring turns of linked lanes; px.

    That of the rhythm where no such turns were seen. Also how far one of the two turns strays: what
    turns usually do, and the spread of these distances.

    Parameters
    ----------
    is_linked
        Whether each pair of neighbouring lanes is linked, (lanes - 1,).
    told_s
        When the stage told that it set off on each lane, (lanes,); NaN where it did not.
    """
    is_told = bool(np.isfinite(told_s).any())
    usual_px = (_TOLD_SIGMA_S if is_told else _TURN_SIGMA_S) * stage.speed_px_per_s
    # A turn lies between two lanes, a start in one.
    count = 2 if is_told else 3
    runs = [
        np.arange(first, first + count)
        for first in range(len(seen) - count + 1)
        if is_linked[first : first + count - 1].all()
    ]
    sides = [_sides(_turning_points(run, seen, stage, told_s)) for run in runs]
    widths = [x_px[1] - x_px[-1] for x_px in sides if len(x_px) == 2]
    widths = [width for width in widths if abs(width / stage.width_px - 1) < _WIDTH_TOLERANCE]
    if not widths:
        return stage.width_px, usual_px
    spread_px = np.median(np.abs(np.array(widths) - np.median(widths))) * _MAD_TO_SIGMA / np.sqrt(2)
    return float(np.median(widths)), float(np.hypot(usual_px, spread_px))


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
    seen: Sequence[SeenLane | None],
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
    turns = [
        _turning_points(np.flatnonzero(groups == group), seen, stage, told_s)
        for group in range(count)
    ]
    turn_counts = np.array([len(each) for each in turns])
    equations = [({group: 1.0}, turn) for group, each in enumerate(turns) for turn in each]
    if not np.isfinite(told_s).any():
        equations += _between_groups(seen, groups, stage, turn_counts > 0)
    left_px, width_px = _solved(equations, count, width_px, sigma_px)
    return LeftSides(
        x_px=np.where(turn_counts > 0, left_px, np.nan),
        turn_counts=turn_counts,
        width_px=width_px,
    )


class _Turn(NamedTuple):
    """A place at which the stage turned."""

    side: int
    """+1 right, -1 left."""
    x_px: float


def _turning_points(
    numbers: NDArray[np.int64],
    seen: Sequence[SeenLane | None],
    stage: StageHabits,
    told_s: NDArray[np.float64],
) -> list[_Turn]:
    """The turns of linked lanes, given their numbers: told, or else where seen."""
    told = [
        _Turn(-lane.direction, _set_off_px(lane, float(told_s[number]), stage))
        for number in numbers.tolist()
        if np.isfinite(told_s[number]) and (lane := seen[number]) is not None
    ]
    turns = (_turn_after(number, seen, stage) for number in numbers[:-1].tolist())
    return told or [turn for turn in turns if turn is not None]


def _turn_after(number: int, seen: Sequence[SeenLane | None], stage: StageHabits) -> _Turn | None:
    """The turn from a lane to the next, if both were seen and nobody paused the stage between."""
    before, after = seen[number], seen[number + 1]
    if before is None or after is None or after.follows_pause:
        return None
    return _Turn(before.direction, _turning_point(before, after, stage))


def _turning_point(before: SeenLane, after: SeenLane, stage: StageHabits) -> float:
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


def _set_off_px(lane: SeenLane, start_s: float, stage: StageHabits) -> float:
    """X from which the stage set off on a lane, from when it did so.

    Where the stage's answers come late by the same time, lanes of both directions seem to have set
    off too far inside, and by the same way: their middle, and the width seen, put that right.
    """
    way_s = lane.middle_s - start_s - stage.ramp_s / 2
    return lane.middle_px - lane.direction * stage.speed_px_per_s * way_s


def _sides(turns: Sequence[_Turn]) -> dict[int, float]:
    """Median turning point of either side (-1 left, +1 right) that was seen; px."""
    return {
        side: float(np.median([turn.x_px for turn in turns if turn.side == side]))
        for side in {turn.side for turn in turns}
    }


_Equation = tuple[dict[int, float], _Turn]
"""Whose left turning points, by how much of each, a turn tells: groups by number."""


def _between_groups(
    seen: Sequence[SeenLane | None],
    groups: NDArray[np.int64],
    stage: StageHabits,
    is_known: NDArray[np.bool_],
) -> list[_Equation]:
    """What turns from the last lane of a group to the first of the next tell of both, if known."""
    equations: list[_Equation] = []
    for number in np.flatnonzero(np.diff(groups)).tolist():
        both = int(groups[number]), int(groups[number + 1])
        turn = _turn_after(number, seen, stage)
        if turn is not None and is_known[list(both)].all():
            equations.append((dict.fromkeys(both, 0.5), turn))
    return equations


def _solved(
    equations: Sequence[_Equation], group_count: int, width_px: float, sigma_px: float
) -> tuple[NDArray[np.float64], float]:
    """The left turning points of the groups, (groups,), and the width; px."""
    matrix = np.zeros((len(equations) + 1, group_count + 1))
    target = np.zeros(len(equations) + 1)
    for row, (shares, turn) in enumerate(equations):
        matrix[row, list(shares)] = list(shares.values())
        matrix[row, -1] = turn.side > 0
        target[row] = turn.x_px
    # The last unknown is the width, which the rhythm tells about.
    matrix[-1, -1] = sigma_px / (_WIDTH_TOLERANCE * width_px)
    target[-1] = matrix[-1, -1] * width_px
    found = _robust_solution(matrix, target, _SURE * sigma_px)
    return found[:-1], float(found[-1])


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
