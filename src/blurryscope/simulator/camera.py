"""The camera: what each row of its sensor adds up while the slide moves, and what it spoils."""

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb
from blurryscope.simulator.stage import Floats
from blurryscope.simulator.texture import Field, smooth_field


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """The camera as it is mounted. The defaults are a global shutter without faults."""

    rows: int = 480
    columns: int = 640
    pixel_size_um: float = 1.12
    """On the slide, that is, after the lens."""
    turn_deg: float = 0.0
    """How far the camera is turned against the slide; positive turns its x towards its y."""
    frame_rate_hz: float = 30.0
    exposure_s: float = 0.0078
    readout_s: float = 0.0
    """From the first row's start to the last row's: 0 is a global shutter."""
    white: tuple[float, float, float] = (237.0, 236.0, 231.0)
    """What clear glass gives in the middle of the field: red, green, blue."""
    shading_fraction: float = 0.0
    """How much darker the corners are than the middle."""
    dirt_count: int = 0
    """Specks on the sensor: they stand still while the slide moves."""
    noise: float = 0.0
    """Deviation on clear glass, in grey levels."""
    exposure_jumps_per_minute: float = 0.0
    """How often auto exposure thinks again."""
    exposure_jump_fraction: float = 0.06
    white_balance_jumps_per_minute: float = 0.0
    white_balance_jump_fraction: float = 0.04
    timing_jitter_s: float = 0.0
    """Deviation of a frame's start from the beat of the camera."""
    drop_fraction: float = 0.0
    """Share of frames that never reach the file; the file's times close the gap."""
    repeat_fraction: float = 0.0
    """Share of frames that the file holds twice."""

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "pixel_size_um", "frame_rate_hz", "exposure_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.readout_s < 0 or self.readout_s + self.exposure_s > 2 / self.frame_rate_hz:
            raise ValueError(
                "readout_s must not be negative, nor with exposure_s longer than two frames, "
                f"got {self.readout_s}"
            )
        if not 0 <= self.drop_fraction < 0.5 or not 0 <= self.repeat_fraction < 0.5:
            raise ValueError("drop_fraction and repeat_fraction must lie in 0..0.5")

    @property
    def middle_s(self) -> float:
        """From a frame's start to the middle of the middle row's exposure: mid read-out."""
        return self.readout_s / 2 + self.exposure_s / 2

    @property
    def field_um(self) -> tuple[float, float]:
        """How wide the field is along the slide's x and along its y, the small angle left out."""
        width, height = self.columns * self.pixel_size_um, self.rows * self.pixel_size_um
        return (height, width) if self.is_portrait else (width, height)

    @property
    def is_portrait(self) -> bool:
        """Whether the camera's rows of pixels run across the lanes rather than along them."""
        return round(self.turn_deg / 90.0) % 2 == 1


class LitSlide(Protocol):
    """What the camera needs to know of a slide."""

    @property
    def pixel_size_um(self) -> float: ...

    def read(self, top: int, left: int, rows: int, columns: int) -> Rgb:
        """The light through a region, (row, col, rgb) uint8, 255 through clear glass."""
        ...


class MovingStage(Protocol):
    """What the camera needs to know of a stage: `StagePath`, or the stage of a rig."""

    @property
    def duration_s(self) -> float:
        """How long it is watched."""
        ...

    def position_um(self, time_s: Floats) -> tuple[Floats, Floats]:
        """Where the optical axis is on the slide, x and y."""
        ...


class Camera:
    """Renders frames of a slide under a moving stage. Safe to use from several threads."""

    def __init__(
        self, settings: CameraSettings, slide: LitSlide, path: MovingStage, rng: np.random.Generator
    ) -> None:
        if not math.isclose(settings.pixel_size_um, slide.pixel_size_um):
            raise ValueError(
                f"the slide is drawn at {slide.pixel_size_um} µm per pixel, the camera sees "
                f"{settings.pixel_size_um}"
            )
        self.settings = settings
        self._slide = slide
        self._path = path
        self._off_column, self._off_row = field_offsets(settings)
        self._flat = _flat_field(settings, rng)
        shape = (settings.rows + 61, settings.columns + 67, 3)
        self._grain = rng.standard_normal(shape, np.float32)
        self._grain *= np.float32(settings.noise / math.sqrt(settings.white[1]))
        self._gains = _Gains(settings, path.duration_s, rng)
        self._row_s = np.arange(settings.rows) * (settings.readout_s / settings.rows)

    def frame(self, start_s: float, rng: np.random.Generator, defocus_sigma_px: float = 0.0) -> Rgb:
        """The picture whose first row starts to be exposed at `start_s`, (row, col, rgb) uint8.

        What is out of focus is blurred by a Gaussian before the sensor adds its own.
        """
        seen = self.light(start_s)
        if defocus_sigma_px > _SHARP_SIGMA_PX:
            seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), defocus_sigma_px), np.float32)
        seen *= self._flat
        gain = self._gains.at(start_s)
        if gain is not None:
            for colour in range(3):  # a third of the time of a product over the last axis
                seen[:, :, colour] *= gain[colour]
        if self.settings.noise:
            top, left = int(rng.integers(62)), int(rng.integers(68))
            grain = self._grain[top : top + seen.shape[0], left : left + seen.shape[1]]
            # Light comes in grains: the deviation goes with the root of the brightness.
            seen += np.sqrt(np.maximum(seen, 0.0)) * grain
        return np.asarray(cv2.convertScaleAbs(seen), np.uint8)

    def light(self, start_s: float) -> Field:
        """The light through the slide as each row adds it up, (row, col, rgb) float32, 0..255."""
        begin_s = start_s + self._row_s
        exposure_s = self.settings.exposure_s
        knots_s = begin_s[:, None] + exposure_s * np.array([0.0, 0.25, 0.5, 0.75, 1.0])
        x_um, y_um = self._path.position_um(knots_s)
        px = self.settings.pixel_size_um
        if _is_steady(x_um, px) and _is_steady(y_um, px):
            x_um, y_um = x_um[:, ::4], y_um[:, ::4]
        x_px, y_px = x_um / px - 0.5, y_um / px - 0.5  # 0 µm is the corner of the first pixel
        if np.ptp(x_px, axis=1).max() >= np.ptp(y_px, axis=1).max():
            return self._swept(x_px, y_px, along_x=True)
        return self._swept(x_px, y_px, along_x=False)

    def _swept(self, x_px: Floats, y_px: Floats, *, along_x: bool) -> Field:
        """Average the slide over each part of each row's way, with running sums along the way.

        `x_px` and `y_px` are (row, knot): where the optical axis is on the slide at the ends of
        the parts, which all take the same time.
        """
        left, top, columns, rows = self._seen_region(x_px, y_px)
        region = self._slide.read(top, left, rows, columns)
        if region.min() == 255:  # nothing but glass, as between the cores
            return np.full((*self._off_row.shape, 3), 255.0, np.float32)
        along = self._off_column if along_x else self._off_row
        across = self._off_row if along_x else self._off_column
        way, side = (x_px - left, y_px - top) if along_x else (y_px - top, x_px - left)
        sums = _running_sums(cv2.transpose(region) if along_x else region)
        total = np.zeros((*along.shape, 3), np.float32)
        for part in range(way.shape[1] - 1):
            here, there = way[:, part], way[:, part + 1]
            # A pixel has a width of its own: no less than one pixel is added up.
            length = np.maximum(np.rint(np.abs(there - here) * 32) / 32, 1.0)
            first = (here + there - length + 1) / 2
            aside = (side[:, part] + side[:, part + 1]) / 2
            # OpenCV places samples on a grid of 1/32 pixel; both ends must fall on it alike.
            lower = np.rint((along + _column(first)) * 32) * np.float32(1 / 32)
            aside_px = across + _column(aside)
            upto = cv2.remap(sums, aside_px, lower + _column(length), cv2.INTER_LINEAR)
            before = cv2.remap(sums, aside_px, lower, cv2.INTER_LINEAR)
            swept = np.asarray(upto, np.float32)
            swept -= np.asarray(before, np.float32)
            swept *= _column(1.0 / length)[:, :, None]
            total += swept
        total *= np.float32(1 / (way.shape[1] - 1))
        total += np.float32(_MIDDLE)
        return total

    def _seen_region(self, x_px: Floats, y_px: Floats) -> tuple[int, int, int, int]:
        left = math.floor(x_px.min() + self._off_column.min()) - 3
        top = math.floor(y_px.min() + self._off_row.min()) - 3
        columns = math.ceil(x_px.max() + self._off_column.max()) + 4 - left
        rows = math.ceil(y_px.max() + self._off_row.max()) + 4 - top
        return left, top, columns, rows


_SHARP_SIGMA_PX = 0.2
"""Less cannot be seen."""
_MIDDLE = 200.0
"""Taken off before summing: running sums stay small, and single precision stays fine."""


def field_offsets(settings: CameraSettings) -> tuple[Field, Field]:
    """How far each pixel of the sensor looks from the optical axis: columns and rows of the slide.

    Both are (row, col) float32, in slide pixels.
    """
    u = np.arange(settings.columns, dtype=np.float64)[None, :] - (settings.columns - 1) / 2
    v = np.arange(settings.rows, dtype=np.float64)[:, None] - (settings.rows - 1) / 2
    turn = math.radians(settings.turn_deg)
    column = u * math.cos(turn) - v * math.sin(turn)
    row = u * math.sin(turn) + v * math.cos(turn)
    return column.astype(np.float32), row.astype(np.float32)


def _is_steady(position_um: Floats, pixel_size_um: float) -> bool:
    """Whether every row's way keeps to an even speed within a fifth of a pixel."""
    bend_um = position_um[:, 2] - (position_um[:, 0] + position_um[:, 4]) / 2
    return bool(np.abs(bend_um).max() < 0.2 * pixel_size_um)


def _running_sums(region: NDArray[np.generic]) -> Field:
    """Sums down the rows: entry n is the sum of the first n rows of `region`, less the middle."""
    sums = np.zeros((region.shape[0] + 1, *region.shape[1:]), np.float32)
    np.subtract(region, np.float32(_MIDDLE), out=sums[1:], dtype=np.float32, casting="unsafe")
    for row in range(2, len(sums)):  # five times as fast as cumsum
        np.add(sums[row - 1], sums[row], out=sums[row])
    return sums


def _column(values: Floats) -> Field:
    return values.astype(np.float32)[:, None]


def _flat_field(settings: CameraSettings, rng: np.random.Generator) -> Field:
    """What clear glass looks like, as a factor on light: shading and dirt, (row, col, rgb)."""
    shape = (settings.rows, settings.columns)
    middle = rng.normal(0.0, 0.06, 2) * settings.shading_fraction / 0.12
    v = (np.arange(shape[0]) / shape[0] - 0.5 - middle[0])[:, None]
    u = (np.arange(shape[1]) / shape[1] - 0.5 - middle[1])[None, :]
    away = (u**2 + v**2) / 0.5
    level = 1.0 - settings.shading_fraction * away
    if settings.shading_fraction:
        level = level + 0.1 * settings.shading_fraction * smooth_field(shape, 260.0, rng)
    for _ in range(settings.dirt_count):
        row, column = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        radius = rng.uniform(2.0, 9.0)
        distance = np.hypot(np.arange(shape[0])[:, None] - row, np.arange(shape[1]) - column)
        level = level * (1.0 - rng.uniform(0.03, 0.15) / (1 + np.exp((distance - radius) / 1.2)))
    tint = 1.0 + 0.15 * settings.shading_fraction * away[:, :, None] * np.array([-0.3, 0.0, 0.3])
    colour = np.array(settings.white) / 255.0
    return np.asarray(level[:, :, None] * tint * colour, np.float32)


class _Gains:
    """Auto exposure and white balance: they jump, then come back within a second or two."""

    def __init__(
        self, settings: CameraSettings, duration_s: float, rng: np.random.Generator
    ) -> None:
        self._jumps: list[tuple[float, float, NDArray[np.float64]]] = []
        for rate, size, is_colour in (
            (settings.exposure_jumps_per_minute, settings.exposure_jump_fraction, False),
            (settings.white_balance_jumps_per_minute, settings.white_balance_jump_fraction, True),
        ):
            for start_s in rng.uniform(0, duration_s, rng.poisson(rate * duration_s / 60)):
                shift = rng.uniform(-1, 1, 3) if is_colour else np.full(3, rng.uniform(-1, 1))
                self._jumps.append((start_s, rng.uniform(0.4, 2.0), shift * size))

    def at(self, time_s: float) -> NDArray[np.float64] | None:
        """Factors on red, green and blue; None when all is calm."""
        shifts = [
            shift * math.exp(-(time_s - start_s) / relax_s)
            for start_s, relax_s, shift in self._jumps
            if start_s <= time_s < start_s + 6 * relax_s
        ]
        return 1.0 + np.sum(shifts, axis=0) if shifts else None


@dataclass(frozen=True, slots=True)
class Exposures:
    """Which frame of the camera each frame of the file is, and when its first row began."""

    camera_frame: NDArray[np.int64]
    start_s: Floats
    dropped: NDArray[np.int64]
    """Frames of the camera that the file lacks."""
    repeated: NDArray[np.int64]
    """Frames of the file that are the one before once more."""


def plan_exposures(
    settings: CameraSettings, duration_s: float, rng: np.random.Generator
) -> Exposures:
    """When the camera, left to itself, takes its frames, and which of them get lost or doubled."""
    count = max(
        int((duration_s - settings.readout_s - settings.exposure_s) * settings.frame_rate_hz), 1
    )
    start_s = np.arange(count) / settings.frame_rate_hz
    limit_s = 0.45 / settings.frame_rate_hz
    start_s += np.clip(rng.normal(0.0, settings.timing_jitter_s, count), -limit_s, limit_s)
    start_s = np.maximum(start_s, 0.0)
    chance = rng.random(count)
    dropped = chance < settings.drop_fraction
    dropped[0] = False
    doubled = ~dropped & (chance > 1 - settings.repeat_fraction)
    camera_frame = np.repeat(np.arange(count), np.where(dropped, 0, np.where(doubled, 2, 1)))
    again = np.flatnonzero(np.diff(camera_frame, prepend=-1) == 0)
    return Exposures(camera_frame, start_s[camera_frame], np.flatnonzero(dropped), again)
