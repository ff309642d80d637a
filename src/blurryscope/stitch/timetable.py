"""When each lane began and ended, and how far the stage had gone on it by any time between."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """Start and end of each lane, at rest on both sides; arrays are (lanes,)."""

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
    is_timed: NDArray[np.bool_]
    """Whether turns or ramps that were seen tell a lane's times; the others set off when the stage
    told, or share what is left."""
    told_s: NDArray[np.float64]
    """When the stage told that it set off on a lane; NaN where it did not."""

    def travelled_px(self, lane: int, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Way since the start of the lane, by a trapezoid of speed.

        A lane whose times nothing seen tells goes the whole width in them.
        """
        lasted = self.end_s[lane] - self.start_s[lane]
        ramp_s = min(self.ramp_s, lasted / 2)
        since = np.clip(times_s - self.start_s[lane], 0, lasted)
        left = lasted - since
        gained = np.minimum(since, ramp_s) ** 2 / (2 * ramp_s)
        lost = np.minimum(left, ramp_s) ** 2 / (2 * ramp_s)
        cruise = np.clip(since, ramp_s, lasted - ramp_s) - ramp_s
        way_s = np.asarray(gained + cruise + (ramp_s / 2 - lost), np.float64)
        if self.is_timed[lane]:
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
            is_timed=with_those_before("is_timed"),
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
