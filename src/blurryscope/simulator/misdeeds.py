"""What a stage must never do, looked for in the way that the simulated carriage really went."""

import numpy as np

from blurryscope.devices.contracts import StagePoint
from blurryscope.simulator.machine import Machine

_RAMP_S = 0.1
"""From 10 mm/s to rest with the slowest axis' acceleration, and as much again."""
_ROUNDED_UM = 0.5
"""Less than a step."""


class MisdeedsWatch:
    """Judges a machine from the last look to this one."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._moves_seen = 0
        self._parts_seen_s = -np.inf

    def true_position(self, now_s: float) -> StagePoint:
        """Where the carriage really is, as a controller counts that has lost no step."""
        with self._machine.lock:
            place = self._machine.path.position_at(now_s) + self._machine.settings.homed_um
        x_um, y_um, z_um = place.tolist()
        return StagePoint(x_um=x_um, y_um=y_um, z_um=z_um)

    def is_moving(self, now_s: float) -> bool:
        """Whether the carriage goes just now."""
        return self._machine.path.speed_at(now_s) > 0

    def misdeeds(self, now_s: float) -> list[str]:
        """What it did and must not, in words; ask when the watchdog's time is over, too."""
        machine = self._machine
        with machine.lock:
            machine.advance(now_s)
            moves = machine.ordered[self._moves_seen :]
            self._moves_seen = len(machine.ordered)
            parts = [p for p in machine.path.stretches() if p.end_s > self._parts_seen_s]
            self._parts_seen_s = now_s
            silent_s = machine.path.end_s - machine.heard_s
            is_moving = machine.path.speed_at(now_s) > 0
        problems = []
        patience_s = machine.settings.watchdog_s
        if patience_s is not None and (silent_s > patience_s + _RAMP_S or is_moving):
            problems.append(f"it moved for {silent_s:.2f} s after the host's last word")
        if any(not move.is_homing and not move.is_homed for move in moves):
            problems.append("it moved without being homed")
        ends = np.array([part.position_at(np.inf) for part in parts]).reshape(-1, 3)
        room, travel = machine.settings.pull_off_um, np.array(machine.settings.travel_um)
        low = np.where(machine.settings.homes_low, -room, -travel) - _ROUNDED_UM
        high = np.where(machine.settings.homes_low, travel, room) + _ROUNDED_UM
        if (ends < low).any() or (ends > high).any():
            problems.append(f"it left its limits: {ends.min(axis=0)}, {ends.max(axis=0)} µm")
        return problems
