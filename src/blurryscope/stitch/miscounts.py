"""Frames lost or held twice over glass, told by neighbouring lanes that disagree by whole steps.

A frame that the camera lost without a gap in the film's times makes the way of the stage a step
longer than it is expected to be, one that the film holds twice a step shorter. Over glass nothing
shows it but the lanes beside, which expect the way between the same cores as it is. Least squares
would share the step among all of them, and tear the core behind the gap. Two lanes cannot tell
which of them is wrong; three can.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, product

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.gaps import Gap, gaps_of
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.links import Links
from blurryscope.stitch.solve import Solution
from blurryscope.stitch.trajectory import Trajectory, lane_rows

_SURE_EXCESS = 0.2
"""Steps by which lanes must have been bent: else there is nothing to be put right."""
_WHOLE = 0.2
"""Steps by which what lanes disagree by may differ from a whole number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Miscounts:
    """What neighbouring lanes tell of frames over glass."""

    lost: Mapping[int, int]
    """How many frames were lost before which frame; negative where the film holds some twice."""
    is_open: bool
    """Whether the last lane and the one before disagree, and the next lane may tell who is right.
    """


def miscounts(
    solution: Solution,
    links: Links,
    along_px: NDArray[np.float64],
    step_px: float,
    fixed_count: int,
) -> Miscounts:
    """Find where the frames of a lane are not as many as the stage's way says.

    Parameters
    ----------
    solution
        Of some neighbouring lanes, the last one of which is the last that there is so far.
    along_px
        (n,) x that even motion would give each frame, up to a constant per lane.
    step_px
        The stage's way from one frame to the next.
    fixed_count
        Lanes before this one stay where they are; they have a say all the same.
    """
    gaps = list(gaps_of(solution, links, along_px, step_px))
    lost: dict[int, int] = {}
    is_open = False
    for number, (upper, lower) in enumerate(pairwise(gaps)):
        for above, below in product(upper, lower):
            if not _disagree(above, below):
                continue
            beside = chain(gaps[number - 1] if number else [], *gaps[number + 2 : number + 3])
            voters = [above, below, *(gap for gap in beside if gap.is_beside(above))]
            right = _majority(voters)
            if right is None:
                is_open |= number + 2 == len(gaps)
            elif abs(right) >= _SURE_EXCESS:
                lost |= {
                    gap.frame_behind: round(gap.excess_steps - right)
                    for gap in (above, below)
                    if gap.lane >= fixed_count and _apart(gap.excess_steps, right)
                }
    return Miscounts(lost=lost, is_open=is_open)


def lost_way_px(
    trajectory: Trajectory, lanes: Sequence[Lane], lost: Mapping[int, int], step_px: float
) -> NDArray[np.float64]:
    """What frames lost over glass add to the way of those behind them, (n,), along x.

    `lost` as in `Miscounts`; the trajectory may show only some of the lanes.
    """
    way_px = np.zeros(len(trajectory.frames))
    for rows in lane_rows(trajectory):
        frames, direction = trajectory.frames[rows], lanes[int(trajectory.lanes[rows[0]])].direction
        for frame, count in lost.items():
            if frames[0] < frame <= frames[-1]:
                way_px[rows[frames >= frame]] += direction * count * step_px
    return way_px


def _disagree(above: Gap, below: Gap) -> bool:
    return above.is_beside(below) and _apart(above.excess_steps, below.excess_steps) > 0


def _apart(one: float, other: float) -> int:
    """Whole steps between two excesses; 0 too where what is between them is no whole number."""
    apart = abs(one - other)
    return round(apart) if abs(apart - round(apart)) < _WHOLE else 0


def _majority(voters: Sequence[Gap]) -> float | None:
    """The excess that most lanes have; None where no two agree, or as many on each side."""
    support = [
        sum(abs(voter.excess_steps - other.excess_steps) < _WHOLE for other in voters)
        for voter in voters
    ]
    best = max(support)
    winners = [
        voter.excess_steps for voter, count in zip(voters, support, strict=True) if count == best
    ]
    if best < 2 or max(winners) - min(winners) >= _WHOLE:
        return None
    return float(np.mean(winners))
