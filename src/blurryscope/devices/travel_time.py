"""How long a straight move takes when each axis has a speed and an acceleration of its own."""

import math
from dataclasses import dataclass

from blurryscope.devices.contracts import StagePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisPaces:
    """What x, y and z may do at most."""

    speed_um_per_s: tuple[float, float, float]
    acceleration_um_per_s2: tuple[float, float, float]

    def __post_init__(self) -> None:
        if min(*self.speed_um_per_s, *self.acceleration_um_per_s2) <= 0:
            raise ValueError(f"speeds and accelerations must be positive, got {self}")

    def lasts_s(
        self, start: StagePoint, target: StagePoint, speed_um_per_s: float | None = None
    ) -> float:
        """From rest to rest along a straight line, which the slowest of its axes paces."""
        way_um = (target.x_um - start.x_um, target.y_um - start.y_um, target.z_um - start.z_um)
        length_um = math.hypot(*way_um)
        if length_um == 0:
            return 0.0
        speed = self._along(self.speed_um_per_s, way_um, length_um)
        speed = min(speed, speed_um_per_s or math.inf)
        acceleration = self._along(self.acceleration_um_per_s2, way_um, length_um)
        if length_um < speed**2 / acceleration:  # it never comes to its speed
            return 2 * math.sqrt(length_um / acceleration)
        return length_um / speed + speed / acceleration

    @staticmethod
    def _along(
        most: tuple[float, float, float], way_um: tuple[float, float, float], length_um: float
    ) -> float:
        parts = zip(most, way_um, strict=True)
        return min(limit * length_um / abs(part) for limit, part in parts if part)
