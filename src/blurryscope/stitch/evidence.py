"""What pairs of frames show of the stage: that it goes along the lanes, either way, or does not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.motion import PairShift

_MOVES = 0.5
"""Correlation from which a pair tells of the axis."""
_LEAST_MOVES = 3
"""Pairs that tell of an axis."""
_NEAR_AXIS_DEG = 10.0
"""To either side of the likeliest axis: pairs that tell where it is."""
_SURE = 0.45
"""Correlation from which a pair votes."""
_STRAIGHT, _STRAIGHT_STEPS = 0.03, 0.2
"""Part of its way, and of the least step, by which a pair on a lane may move across it: stages keep
to their axis to a hundredth, hands do not."""
_ACROSS = 0.4
"""Part of its way across the lanes by which a pair may move along them and still step across."""
_STANDS, _STANDS_STEPS = 0.8, 0.5
"""Correlation without a shift, and part of the least step, of frames that show the same."""
_WEAK, _AROUND = 0.6, 3
"""Correlation up to which noise over glass comes, and pairs on either side of which another tells
the same where tissue is seen: it takes several to cross the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What each pair of consecutive frames says of the stage; weights 0 to 1, each (pairs,)."""

    forward: NDArray[np.float64]
    backward: NDArray[np.float64]
    still: NDArray[np.float64]
    """Still, or moving across the lanes."""

    def only(self, kept: NDArray[np.int64]) -> "Evidence":
        """Of the pairs of these numbers."""
        return Evidence(
            forward=self.forward[kept], backward=self.backward[kept], still=self.still[kept]
        )


def scan_axis(shifts: Sequence[PairShift], least_step_px: float) -> NDArray[np.float64] | None:
    """Find the line along which most pairs move: unit vector (row, col), sign arbitrary.

    None when too few pairs move at all.
    """
    moves = np.array(
        [
            (s.row_px, s.col_px)
            for s in shifts
            if s.correlation > _MOVES and np.hypot(s.row_px, s.col_px) >= least_step_px
        ]
    ).reshape(-1, 2)
    if len(moves) < _LEAST_MOVES:
        return None
    # Doubling the angle makes opposite directions agree; the median ignores steps across.
    doubled = (moves[:, 1] + 1j * moves[:, 0]) ** 2
    doubled /= np.abs(doubled)
    spread = [np.abs(np.angle(doubled / candidate)).mean() for candidate in doubled]
    first = doubled[int(np.argmin(spread))]
    off = np.angle(doubled / first)
    # The median again: a stage that was moved by hand before may have gone about that way too.
    angle = (np.angle(first) + np.median(off[np.abs(off) < np.deg2rad(2 * _NEAR_AXIS_DEG)])) / 2
    return np.array([np.sin(angle), np.cos(angle)])


def evidence_of(
    shifts: Sequence[PairShift], axis: NDArray[np.float64], least_step_px: float
) -> Evidence:
    """Sort the shifts of all pairs into forward, backward and still; the rest says nothing."""
    moved = np.array([(s.row_px, s.col_px) for s in shifts]).reshape(-1, 2)
    trust = np.array([s.correlation for s in shifts])
    stillness = np.array([s.stillness for s in shifts])
    along = moved @ axis
    across = moved @ np.array([-axis[1], axis[0]])
    is_sure = trust > _SURE
    straight_px = np.maximum(_STRAIGHT * np.abs(along), _STRAIGHT_STEPS * least_step_px)
    is_along = is_sure & (np.abs(along) > least_step_px) & (np.abs(across) < straight_px)
    is_across = (
        is_sure & (np.abs(across) > least_step_px) & (np.abs(along) < _ACROSS * np.abs(across))
    )
    is_still = (stillness > _STANDS) & (np.hypot(along, across) < _STANDS_STEPS * least_step_px)
    # The stage moves against the content.
    return Evidence(
        forward=_without_chance(np.where(is_along & (along < 0), trust, 0.0)),
        backward=_without_chance(np.where(is_along & (along > 0), trust, 0.0)),
        still=_without_chance(np.where(is_still, stillness, np.where(is_across, trust, 0.0))),
    )


def _without_chance(votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out weak votes, (pairs,), that none of the pairs around shares."""
    is_vote = votes > 0
    around = np.convolve(is_vote, np.ones(2 * _AROUND + 1), "same")
    return np.where(is_vote & (around < 2) & (votes < _WEAK), 0.0, votes)
