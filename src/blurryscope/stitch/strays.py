"""How far apart two cores lie that only glass parts, where lanes disagree about it.

All lanes across two cores go the same way between them, but not in the time that an even speed
takes: where the stage stuck over glass it was longer, where the camera lost a frame without a gap
in the film's times it seems shorter by the time of a frame, and longer where a frame came twice.
Least squares, however robust, takes what most lanes are near to. But a stage that sticks is late
and never early, and frames are lost as wholes: the way is the one that needs the fewest such
mishaps.
"""

from collections.abc import Iterator, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.gaps import Gap, gaps_of
from blurryscope.stitch.links import Links
from blurryscope.stitch.solve import Solution
from blurryscope.stitch.trajectory import usual_interval_s

_SIGMA_S = 0.001
"""Of a way over glass without mishaps: frame times jitter by that."""
_SPEED_SIGMA = 0.01
"""And of the way itself: how well the speed of a lane is known."""
_STUCK = 5.0
"""What a stage that stuck costs in a way that is shorter than expected, as log-likelihood: one in
ten does, by anything up to a few steps."""
_MISCOUNTED = 4.0
"""And each frame that was lost or came twice: one way in fifty."""
_MOST_LOST = 2
_MOST_STUCK_S = 0.14
"""A jerk lasts for up to 0.2 s, and the stage does not stop altogether."""
_UNEXPLAINED = 12.0
_LEAD = 2.0
"""By which another way must be likelier than the one that least squares found, and than any other.
"""
_ANOTHER_WAY = 0.2
"""Steps by which two ways differ: less may be what two lanes stray by."""
_LEAST_MOVE_S = 0.005
"""Of the stage's way; what is less apart is nothing to be put right."""


Ways = dict[tuple[int, int], float]
"""Along x from one frame of a lane to another, px."""


def likeliest_ways(
    solution: Solution,
    links: Links,
    along_px: NDArray[np.float64],
    step_px: float,
    is_linked: Sequence[bool],
    fixed_count: int,
) -> Ways:
    """Ways between two cores that are likelier than those that were found.

    Parameters
    ----------
    along_px
        (n,) x that even motion would give each frame, up to a constant per lane.
    step_px
        The stage's way from one frame to the next.
    is_linked
        Whether each lane shows the same tissue as the next one.
    fixed_count
        Lanes before this one stay where they are, and with them the ways that they share.
    """
    ways: Ways = {}
    lanes = [
        [gap for gap in gaps if not gap.is_bridged]
        for gaps in gaps_of(solution, links, along_px, step_px)
    ]
    steps_per_s = 1 / usual_interval_s(solution.trajectory.times_s)
    for group in _groups(lanes, is_linked):
        if group[0].lane < fixed_count or len(group) < 2:
            continue
        shift = _likeliest_shift(group, steps_per_s)
        if shift is not None:
            for gap in group:
                way_px = gap.direction * (gap.way_steps - shift) * step_px
                ways[gap.frame_before, gap.frame_behind] = way_px
    return ways


def _groups(lanes: Sequence[Sequence[Gap]], is_linked: Sequence[bool]) -> Iterator[list[Gap]]:
    """Gaps between the same two cores, on lanes that follow each other and show the same tissue.

    Where a lane misses a core, its one gap lies beside two: it belongs to neither.
    """
    running: list[list[Gap]] = []
    for gaps in lanes:
        grown: list[list[Gap]] = []
        for gap in gaps:
            above = [group for group in running if group[-1].is_beside(gap)]
            is_one = len(above) == 1 and is_linked[gap.lane - 1]
            is_one = is_one and sum(other.is_beside(above[0][-1]) for other in gaps) == 1
            grown.append([*above[0], gap] if is_one else [gap])
        continued = {id(group[-2]) for group in grown if len(group) > 1}
        yield from (group for group in running if id(group[-1]) not in continued)
        running = grown
    yield from running


def _likeliest_shift(group: Sequence[Gap], steps_per_s: float) -> float | None:
    """Steps by which all ways are found too long; None where nothing else is likelier."""
    candidates = [gap.excess_steps - count for gap in group for count in range(-1, _MOST_LOST + 1)]
    costs = [_cost(group, shift, steps_per_s) for shift in candidates]
    best = int(np.argmin(costs))
    shift, least = candidates[best], costs[best]
    others = [
        cost
        for other, cost in zip(candidates, costs, strict=True)
        if abs(other - shift) > _ANOTHER_WAY
    ]
    is_near = abs(shift) < _LEAST_MOVE_S * steps_per_s
    is_likeliest = least <= min(_cost(group, 0.0, steps_per_s), *others) - _LEAD
    # Two lanes do not tell which of them met with a mishap.
    can_tell = len(group) > 2 or least < _MISCOUNTED
    return shift if is_likeliest and can_tell and not is_near else None


def _cost(group: Sequence[Gap], shift: float, steps_per_s: float) -> float:
    """Of all that must have happened if the ways are shorter by this, as log-likelihood."""
    return sum(_mishap(gap.excess_steps - shift, gap.way_steps, steps_per_s) for gap in group)


def _mishap(excess: float, way: float, steps_per_s: float) -> float:
    """Of one lane, in steps; what it saw of the way, and how much more than expected."""
    sigma = float(np.hypot(_SIGMA_S * steps_per_s, _SPEED_SIGMA * way))
    counts = range(-_MOST_LOST, _MOST_LOST + 1)
    costs = [_MISCOUNTED * abs(n) + ((excess - n) / sigma) ** 2 / 2 for n in counts]
    # Where frames were lost and the stage stuck as well, the way seems longer by less than those.
    lost = max(ceil(excess), 0)
    if excess - lost > -_MOST_STUCK_S * steps_per_s and lost <= _MOST_LOST:
        costs.append(_STUCK + _MISCOUNTED * lost)
    return min(*costs, _UNEXPLAINED)
