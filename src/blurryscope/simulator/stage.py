"""The stage: a zigzag with ramps and rests, and everything a cheap stage does to it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """How the stage moves. The defaults are the paper's speed and rests on a faultless stage."""

    speed_um_per_s: float = 5000.0
    acceleration_um_per_s2: float = 100_000.0
    rest_s: float = 0.5
    """Before and after each step to the next lane."""
    step_jitter_um: float = 0.0
    """Deviation of each lane from its place across the lanes."""
    jerks_per_lane: float = 0.0
    """How often, on average, the stage sticks for a few frames."""
    jerk_depth: float = 0.6
    """Share of the speed that is lost at the worst jerk."""
    scale_error: float = 0.0
    """How much longer a step is than it should be: 0.001 is one part in a thousand."""
    screw_error_um: float = 0.0
    """Amplitude of the error that comes back with each turn of the lead screw."""
    screw_pitch_um: float = 2000.0
    backlash_um: float = 0.0
    """What is lost when the direction along the lanes turns round."""
    wander_um: float = 0.0
    """Slow drift, deviation each way."""
    vibration_um: float = 0.0
    vibration_hz: float = 87.0
    skew_deg: float = 0.0
    """How far lanes are off the slide's x axis; positive turns x towards y."""

    def __post_init__(self) -> None:
        for name in ("speed_um_per_s", "acceleration_um_per_s2", "screw_pitch_um"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.jerk_depth < 1:
            raise ValueError(f"jerk_depth must lie in 0..1, 1 excluded, got {self.jerk_depth}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Zigzag:
    """Where the stage is sent: lanes along x, alternately forth and back, stepping to greater y."""

    start_x_um: float
    start_y_um: float
    lane_length_um: float
    lane_pitch_um: float
    lane_count: int

    def __post_init__(self) -> None:
        if self.lane_length_um <= 0 or self.lane_pitch_um <= 0 or self.lane_count < 1:
            raise ValueError(
                "lane length, lane pitch and lane count must be positive, got "
                f"{self.lane_length_um}, {self.lane_pitch_um}, {self.lane_count}"
            )


class StagePath:
    """Where the optical axis really is on the slide, at any time: x and y in µm."""

    def __init__(self, zigzag: Zigzag, settings: StageSettings, rng: np.random.Generator) -> None:
        self.zigzag = zigzag
        self.settings = settings
        s = settings
        lane_s = travel_time_s(zigzag.lane_length_um, s)
        step_s = travel_time_s(zigzag.lane_pitch_um, s)
        self._period_s = s.rest_s + lane_s + s.rest_s + step_s
        self._lane_s, self._step_s = lane_s, step_s
        self._lane_y_um = zigzag.start_y_um + zigzag.lane_pitch_um * np.arange(zigzag.lane_count)
        self._lane_y_um += rng.normal(0.0, s.step_jitter_um, zigzag.lane_count)
        self._clock = _clock_with_jerks(self._period_s, lane_s, zigzag.lane_count, s, rng)
        self._screw_phase = rng.uniform(0, 2 * math.pi)
        self._drift = tuple(Drift(s.wander_um, self.duration_s, rng) for _ in range(2))
        self._shake_phase = rng.uniform(0, 2 * math.pi, 2)

    @property
    def duration_s(self) -> float:
        """From the first rest to the end of the rest after the last lane."""
        return float(self._clock[0][-1])

    def lane_at(self, time_s: Floats) -> NDArray[np.int64]:
        """The lane, counted from 0; -1 while the stage rests or steps."""
        lane, since_s = self._within(time_s)
        moving = (since_s > self.settings.rest_s) & (since_s < self.settings.rest_s + self._lane_s)
        return np.where(moving, lane, -1)

    def position_um(self, time_s: Floats) -> tuple[Floats, Floats]:
        """Give x and y at the times; before the start and after the end the stage stands."""
        s = self.settings
        lane, since_s = self._within(time_s)
        gone_um = _travelled_um(since_s - s.rest_s, self.zigzag.lane_length_um, s)
        # After a turn the stage stands still until the play is taken up: coming back it lies
        # `backlash_um` further than it was sent, going forth it lies where it was sent.
        play_um = s.backlash_um
        coming_back = self.zigzag.lane_length_um - np.maximum(gone_um - play_um, 0.0)
        going_forth = np.where(lane == 0, gone_um, np.maximum(gone_um, play_um))
        along_um = np.where(lane % 2 == 0, going_forth, coming_back)
        stepped = _travelled_um(since_s - 2 * s.rest_s - self._lane_s, self.zigzag.lane_pitch_um, s)
        share = stepped / self.zigzag.lane_pitch_um
        following = np.minimum(lane + 1, self.zigzag.lane_count - 1)
        across_um = self._lane_y_um[lane] * (1 - share) + self._lane_y_um[following] * share
        return self._as_it_is(np.asarray(time_s, np.float64), along_um, across_um)

    def _within(self, time_s: Floats) -> tuple[NDArray[np.int64], Floats]:
        """The period that a time falls in, and the time since it began, jerks taken out."""
        steady_s = np.interp(time_s, *self._clock)
        lane = np.minimum(steady_s // self._period_s, self.zigzag.lane_count - 1).astype(np.int64)
        return lane, steady_s - lane * self._period_s

    def _as_it_is(
        self, time_s: Floats, along_um: Floats, across_um: Floats
    ) -> tuple[Floats, Floats]:
        """Where the stage is when it is told to be `along_um` from the start and at `across_um`."""
        s = self.settings
        turn = 2 * math.pi * along_um / s.screw_pitch_um + self._screw_phase
        x_um = self.zigzag.start_x_um + along_um * (1 + s.scale_error)
        x_um = x_um + s.screw_error_um * np.sin(turn) + self._drift[0].at(time_s)
        y_um = across_um + math.tan(math.radians(s.skew_deg)) * along_um + self._drift[1].at(time_s)
        shake = 2 * math.pi * s.vibration_hz * time_s
        return (
            x_um + s.vibration_um * np.sin(shake + self._shake_phase[0]),
            y_um + s.vibration_um * np.sin(0.83 * shake + self._shake_phase[1]),
        )


def travel_time_s(distance_um: float, settings: StageSettings) -> float:
    """How long a move takes from rest to rest, ramps included."""
    speed, acceleration = settings.speed_um_per_s, settings.acceleration_um_per_s2
    if distance_um < speed**2 / acceleration:  # too short to reach the speed
        return 2 * math.sqrt(distance_um / acceleration)
    return distance_um / speed + speed / acceleration


def _travelled_um(since_s: Floats, distance_um: float, settings: StageSettings) -> Floats:
    """How far a move from rest to rest has come; 0 before it starts, all of it when it is over."""
    acceleration = settings.acceleration_um_per_s2
    total_s = travel_time_s(distance_um, settings)
    top_speed = min(settings.speed_um_per_s, math.sqrt(distance_um * acceleration))
    ramp_s = top_speed / acceleration
    clipped = np.clip(since_s, 0.0, total_s)
    up = np.minimum(clipped, ramp_s)
    cruise = np.clip(clipped - ramp_s, 0.0, total_s - 2 * ramp_s)
    down = np.clip(clipped - (total_s - ramp_s), 0.0, ramp_s)
    ramps_um = 0.5 * acceleration * (up**2 - down**2)
    return np.asarray(ramps_um + top_speed * (cruise + down))


def _clock_with_jerks(
    period_s: float,
    lane_s: float,
    lane_count: int,
    settings: StageSettings,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Knots (real time, time of a stage that never sticks): a jerk makes the second run slower."""
    total_s = lane_count * period_s
    real, steady = [0.0], [0.0]
    for lane in range(lane_count):
        starts = np.sort(rng.uniform(0.1, 0.85, rng.poisson(settings.jerks_per_lane))) * lane_s
        for start_s in starts + lane * period_s + settings.rest_s:
            if start_s <= steady[-1]:
                continue
            slowed = 1 - settings.jerk_depth * rng.uniform(0.5, 1.0)
            lasts_s = rng.uniform(0.06, 0.2)
            real.append(real[-1] + start_s - steady[-1])
            steady.append(start_s)
            real.append(real[-1] + lasts_s)
            steady.append(start_s + lasts_s * slowed)
    real.append(real[-1] + total_s - steady[-1])
    steady.append(total_s)
    return np.array(real), np.array(steady)


class Drift:
    """A slow wander: a sum of a few waves with periods of ten seconds to three minutes."""

    def __init__(self, deviation_um: float, duration_s: float, rng: np.random.Generator) -> None:
        periods_s = np.exp(rng.uniform(math.log(10.0), math.log(180.0), 5))
        phases = rng.uniform(0, 2 * math.pi, 5)
        self._knots_s = np.arange(0.0, duration_s + 0.2, 0.1)
        waves = np.sin(2 * math.pi * self._knots_s[:, None] / periods_s + phases)
        self._knots_um = deviation_um * math.sqrt(2 / 5) * waves.sum(axis=1)

    def at(self, time_s: Floats) -> Floats:
        return np.asarray(np.interp(time_s, self._knots_s, self._knots_um))
