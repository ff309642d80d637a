"""`plan.toml`: which slides, which parts of them, how often, and how the stage is to move."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pydantic

from blurryscope.artifacts.toml_file import TomlTable, read_toml
from blurryscope.basics.errors import InputError
from blurryscope.scan.focus import FEWEST_POINTS, MOST_POINTS, FocusPlane, fit_focus_plane
from blurryscope.scan.plan import Area, FieldOfView, Motion, ScanPlan
from blurryscope.scan.plausible import (
    AccelerationUmPerS2,
    ExposureS,
    FrameRateHz,
    FrameSidePx,
    LengthUm,
    PitchUm,
    PixelSizeUm,
    PlaceUm,
    ReadoutRatio,
    SpeedUmPerS,
    TurnDeg,
)
from blurryscope.scan.refusals import MOST_BLUR_UM


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideOrder:
    """One slide of a plan."""

    name: str
    area: Area
    repeats: int = 3
    map_path: Path | None = None
    layout_path: Path | None = None
    only_tissue: bool = False
    """Whether a coarse look comes first, and only the part with tissue is scanned."""
    focus_um: tuple[tuple[float, float, float], ...] = ()
    """Where the focus is known, (x, y, z); empty takes the calibration's plane."""

    @property
    def focus(self) -> FocusPlane | None:
        """The plane through `focus_um`, None where there are no points."""
        return fit_focus_plane(self.focus_um) if self.focus_um else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOrder:
    """All that a `plan.toml` asks for. What it leaves open comes from the calibration."""

    path: Path
    slides: tuple[SlideOrder, ...]
    speed_um_per_s: float = 5000.0
    acceleration_um_per_s2: float | None = None
    """None is what the stage is set to."""
    rest_s: float = 0.5
    overlap_fraction: float = 0.2
    pitch_um: float | None = None
    field: FieldOfView | None = None
    """A guess at what the camera sees, to plan before there is a calibration."""
    most_blur_um: float = MOST_BLUR_UM

    def plan_of(
        self,
        slide: SlideOrder,
        field: FieldOfView,
        *,
        acceleration_um_per_s2: float,
        backlash_um: float = 0.0,
        focus: FocusPlane | None = None,
    ) -> ScanPlan:
        """Plan a slide for a microscope: its field of view, ramps, backlash and focus.

        A slide's own focus points come before `focus`; with neither z stays at 0.
        """
        own = slide.focus or focus
        plan = ScanPlan(
            area=slide.area,
            field=field,
            motion=Motion(
                speed_um_per_s=self.speed_um_per_s,
                acceleration_um_per_s2=self.acceleration_um_per_s2 or acceleration_um_per_s2,
                rest_s=self.rest_s,
            ),
            overlap_fraction=self.overlap_fraction,
            pitch_um=self.pitch_um,
            backlash_um=backlash_um,
        )
        return plan if own is None else replace(plan, focus=own)


_FOLDER_NAME = re.compile(r"[\w .+-]*\w")


class _AreaOnDisk(TomlTable):
    left_um: PlaceUm
    top_um: PlaceUm
    width_um: LengthUm
    height_um: LengthUm


class _SlideOnDisk(TomlTable):
    name: str
    """Also that of its folder: no name of dots alone, and no blank at the end."""
    area: _AreaOnDisk
    repeats: int | None = pydantic.Field(default=None, ge=1, le=20)
    map: Path | None = None
    layout: Path | None = None
    only_tissue: bool = False
    focus_um: list[tuple[PlaceUm, PlaceUm, PlaceUm]] = pydantic.Field(default=[])

    @pydantic.field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not _FOLDER_NAME.fullmatch(name):
            raise ValueError(
                f"may have letters, digits, _ . + - and blanks, and ends with a letter, a digit or "
                f"_, got {name!r}"
            )
        return name

    @pydantic.field_validator("focus_um")
    @classmethod
    def _fits_a_plane(
        cls, points: list[tuple[float, float, float]]
    ) -> list[tuple[float, float, float]]:
        if points:
            fit_focus_plane(points)
        return points


class _MotionOnDisk(TomlTable):
    speed_um_per_s: SpeedUmPerS = 5000.0
    acceleration_um_per_s2: AccelerationUmPerS2 | None = None
    rest_s: float = pydantic.Field(default=0.5, ge=0.1, le=10)
    most_blur_um: float = pydantic.Field(default=MOST_BLUR_UM, gt=0)


class _LanesOnDisk(TomlTable):
    overlap_fraction: float = pydantic.Field(default=0.2, ge=0, le=0.9)
    pitch_um: PitchUm | None = None


class _FieldOnDisk(TomlTable):
    pixel_size_um: PixelSizeUm
    rows: FrameSidePx = 480
    columns: FrameSidePx = 640
    turn_deg: TurnDeg = 0.0
    frame_rate_hz: FrameRateHz = 30.0
    exposure_s: ExposureS = 0.0078
    readout_ratio: ReadoutRatio = 0.0


class _PlanOnDisk(TomlTable):
    repeats: int = pydantic.Field(default=3, ge=1, le=20)
    motion: _MotionOnDisk = _MotionOnDisk()
    lanes: _LanesOnDisk = _LanesOnDisk()
    field: _FieldOnDisk | None = None
    slides: list[_SlideOnDisk] = pydantic.Field(min_length=1)


def read_plan(path: Path) -> ScanOrder:
    """Read a `plan.toml`; an `InputError` names the first field that cannot be used.

    Paths of maps and layouts are meant from the folder of the plan.
    """
    stored = read_toml(
        path,
        _PlanOnDisk,
        missing="Give the plan of a scan, plan.toml",
        remedy="Correct it; docs/reference/plan.md lists what a plan may say",
    )
    names = [slide.name for slide in stored.slides]
    if len({name.casefold() for name in names}) < len(names):  # some disks know no capitals
        raise InputError(f"{path}, slides", "two slides have one name", "Name each differently")
    return ScanOrder(
        path=path,
        slides=tuple(_slide_of(path, slide, stored.repeats) for slide in stored.slides),
        speed_um_per_s=stored.motion.speed_um_per_s,
        acceleration_um_per_s2=stored.motion.acceleration_um_per_s2,
        rest_s=stored.motion.rest_s,
        most_blur_um=stored.motion.most_blur_um,
        overlap_fraction=stored.lanes.overlap_fraction,
        pitch_um=stored.lanes.pitch_um,
        field=None if stored.field is None else FieldOfView(**stored.field.model_dump()),
    )


def _slide_of(path: Path, stored: _SlideOnDisk, repeats: int) -> SlideOrder:
    return SlideOrder(
        name=stored.name,
        area=Area(**stored.area.model_dump()),
        repeats=stored.repeats or repeats,
        map_path=_beside(path, stored.map),
        layout_path=_beside(path, stored.layout),
        only_tissue=stored.only_tissue,
        focus_um=tuple(stored.focus_um),
    )


def _beside(path: Path, named: Path | None) -> Path | None:
    return None if named is None else path.parent / named


def focus_grid(area: Area, count: int) -> Sequence[tuple[float, float]]:
    """Where to measure the focus of an area: its corners, then its middle and edges, 3 to 9."""
    if not FEWEST_POINTS <= count <= MOST_POINTS:
        raise ValueError(f"count must be {FEWEST_POINTS} to {MOST_POINTS}, got {count}")
    shares = ((0.1, 0.1), (0.9, 0.1), (0.5, 0.9)) if count == FEWEST_POINTS else _SPREAD[:count]
    return [(area.left_um + x * area.width_um, area.top_um + y * area.height_um) for x, y in shares]


_SPREAD = (
    (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9), (0.5, 0.5),
    (0.5, 0.1), (0.5, 0.9), (0.1, 0.5), (0.9, 0.5),
)  # fmt: skip
