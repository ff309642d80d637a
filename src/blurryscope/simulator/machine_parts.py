"""What a simulated machine is made of, what it can be doing, and what it can be told to do."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from blurryscope.simulator.carriage import Vector

AXES = "XYZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSettings:
    """The mechanics, and what the controller is set to; x, y, z each. Speeds in µm/s."""

    travel_um: tuple[float, float, float] = (76_000.0, 26_000.0, 10_000.0)
    homes_low: tuple[bool, bool, bool] = (True, True, False)
    """Spans 0 to +travel with the switch below 0; otherwise -travel to 0, the switch above."""
    steps_per_mm: float = 1600.0
    speed_um_per_s: tuple[float, float, float] = (10_000.0, 10_000.0, 2_000.0)
    acceleration_um_per_s2: tuple[float, float, float] = (100_000.0, 100_000.0, 50_000.0)
    pull_off_um: float = 1_000.0
    seek_um_per_s: float = 4_000.0
    touch_um_per_s: float = 500.0
    watchdog_s: float | None = 5.0
    """None: the controller waits for ever, as GRBL and Marlin do."""
    counts_below_zero: bool = False
    """As plain GRBL: all axes span -travel to 0, and 0 is the high switch or the low end's rail."""
    start_um: tuple[float, float, float] = (20_000.0, 9_000.0, -4_000.0)
    """Where the carriage happens to stand at power-on."""

    @property
    def lowest_um(self) -> Vector:
        is_up = [low and not self.counts_below_zero for low in self.homes_low]
        return np.array([0.0 if up else -t for t, up in zip(self.travel_um, is_up, strict=True)])

    @property
    def highest_um(self) -> Vector:
        return np.asarray(self.lowest_um + np.array(self.travel_um))

    @property
    def homed_um(self) -> Vector:
        """Where the controller says to be after homing, one pull-off away from each switch."""
        if not self.counts_below_zero:
            return np.zeros(3)
        return np.array(
            [
                -travel + self.pull_off_um if low else -self.pull_off_um
                for travel, low in zip(self.travel_um, self.homes_low, strict=True)
            ]
        )

    def to_steps_um(self, target: Vector) -> Vector:
        """The place of whole steps next to `target`, halves away from zero."""
        steps = target * self.steps_per_mm / 1000
        whole = np.sign(steps) * np.floor(np.abs(steps) + 0.5)
        return np.asarray(whole * 1000 / self.steps_per_mm)


class MachineState(StrEnum):
    """As GRBL names them."""

    IDLE = "Idle"
    RUN = "Run"
    HOMING = "Home"
    SLOWING = "Hold:1"
    HELD = "Hold:0"
    BARKED = "Hold:2"
    """Stopped by the watchdog."""
    ALARM = "Alarm"


@dataclass(slots=True)
class Job:
    """Something to do after what is before it; exactly one kind of thing."""

    done: Callable[[], None] | None = None
    """Called when it is finished, not when it is dropped."""
    target: Vector | None = None
    """Where to go, in the controller's own positions."""
    speed_um_per_s: float = math.inf
    dwell_s: float = 0.0
    lamp: int | None = None
    """0 to 1000, set when its turn comes."""
    dark: bool = False
    """The lamp is dark while it dwells."""
    end_s: float = field(default=math.inf, init=False)
