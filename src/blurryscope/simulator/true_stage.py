"""Where the slide really is: what screws, play and inertia make of the way of the carriage."""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from blurryscope.simulator.carriage import Stretch
from blurryscope.simulator.stage import Drift, Floats, StageSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Inertia:
    """The carriage hangs on its screw like a weight on a stiff spring, and rings after a ramp."""

    resonance_hz: float = 40.0
    damping: float = 0.15
    """1 would not ring at all."""

    def __post_init__(self) -> None:
        if self.resonance_hz <= 0 or not 0 < self.damping < 1:
            raise ValueError("resonance_hz must be positive and damping lie in 0..1, both excluded")

    def lag_um(self, jumps_s: Floats, jumps: Floats, time_s: Floats) -> Floats:
        """How far the carriage is behind its screw, (..., axis).

        Parameters
        ----------
        jumps_s
            When the acceleration changes, (jump,).
        jumps
            By how much, µm/s², (jump, axis).
        time_s
            When to look, any shape.
        """
        turns = 2 * math.pi * self.resonance_hz
        bare = math.sqrt(1 - self.damping**2)
        since_s = np.maximum(time_s[..., None] - jumps_s, 0.0)
        phase = turns * bare * since_s
        ring = np.cos(phase) + self.damping / bare * np.sin(phase)
        response = 1 - np.exp(-self.damping * turns * since_s) * ring
        return np.asarray(response @ jumps / turns**2)

    @property
    def memory_s(self) -> float:
        """After this long a jump rings by less than a thousandth."""
        return 7.0 / (self.damping * 2 * math.pi * self.resonance_hz)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostWay:
    """For a time the carriage stands along one axis, whatever the controller counts.

    A motor without power, a screw that came loose: lost until the stage is mended and homed. A
    short time makes a slip: a coupling that did not grip, steps that a motor missed.
    """

    axis: int
    """0 is x, 1 is y."""
    from_s: float
    until_s: float = math.inf


class Way(Protocol):
    """Where motors put a carriage, such as a `CarriagePath`."""

    def stretches(self) -> tuple[Stretch, ...]:
        """All of it in order of time; where that is not known nothing rings and no play shows."""
        ...

    def positions_um(self, time_s: Floats) -> Floats:
        """Positions at many times, (..., xyz)."""
        ...


class TrueStage:
    """Where the optical axis is on the slide; for the camera of the simulator.

    Parameters
    ----------
    path
        The way of the carriage, as ordered.
    settings
        What the stage makes of it; speed, ramps, rests and jerks are the controller's affair here.
    slide_corner_um
        Where the carriage stands when the optical axis is over the corner of the slide, (x, y).
    """

    def __init__(
        self,
        path: Way,
        settings: StageSettings,
        rng: np.random.Generator,
        *,
        slide_corner_um: tuple[float, float] = (0.0, 0.0),
        inertia: Inertia | None = None,
        duration_s: float = 3600.0,
    ) -> None:
        self.duration_s = duration_s
        self._path = path
        self._settings = settings
        self.corner_um = slide_corner_um
        """As given; another one is a slide that somebody pushed."""
        self._inertia = inertia or Inertia()
        self._screw_phase = rng.uniform(0, 2 * math.pi)
        self._drift = tuple(Drift(settings.wander_um, duration_s, rng) for _ in range(2))
        self._shake_phase = rng.uniform(0, 2 * math.pi, 2)
        self._lain: tuple[tuple[Stretch, ...], Floats, Floats] | None = None
        """The way looked at last, and what `_lain_um` gives of it."""
        self.lost: list[LostWay] = []
        """What its mechanics do wrong; take it out again where the stage was mended and homed."""

    def position_um(self, time_s: Floats) -> tuple[Floats, Floats]:
        """Give x and y on the slide at the times."""
        s = self._settings
        times = np.asarray(time_s, np.float64)
        carried = self._carried_um(times)
        followed = carried.copy()
        for lost in self.lost:
            ends_um = self._carried_um(np.clip(times, lost.from_s, max(lost.until_s, lost.from_s)))
            from_um = self._carried_um(np.array(lost.from_s))[lost.axis]
            followed[..., lost.axis] -= ends_um[..., lost.axis] - from_um
        along_um = followed[..., 0] - self.corner_um[0]
        across_um = followed[..., 1] - self.corner_um[1]
        turn = 2 * math.pi * along_um / s.screw_pitch_um + self._screw_phase
        x_um = along_um * (1 + s.scale_error) + s.screw_error_um * np.sin(turn)
        y_um = across_um + math.tan(math.radians(s.skew_deg)) * along_um
        shake = 2 * math.pi * s.vibration_hz * times
        return (
            x_um + self._drift[0].at(times) + s.vibration_um * np.sin(shake + self._shake_phase[0]),
            y_um
            + self._drift[1].at(times)
            + s.vibration_um * np.sin(0.83 * shake + self._shake_phase[1]),
        )

    def _carried_um(self, times: Floats) -> Floats:
        """Where the carriage is when it follows its screws, (..., xy)."""
        parts = self._path.stretches()
        carried = self._path.positions_um(times)[..., :2] - self._lag_um(parts, times)
        carried[..., 0] = self._with_play(parts, times, carried[..., 0])
        return carried

    def _lag_um(self, parts: tuple[Stretch, ...], times: Floats) -> Floats:
        """How far inertia keeps it behind, (..., xy); only jumps that still ring are looked at."""
        earliest_s = float(times.min()) - self._inertia.memory_s
        latest_s = float(times.max())
        first = bisect_left(parts, earliest_s, key=lambda part: part.end_s)
        recent = parts[first : bisect_right(parts, latest_s, key=lambda part: part.start_s)]
        if not recent:
            return np.zeros((*times.shape, 2))
        begins = np.array([part.start_s for part in recent])
        ends = np.array([part.end_s for part in recent])
        pull = np.array([part.direction[:2] * part.acceleration_um_per_s2 for part in recent])
        return self._inertia.lag_um(
            np.concatenate((begins, ends)), np.concatenate((pull, -pull)), times
        )

    def _with_play(self, parts: tuple[Stretch, ...], times: Floats, x_um: Floats) -> Floats:
        """Where the slide is along x when the screw is at `x_um`, in its gap of `backlash_um`.

        Going forth the screw pushes; coming back it first crosses the gap.
        """
        gap_um = self._settings.backlash_um
        if not gap_um or not parts:
            return x_um
        kept = self._lain
        if kept is None or kept[0] is not parts:
            kept = self._lain = (parts, *_lain_um(parts, gap_um))
        _, begins_s, lies_um = kept
        number = np.maximum(np.searchsorted(begins_s, times, side="right") - 1, 0)
        return np.asarray(np.clip(lies_um[number], x_um, x_um + gap_um))


def _lain_um(parts: tuple[Stretch, ...], gap_um: float) -> tuple[Floats, Floats]:
    """When each stretch begins, and where the slide lies along x before it."""
    lies_um = [float(parts[0].origin_um[0])]
    for part in parts[:-1]:
        end_um = float(part.position_at(math.inf)[0])
        lies_um.append(min(max(lies_um[-1], end_um), end_um + gap_um))
    return np.array([part.start_s for part in parts]), np.array(lies_um)
