"""`plan.toml`: which slides, which parts of them, how often, and how the stage is to move."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pydantic

from blurryscope.artifacts.whole import present_file
from blurryscope.artifacts.wrong_field import wrong_field
from blurryscope.basics.errors import InputError
from blurryscope.scan.focus import FEWEST_POINTS, MOST_POINTS, FocusPlane, fit_focus_plane
from blurryscope.scan.plan import Area, FieldOfView, Motion, ScanPlan
from blurryscope.scan.refusals import MOST_BLUR_UM

_PLAUSIBLE_UM = 1e6
"""A stage of a metre; beyond it somebody mistook the unit."""
_LEAST_UM, _LEAST_PITCH_UM = 100.0, 20.0
"""Of an area, of the way in a second, between lanes; below somebody meant mm."""


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
_Number = pydantic.Field(ge=-_PLAUSIBLE_UM, le=_PLAUSIBLE_UM)
_Length = pydantic.Field(ge=_LEAST_UM, le=_PLAUSIBLE_UM)


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _AreaOnDisk(_Strict):
    left_um: float = _Number
    top_um: float = _Number
    width_um: float = _Length
    height_um: float = _Length


class _SlideOnDisk(_Strict):
    name: str
    """Also that of its folder: no name of dots alone, and no blank at the end."""
    area: _AreaOnDisk
    repeats: int | None = pydantic.Field(default=None, ge=1, le=20)
    map: Path | None = None
    layout: Path | None = None
    only_tissue: bool = False
    focus_um: list[tuple[float, float, float]] = pydantic.Field(default=[])

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


class _MotionOnDisk(_Strict):
    speed_um_per_s: float = pydantic.Field(default=5000.0, ge=_LEAST_UM)
    acceleration_um_per_s2: float | None = pydantic.Field(default=None, gt=0)
    rest_s: float = pydantic.Field(default=0.5, ge=0.1, le=10)
    most_blur_um: float = pydantic.Field(default=MOST_BLUR_UM, gt=0)


class _LanesOnDisk(_Strict):
    overlap_fraction: float = pydantic.Field(default=0.2, ge=0, lt=1)
    pitch_um: float | None = pydantic.Field(default=None, ge=_LEAST_PITCH_UM)


class _FieldOnDisk(_Strict):
    pixel_size_um: float = pydantic.Field(gt=0)
    rows: int = pydantic.Field(default=480, ge=16)
    columns: int = pydantic.Field(default=640, ge=16)
    turn_deg: float = 0.0
    frame_rate_hz: float = pydantic.Field(default=30.0, gt=0)
    exposure_s: float = pydantic.Field(default=0.0078, gt=0)
    readout_ratio: float = pydantic.Field(default=0.0, gt=-1, lt=1)


class _PlanOnDisk(_Strict):
    repeats: int = pydantic.Field(default=3, ge=1, le=20)
    motion: _MotionOnDisk = _MotionOnDisk()
    lanes: _LanesOnDisk = _LanesOnDisk()
    field: _FieldOnDisk | None = None
    slides: list[_SlideOnDisk] = pydantic.Field(min_length=1)


def read_plan(path: Path) -> ScanOrder:
    """Read a `plan.toml`; an `InputError` names the first field that cannot be used.

    Paths of maps and layouts are meant from the folder of the plan.
    """
    try:
        text = present_file(path, "Give the plan of a scan, plan.toml").read_text(encoding="utf-8")
        stored = _PlanOnDisk.model_validate(tomllib.loads(text))
    except UnicodeDecodeError as error:
        raise InputError(path, "is not UTF-8 text", "Save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(path, f"is no TOML ({error})", "Correct the line") from error
    except pydantic.ValidationError as error:
        raise _refused(path, error) from error
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


def _refused(path: Path, error: pydantic.ValidationError) -> InputError:
    place, problem = wrong_field(error)
    remedy = "Correct it; docs/reference/plan.md lists what a plan may say"
    return InputError(f"{path}, {place}", problem, remedy)


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
