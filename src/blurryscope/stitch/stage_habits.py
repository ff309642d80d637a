"""What a stage does at its turns, as far as it is known: how fast it goes, how long it rests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


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

    def linked_speed_px_per_s(self, lane: int) -> float:
        """Of one lane, as exact links tell it; NaN where they do not."""
        known = self.linked_speeds_px_per_s
        return known[lane] if lane < len(known) else np.nan

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
