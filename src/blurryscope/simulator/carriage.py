"""The way of the carriage: straight moves with ramps, exact at any time, past ones included."""

import math
import threading
from bisect import bisect_right
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from blurryscope.simulator.stage import Floats

Vector = NDArray[np.float64]
"""x, y, z in µm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A piece of the way with one acceleration."""

    start_s: float
    lasts_s: float
    origin_um: Vector
    direction: Vector
    """Of length 1."""
    speed_um_per_s: float
    """At its start, along `direction`."""
    acceleration_um_per_s2: float

    @property
    def end_s(self) -> float:
        return self.start_s + self.lasts_s

    def speed_at(self, time_s: float) -> float:
        gone_s = min(max(time_s - self.start_s, 0.0), self.lasts_s)
        return self.speed_um_per_s + self.acceleration_um_per_s2 * gone_s

    def position_at(self, time_s: float) -> Vector:
        gone_s = min(max(time_s - self.start_s, 0.0), self.lasts_s)
        gone_um = (self.speed_um_per_s + self.acceleration_um_per_s2 * gone_s / 2) * gone_s
        return self.origin_um + self.direction * gone_um

    def cut_at(self, time_s: float) -> "Stretch":
        """The part of it before `time_s`."""
        return Stretch(
            start_s=self.start_s,
            lasts_s=min(max(time_s - self.start_s, 0.0), self.lasts_s),
            origin_um=self.origin_um,
            direction=self.direction,
            speed_um_per_s=self.speed_um_per_s,
            acceleration_um_per_s2=self.acceleration_um_per_s2,
        )


@dataclass(frozen=True, slots=True)
class _Columns:
    """The same facts of many stretches, to be looked up by number."""

    starts_s: Floats
    lasts_s: Floats
    origins_um: Floats
    """(stretch, xyz), as `directions`."""
    directions: Floats
    speeds_um_per_s: Floats
    accelerations_um_per_s2: Floats

    @classmethod
    def of(cls, parts: tuple[Stretch, ...]) -> Self:
        return cls(
            np.array([part.start_s for part in parts]),
            np.array([part.lasts_s for part in parts]),
            np.array([part.origin_um for part in parts]),
            np.array([part.direction for part in parts]),
            np.array([part.speed_um_per_s for part in parts]),
            np.array([part.acceleration_um_per_s2 for part in parts]),
        )


class CarriagePath:
    """Where the motors put the carriage, from switch-on to the end of what was ordered.

    Positions are the carriage's own, in µm from its switches; what a controller believes is
    its own affair. Safe to read from other threads while it grows.
    """

    def __init__(self, start: Vector) -> None:
        self._start = np.asarray(start, np.float64)
        self._stretches: list[Stretch] = []
        self._told: tuple[Stretch, ...] | None = ()
        """What `stretches` gives; None when it changed since it was asked."""
        self._columns: tuple[tuple[Stretch, ...], _Columns] | None = None
        """Those of the stretches looked at last: cameras ask often, stages are ordered seldom."""
        self._lock = threading.Lock()

    @property
    def end_s(self) -> float:
        """When all that was ordered will be over."""
        with self._lock:
            return self._stretches[-1].end_s if self._stretches else 0.0

    def stretches(self) -> tuple[Stretch, ...]:
        """All of the way that was ordered, in order of time; between two of them it stands.

        The same tuple until something else is ordered.
        """
        with self._lock:
            if self._told is None:
                self._told = tuple(self._stretches)
            return self._told

    def position_at(self, time_s: float) -> Vector:
        stretch = self._stretch_at(time_s)
        return self._start.copy() if stretch is None else stretch.position_at(time_s)

    def speed_at(self, time_s: float) -> float:
        """How fast it goes, in µm/s; 0 when it stands."""
        stretch = self._stretch_at(time_s)
        is_moving = stretch is not None and time_s < stretch.end_s
        return stretch.speed_at(time_s) if is_moving and stretch is not None else 0.0

    def positions_um(self, time_s: Floats) -> Floats:
        """Positions at many times, (..., xyz)."""
        parts = self.stretches()
        times = np.asarray(time_s, np.float64)
        if not parts:
            return np.broadcast_to(self._start, (*times.shape, 3)).copy()
        of = self._columns_of(parts)
        number = np.searchsorted(of.starts_s, times, side="right") - 1
        known = np.maximum(number, 0)
        gone_s = np.clip(times - of.starts_s[known], 0.0, of.lasts_s[known])
        speed, acceleration = of.speeds_um_per_s[known], of.accelerations_um_per_s2[known]
        gone_um = (speed + acceleration * gone_s / 2) * gone_s
        return np.asarray(of.origins_um[known] + of.directions[known] * gone_um[..., None])

    def _columns_of(self, parts: tuple[Stretch, ...]) -> _Columns:
        kept = self._columns
        if kept is None or kept[0] is not parts:
            kept = self._columns = (parts, _Columns.of(parts))
        return kept[1]

    def move(
        self, from_s: float, target: Vector, speed_um_per_s: float, acceleration_um_per_s2: float
    ) -> float:
        """Order a move from rest to rest after all others; gives when it will be over."""
        start_s = max(from_s, self.end_s)
        origin = self.position_at(start_s)
        way = np.asarray(target, np.float64) - origin
        length_um = float(np.linalg.norm(way))
        if length_um < 1e-9:
            return start_s
        direction = way / length_um
        top = min(speed_um_per_s, math.sqrt(length_um * acceleration_um_per_s2))
        ramp_s = top / acceleration_um_per_s2
        cruise_s = max(length_um / top - ramp_s, 0.0)
        pieces = ((ramp_s, 0.0, 1.0), (cruise_s, top, 0.0), (ramp_s, top, -1.0))
        with self._lock:
            for lasts_s, speed, sign in pieces:
                self._append(
                    start_s, lasts_s, origin, direction, speed, sign * acceleration_um_per_s2
                )
                origin = self._stretches[-1].position_at(math.inf)
                start_s += lasts_s
        return start_s

    def brake(self, at_s: float, acceleration_um_per_s2: float) -> float:
        """Forget what was ordered after `at_s` and slow down; gives when it stands."""
        stretch = self._stretch_at(at_s)
        with self._lock:
            self._cut(at_s)
            if stretch is None or at_s >= stretch.end_s:
                return at_s
            speed = stretch.speed_at(at_s)
            lasts_s = speed / acceleration_um_per_s2
            origin = stretch.position_at(at_s)
            self._append(at_s, lasts_s, origin, stretch.direction, speed, -acceleration_um_per_s2)
            return at_s + lasts_s

    def displace(self, at_s: float, by_um: Vector) -> None:
        """Push it at once, while it stands."""
        origin = self.position_at(at_s) + by_um
        with self._lock:
            self._append(at_s, 0.0, origin, np.array([1.0, 0.0, 0.0]), 0.0, 0.0)

    def halt(self, at_s: float) -> None:
        """Stand at once, as when the motors lose their current or run into a stop."""
        with self._lock:
            self._cut(at_s)

    def _append(
        self,
        start_s: float,
        lasts_s: float,
        origin: Vector,
        direction: Vector,
        speed: float,
        acceleration: float,
    ) -> None:
        self._told = None
        self._stretches.append(
            Stretch(
                start_s=start_s,
                lasts_s=lasts_s,
                origin_um=origin,
                direction=direction,
                speed_um_per_s=speed,
                acceleration_um_per_s2=acceleration,
            )
        )

    def _cut(self, at_s: float) -> None:
        self._told = None
        while self._stretches and self._stretches[-1].start_s >= at_s:
            self._stretches.pop()
        if self._stretches:
            self._stretches[-1] = self._stretches[-1].cut_at(at_s)

    def _stretch_at(self, time_s: float) -> Stretch | None:
        with self._lock:
            number = bisect_right(self._stretches, time_s, key=lambda part: part.start_s) - 1
            return self._stretches[number] if number >= 0 else None
