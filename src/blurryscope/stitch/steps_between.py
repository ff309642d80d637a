"""Steps that no link holds, each between two that links hold: what those make of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LATE = 0.15
"""Part of a step that a stage which goes on evenly is not late by; frame times jitter by less."""
_REPEATED = 0.5
"""Of the usual time between frames: less is no step of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsBetween:
    """A stage that sticks or lets go changes its speed within a step, and keeps what it changed to.

    Where it does, two frames often show too little alike to be found again. What is not seen then
    lies between what is seen before and after, and is neither of the two.
    """

    which: NDArray[np.int64]
    """Of all steps, (k,)."""
    first: NDArray[np.int64]
    """Frame at which the step before each of them begins, (k,)."""
    ways_px: NDArray[np.float64]
    """(k, 3) by even motion: the step before, this one and the next."""
    sigmas_px: NDArray[np.float64]
    """(k,) of these steps by even motion."""

    @staticmethod
    def among(
        first: NDArray[np.int64],
        ways_px: NDArray[np.float64],
        sigmas_px: NDArray[np.float64],
        intervals: NDArray[np.float64],
        is_held: NDArray[np.bool_],
        in_ramp: NDArray[np.bool_],
    ) -> "StepsBetween":
        """Find them among all steps, (steps,), which begin at frames `first`.

        `intervals` says how many usual ones each lasts, `is_held` whether a link holds it.
        """
        is_fit = ~in_ramp & (intervals > _REPEATED)
        is_known, is_free = is_fit & is_held, is_fit & ~is_held
        follows = np.diff(first) == 1
        is_between = is_known[:-2] & is_free[1:-1] & is_known[2:] & follows[:-1] & follows[1:]
        which = np.flatnonzero(is_between) + 1
        return StepsBetween(
            which=which,
            first=first[which] - 1,
            ways_px=ways_px[which[:, None] + np.array([-1, 0, 1])],
            sigmas_px=sigmas_px[which],
        )

    def expected(
        self, positions_px: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The ways of these steps, and their standard deviations, (k,), where frames lie so.

        A step that is too long tells nothing: a frame was lost in it.
        """
        before_px = positions_px[self.first + 1] - positions_px[self.first]
        after_px = positions_px[self.first + 3] - positions_px[self.first + 2]
        seen_px = np.stack([before_px, after_px], axis=1)
        late = np.clip(1 - seen_px / self.ways_px[:, ::2], 0, 1)
        late[late < _LATE] = 0
        usual_px = self.ways_px[:, 1]
        ways_px = usual_px * (1 - late.mean(axis=1))
        # Anywhere between the two is as likely.
        apart_px = np.abs(usual_px * np.diff(late, axis=1)[:, 0])
        return ways_px, np.hypot(self.sigmas_px, apart_px / np.sqrt(12))
