"""The zigzag as data: where the stage goes, at what speed, and where it rests."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from blurryscope.devices.contracts import StagePoint
from blurryscope.scan.focus import LEVEL, FocusPlane

OVER_TRAVEL_MARGIN_UM = 100.0
"""Beyond ramp and backlash: what a controller's corner of acceleration may cost."""
TALK_S = 0.25
"""Between two lanes: to hear that the stage rests, twice, and to send it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A rectangle of the stage, µm: `left` and `top` are its least x and y."""

    left_um: float
    top_um: float
    width_um: float
    height_um: float

    def __post_init__(self) -> None:
        if not (0 < self.width_um < math.inf and 0 < self.height_um < math.inf):
            raise ValueError(
                f"width_um and height_um must be positive, got {self.width_um}, {self.height_um}"
            )

    @property
    def right_um(self) -> float:
        return self.left_um + self.width_um

    @property
    def bottom_um(self) -> float:
        return self.top_um + self.height_um

    @property
    def mm2(self) -> float:
        """Its size, mm²."""
        return self.width_um * self.height_um / 1e6

    def within(self, other: "Area") -> "Area":
        """The part of it that lies in `other`; they must have some in common."""
        left_um, top_um = max(self.left_um, other.left_um), max(self.top_um, other.top_um)
        return Area(
            left_um=left_um,
            top_um=top_um,
            width_um=min(self.right_um, other.right_um) - left_um,
            height_um=min(self.bottom_um, other.bottom_um) - top_um,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOfView:
    """What the camera sees and when. Measured by calibration; `is_measured` says whether it was."""

    pixel_size_um: float
    rows: int = 480
    columns: int = 640
    turn_deg: float = 0.0
    """Angle of the camera against the lanes: near 90, its short side lies along them."""
    frame_rate_hz: float = 30.0
    exposure_s: float = 0.0078
    readout_ratio: float = 0.0
    """Share by which the rolling shutter stretches lanes of one direction; its sign is theirs."""
    is_measured: bool = False

    def __post_init__(self) -> None:
        for name in ("pixel_size_um", "rows", "columns", "frame_rate_hz", "exposure_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not -1 < self.readout_ratio < 1:
            raise ValueError(f"readout_ratio must lie between -1 and 1, got {self.readout_ratio}")

    @property
    def is_portrait(self) -> bool:
        """Whether the short side of the frame lies along the lanes."""
        return round(self.turn_deg / 90.0) % 2 == 1

    @property
    def along_um(self) -> float:
        """How much of a lane one frame sees."""
        return (self.rows if self.is_portrait else self.columns) * self.pixel_size_um

    @property
    def across_um(self) -> float:
        """How wide the strip of a lane is, the few degrees of the camera taken off."""
        off = math.radians(self.turn_deg - 90.0 * round(self.turn_deg / 90.0))
        side = self.columns if self.is_portrait else self.rows
        return side * self.pixel_size_um * math.cos(off)


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """How the stage is to move. The defaults are the paper's speed and rests."""

    speed_um_per_s: float = 5000.0
    acceleration_um_per_s2: float = 100_000.0
    rest_s: float = 0.5
    """At both ends of a lane. The stitcher finds the lanes by these rests."""

    def __post_init__(self) -> None:
        for name in ("speed_um_per_s", "acceleration_um_per_s2"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.rest_s < math.inf:
            raise ValueError(f"rest_s must not be negative, got {self.rest_s}")

    @property
    def ramp_um(self) -> float:
        """How far the stage goes until it has its speed."""
        return self.speed_um_per_s**2 / (2 * self.acceleration_um_per_s2)

    def travel_s(self, distance_um: float) -> float:
        """How long a move takes from rest to rest."""
        if distance_um < 2 * self.ramp_um:  # too short to reach the speed
            return 2 * math.sqrt(distance_um / self.acceleration_um_per_s2)
        return distance_um / self.speed_um_per_s + self.speed_um_per_s / self.acceleration_um_per_s2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One straight pass, from rest to rest; at full speed from `cruise_from` to `cruise_to`."""

    index: int
    start: StagePoint
    end: StagePoint
    cruise_from_um: float
    cruise_to_um: float

    @property
    def is_forward(self) -> bool:
        """Whether it runs towards greater x."""
        return self.end.x_um > self.start.x_um

    @property
    def length_um(self) -> float:
        """Along x; what z moves meanwhile is a few µm."""
        return abs(self.end.x_um - self.start.x_um)


class Phase(StrEnum):
    """What the stage does during a part of the scan."""

    REST = "rest"
    LANE = "lane"
    STEP = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of the scan and when it is due, seconds from its start."""

    phase: Phase
    lane: int
    """The lane it belongs to; a step belongs to the lane that it leads to."""
    start_s: float
    lasts_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanPlan:
    """A zigzag over `area`; lanes run along x, every other one backwards, and step to greater y.

    Give `overlap_fraction`, from which the pitch follows so that the lanes fill the area, or
    `pitch_um`, which is then kept.
    """

    area: Area
    field: FieldOfView
    motion: Motion = Motion()
    overlap_fraction: float = 0.2
    """Share of the field across that neighbouring lanes have in common, at least."""
    pitch_um: float | None = None
    backlash_um: float = 0.0
    focus: FocusPlane = LEVEL

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_fraction < 1:
            raise ValueError(
                f"overlap_fraction must lie in 0..1, 1 excluded, got {self.overlap_fraction}"
            )
        if self.pitch_um is not None and not 0 < self.pitch_um < math.inf:
            raise ValueError(f"pitch_um must be positive, got {self.pitch_um}")

    @property
    def lane_count(self) -> int:
        most_um = self.pitch_um or self.field.across_um * (1 - self.overlap_fraction)
        uncovered_um = self.area.height_um - self.field.across_um
        return max(math.ceil(round(uncovered_um / most_um, 6)), 0) + 1

    @property
    def lane_pitch_um(self) -> float:
        """From lane to lane; never more than was asked for."""
        if self.pitch_um is not None:
            return self.pitch_um
        if self.lane_count == 1:
            return self.field.across_um * (1 - self.overlap_fraction)
        return (self.area.height_um - self.field.across_um) / (self.lane_count - 1)

    @property
    def over_travel_um(self) -> float:
        """Beyond the part at full speed, at each end: the ramp, the backlash, and a margin."""
        return self.motion.ramp_um + self.backlash_um + OVER_TRAVEL_MARGIN_UM

    @property
    def stand_s(self) -> float:
        """How long the stage is not on a lane between two of them: rest, step, rest, and talk."""
        return 2 * self.motion.rest_s + self.motion.travel_s(self.lane_pitch_um) + TALK_S

    def lanes(self) -> Iterator[Lane]:
        """All lanes in the order in which they are scanned."""
        half_um = min(self.field.along_um, self.area.width_um) / 2
        left_um, right_um = self.area.left_um + half_um, self.area.right_um - half_um
        first_y_um = self.area.top_um + min(self.field.across_um, self.area.height_um) / 2
        beyond_um = self.over_travel_um
        for index in range(self.lane_count):
            y_um = first_y_um + index * self.lane_pitch_um
            way = 1 if index % 2 == 0 else -1
            begin_um, stop_um = (left_um, right_um)[::way]
            yield Lane(
                index=index,
                start=self.place(begin_um - way * beyond_um, y_um),
                end=self.place(stop_um + way * beyond_um, y_um),
                cruise_from_um=begin_um,
                cruise_to_um=stop_um,
            )

    def segments(self) -> Iterator[Segment]:
        """Rests, lanes and steps in order of time, without gap."""
        now_s = 0.0
        for phase, lane, lasts_s in self._phases():
            yield Segment(phase=phase, lane=lane, start_s=now_s, lasts_s=lasts_s)
            now_s += lasts_s

    def _phases(self) -> Iterator[tuple[Phase, int, float]]:
        lanes = list(self.lanes())
        rest_s = self.motion.rest_s
        step_s = self.motion.travel_s(self.lane_pitch_um)
        for lane in lanes:
            yield Phase.REST, lane.index, rest_s
            yield Phase.LANE, lane.index, self.motion.travel_s(lane.length_um)
            yield Phase.REST, lane.index, rest_s
            if lane is not lanes[-1]:
                yield Phase.STEP, lane.index + 1, step_s

    def place(self, x_um: float, y_um: float) -> StagePoint:
        """The place of the stage where the slide is in focus at x and y."""
        return StagePoint(x_um=x_um, y_um=y_um, z_um=self.focus.z_at_um(x_um, y_um))

    @property
    def covered(self) -> Area:
        """What the mosaic shows: the area, or more where the lanes do not fit it evenly."""
        reach_um = (self.lane_count - 1) * self.lane_pitch_um + self.field.across_um
        return Area(
            left_um=self.area.left_um,
            top_um=self.area.top_um,
            width_um=max(self.area.width_um, self.field.along_um),
            height_um=max(self.area.height_um, reach_um),
        )
