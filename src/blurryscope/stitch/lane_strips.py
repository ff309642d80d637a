"""Lanes, and pieces of them, laid as strips of detail that can be compared."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.strips import Scoring, Strip, extent_of, lay_strip
from blurryscope.stitch.trajectory import Trajectory, is_at_full_speed, usual_interval_s

DetailOf = Callable[[int], Grey]
"""Gives the detail picture of a frame."""
RUN_STEPS = 4.0
"""How far a piece may lie along the lane from where it is thought to, in steps of the stage: that
is what two jerks over one stretch of glass come to."""
_LEAST_STEP_S = 1 / 30
"""The authors' camera, by whose films the numbers of steps were chosen."""
_STRIP_NOISE = 0.003
_CELL_PX = 24.0
"""Pixels of a strip that carry one independent value, about a blur length times a nucleus."""


@dataclass(frozen=True, slots=True)
class StripLayer:
    """Lays strips of a trajectory's frames."""

    trajectory: Trajectory
    detail_of: DetailOf
    reduction: int

    def strip(
        self, rows: NDArray[np.int64], between: tuple[float, float] = (-np.inf, np.inf)
    ) -> Strip:
        """Lay the frames in these rows of the trajectory; `between` as in `lay_strip`."""
        return lay_strip(
            [self.detail_of(int(frame)) for frame in self.trajectory.frames[rows]],
            self.trajectory.positions[rows] / self.reduction,
            self.trajectory.matrices[rows],
            between,
        )

    def reach_y(self, rows: NDArray[np.int64]) -> tuple[float, float]:
        """Lane coordinates y of the first and of the last row of `strip`, without laying it."""
        shape = self.detail_of(int(self.trajectory.frames[rows[0]])).shape
        first, last = extent_of(
            self.trajectory.positions[rows] / self.reduction,
            self.trajectory.matrices[rows],
            (shape[0], shape[1]),
        )
        return float(first[0]), float(last[0])

    def lane(self, number: int, between: tuple[float, float] = (-np.inf, np.inf)) -> Strip:
        """Lay the frames of a lane."""
        return self.strip(self.trajectory.rows_in(number), between)


def scoring(first: Strip) -> Scoring:
    """What counts when a strip is compared with the one below."""
    return scoring_of_rows(len(first.detail))


def scoring_of_rows(row_count: int) -> Scoring:
    """As `scoring`, of a strip that is so many rows high as a whole."""
    least_rows = max(row_count // 25, 3)
    return Scoring(noise_sigma=_STRIP_NOISE, cell_px=_CELL_PX, least_rows=least_rows)


def step_px_of(trajectory: Trajectory) -> float:
    """Of the stage at full speed, from frame to frame; in 1/30 s where frames come faster.

    What jerks and unknown rests move a lane by does not get less with more frames a second.
    """
    steps = np.abs(np.diff(trajectory.positions[:, 1]))
    # Ramps and rests may be half of short lanes; the median keeps clear of lost frames, and of the
    # ways from one lane to the next.
    step_px = float(np.median(steps[is_at_full_speed(steps)]))
    interval_s = usual_interval_s(trajectory.times_s)
    return step_px * max(_LEAST_STEP_S / interval_s, 1.0)
