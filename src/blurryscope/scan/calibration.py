"""What is known of one microscope, measured, each with its quality: `calibration.json`."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from blurryscope.artifacts.whole import present_file, whole_file, write_text_whole
from blurryscope.artifacts.wrong_field import wrong_field
from blurryscope.basics.errors import InputError
from blurryscope.basics.percent import percent
from blurryscope.devices.contracts import StageLimits, StagePoint
from blurryscope.scan.appearance_fit import FlatField
from blurryscope.scan.focus import FocusPlane
from blurryscope.scan.plan import FieldOfView
from blurryscope.scan.plausible import (
    BacklashUm,
    ExposureS,
    FrameRateHz,
    FrameSidePx,
    GreyLevel,
    PixelSizeUm,
    PlaceUm,
    ReadoutRatio,
    SpeedUmPerS,
    TurnDeg,
)

FILE = "calibration.json"
FLAT_FILE = "flat-field.npy"
_REMEDY = "Calibrate again: blurryscope calibrate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What a calibration was measured with; another of these makes it worthless."""

    stage: str
    """Its name and version, as it tells."""
    camera: str
    rows: FrameSidePx
    columns: FrameSidePx
    frame_rate_hz: float | None
    exposure_s: float | None
    gain: float | None
    white_balance_k: float | None
    """These four as read back from the camera; None where it does not tell."""
    lowest_um: tuple[PlaceUm, PlaceUm, PlaceUm]
    highest_um: tuple[PlaceUm, PlaceUm, PlaceUm]
    """Another travel is another stage, or one that homes elsewhere. Its steps per mm are compared
    where `rig.toml` gives them."""

    def differences(self, other: "Geometry") -> list[str]:
        """What is not the same, in words; empty if all is."""
        ours, theirs = asdict(self), asdict(other)
        return [
            f"{name} was {ours[name]}, is {theirs[name]}"
            for name in ours
            if ours[name] != theirs[name]
        ]

    def limits(self) -> StageLimits:
        """Where the stage may go; how fast it may go is not part of the geometry."""
        (x, y, z), (far_x, far_y, far_z) = self.lowest_um, self.highest_um
        return StageLimits(
            lowest=StagePoint(x_um=x, y_um=y, z_um=z),
            highest=StagePoint(x_um=far_x, y_um=far_y, z_um=far_z),
            speed_um_per_s=math.inf,
            acceleration_um_per_s2=math.inf,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeCheck:
    """How well the stage finds its switches again."""

    repeatability_um: float
    """Between two homings, by what the camera sees; 0 where nothing was seen."""
    was_seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsCheck:
    """Whether a µm of x is one of y, at a right angle; all lengths are in the stage's own µm."""

    anisotropy_fraction: float
    skew_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelCheck:
    """Pixel size and rotation, from moves and stops and from the strip at speed."""

    pixel_size_um: PixelSizeUm
    turn_deg: TurnDeg
    residual_px: float
    """What the moves and stops leave unexplained."""
    disagreement_fraction: float
    """Between the pixel size from stops and that from the strip at speed."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StripCheck:
    """What a strip forth and back at scan speed told."""

    speed_um_per_s: SpeedUmPerS
    readout_ratio: ReadoutRatio | None
    """At that speed; None where the camera's rows lie along the lanes, which shows no stretch."""
    row_time_s: float | None
    frame_rate_hz: FrameRateHz
    jitter_s: float
    lost_count: int
    spread_fraction: float
    """Deviation of single steps of the content."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklashCheck:
    """What is lost when the direction along the lanes turns round."""

    backlash_um: BacklashUm
    spread_um: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """All that was measured, and what it is valid for."""

    made: str
    """Date and time, UTC, ISO 8601."""
    rig: str
    geometry: Geometry
    exposure_s: float
    home: HomeCheck
    steps: StepsCheck
    pixels: PixelCheck
    strip: StripCheck
    backlash: BacklashCheck
    falloff_fraction: float
    flat_uncertainty_fraction: float
    white: tuple[float, float, float]
    focus: FocusPlane
    focus_points_um: tuple[tuple[float, float, float], ...]
    focus_unseen_count: int = 0
    """At how many of them no height changed the picture, though the stage has a z axis."""

    def field_of_view(
        self, speed_um_per_s: float, where: object = "motion.speed_um_per_s"
    ) -> FieldOfView:
        """What the camera sees; the read-out ratio grows with the speed of the scan.

        Raises an `InputError`, with `where` the speed is told, if the stage overtakes the read-out.
        """
        share = self.strip.readout_ratio or 0.0
        ratio = share * speed_um_per_s / self.strip.speed_um_per_s
        if not -1 < ratio < 1:
            raise InputError(
                where,
                f"at {speed_um_per_s:.0f} µm/s the slide overtakes the camera, which reads a frame "
                f"out at {speed_um_per_s / abs(ratio):.0f} µm/s",
                f"Scan more slowly; it was calibrated at {self.strip.speed_um_per_s:.0f} µm/s",
            )
        return FieldOfView(
            pixel_size_um=self.pixels.pixel_size_um,
            rows=self.geometry.rows,
            columns=self.geometry.columns,
            turn_deg=self.pixels.turn_deg,
            frame_rate_hz=self.strip.frame_rate_hz,
            exposure_s=self.exposure_s,
            readout_ratio=ratio,
            is_measured=True,
        )

    def refuse_other(self, where: object, now: Geometry) -> None:
        """Raise an `InputError` if the microscope is not the one that was calibrated."""
        changed = self.geometry.differences(now)
        if changed:
            raise InputError(
                where, f"was measured on another geometry: {'; '.join(changed)}", _REMEDY
            )


def doubts(calibration: Calibration) -> list[str]:
    """What of a calibration is worse than a scan can take; empty if all is well."""
    c = calibration
    residual_um = c.pixels.residual_px * c.pixels.pixel_size_um
    limits = (
        (c.home.repeatability_um, 20.0, "homing comes back to within {value:.1f} µm only"),
        (abs(c.steps.anisotropy_fraction), 0.02, "a µm of x and one of y differ by {share}"),
        (abs(c.steps.skew_deg), 1.0, "the axes are {value:.2f}° off a right angle"),
        (residual_um, 6.0, "moves and stops leave {value:.1f} µm unexplained"),
        (
            c.pixels.disagreement_fraction, 0.02,
            "pixel sizes at rest and at speed differ by {share}",
        ),
        (c.strip.spread_fraction, 0.06, "steps of the content at speed vary by {share}"),
        (c.backlash.spread_um, 5.0, "the backlash varies by {value:.1f} µm"),
        (c.flat_uncertainty_fraction, 0.02, "the flat field is uncertain by {share}"),
        (c.focus.residual_um, 8.0, "focus points lie {value:.1f} µm off their plane"),
    )  # fmt: skip
    found = [
        words.format(value=value, share=percent(value, 1))
        for value, most, words in limits
        if value > most
    ]
    if c.focus_unseen_count:
        found.append(
            f"focus made no difference at {c.focus_unseen_count} of {len(c.focus_points_um)} "
            "places: is the z axis connected, is the slide in focus?"
        )
    return found


class _OnDisk(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    made: str
    rig: str
    geometry: Geometry
    exposure_s: ExposureS
    home: HomeCheck
    steps: StepsCheck
    pixels: PixelCheck
    strip: StripCheck
    backlash: BacklashCheck
    falloff_fraction: float
    flat_uncertainty_fraction: float
    white: tuple[GreyLevel, GreyLevel, GreyLevel]
    focus: FocusPlane
    focus_points_um: tuple[tuple[PlaceUm, PlaceUm, PlaceUm], ...]
    focus_unseen_count: int = pydantic.Field(default=0, ge=0)

    @pydantic.field_validator("geometry")
    @classmethod
    def _has_room_to_move(cls, geometry: Geometry) -> Geometry:
        geometry.limits()
        return geometry


def write_calibration(folder: Path, calibration: Calibration, flat: FlatField) -> Path:
    """Write `flat-field.npy`, then `calibration.json`, each whole; gives the latter's path."""
    with whole_file(folder / FLAT_FILE) as partial, partial.open("wb") as file:
        np.save(file, flat.gain)
    stored: dict[str, Any] = asdict(calibration)
    path = folder / FILE
    write_text_whole(path, _OnDisk(**stored).model_dump_json(indent=2) + "\n")
    return path


def read_calibration(path: Path) -> Calibration:
    """Read `calibration.json`; an `InputError` names the field that cannot be used."""
    try:
        text = present_file(path, "Calibrate first: blurryscope calibrate").read_bytes()
        stored = _OnDisk.model_validate_json(text, strict=True)
    except pydantic.ValidationError as error:
        place, problem = wrong_field(error)
        raise InputError(f"{path}, {place}", problem, _REMEDY) from error
    return Calibration(**{name: getattr(stored, name) for name in _OnDisk.model_fields})


def read_flat_field(path: Path, geometry: Geometry) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Read the gain beside a `calibration.json`, (row, col, rgb) float32, mean 1."""
    stored = present_file(path.with_name(FLAT_FILE), _REMEDY)
    try:
        gain = np.load(stored, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(stored, "is no flat field", _REMEDY) from error
    is_a_gain = gain.dtype.kind == "f" and bool(np.isfinite(gain).all() and gain.min() > 0)
    if gain.shape != (geometry.rows, geometry.columns, 3) or not is_a_gain:
        raise InputError(stored, "is no flat field of this camera", _REMEDY)
    return np.asarray(gain, np.float32)
