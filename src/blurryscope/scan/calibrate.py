"""Measure a microscope: home, tissue and glass, focus, pixels, backlash, a strip at speed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from blurryscope.basics.errors import InputError
from blurryscope.basics.percent import percent
from blurryscope.basics.progress import Progress, silent
from blurryscope.devices.contracts import StagePoint
from blurryscope.scan.appearance_fit import FlatField
from blurryscope.scan.bench import REMEDY, Bench, FocusSearch
from blurryscope.scan.calibration import (
    BacklashCheck,
    Calibration,
    Geometry,
    HomeCheck,
    PixelCheck,
    StepsCheck,
)
from blurryscope.scan.drive import Microscope
from blurryscope.scan.focus import FocusPlane, fit_focus_plane
from blurryscope.scan.optical_fit import PixelFit
from blurryscope.scan.plan import Area, ScanPlan
from blurryscope.scan.plan_file import focus_grid
from blurryscope.scan.strip import Strip, measure_strip
from blurryscope.scan.survey import Look, Survey, survey, survey_lanes, take_flat_field

_SURVEY_LANES = 5
_NEAR_UM = 250.0
"""Looks within this of a place tell whether there is tissue around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateSettings:
    """How thoroughly to measure."""

    strip_um: float = 6000.0
    """Several turns of the lead screw, whose error comes back with every turn."""
    backlash_count: int = 3
    focus_points: int = 5
    focus: FocusSearch = field(default_factory=FocusSearch)


def calibrate(
    scope: Microscope,
    plan: ScanPlan,
    rig: str,
    settings: CalibrateSettings,
    progress: Progress = silent,
) -> tuple[Calibration, FlatField]:
    """Measure everything that a scan of `plan`'s area needs; the stage ends at rest, homed.

    Of the plan only area, speed, ramps and exposure count, and the field as a guess. Raises
    `InputError` where there is too little tissue, no glass, or no focus.
    """
    tell = _Steps(progress)
    tell("find the home")
    scope.stage.home()
    plan = replace(plan, focus=FocusPlane(z_um=settings.focus.start_um))
    tell("look for tissue")
    seen = survey(scope, survey_lanes(plan, _survey_pitch_um(plan), _SURVEY_LANES), plan.motion)
    target = _best_tissue(seen, plan)
    tell("measure the light")
    flat = _flat_field(scope, seen, plan)
    bench = Bench(scope, flat)
    tell("find the focus")
    focused = bench.focus_at(target, settings.focus, portrait=plan.field.is_portrait)
    target = focused or target
    tell("measure the pixels")
    cross = bench.cross(target)
    tell("measure the backlash")
    backlash = bench.backlash(target, cross, settings.backlash_count)
    tell("film a strip forth and back")
    level = replace(plan, focus=FocusPlane(z_um=target.z_um), backlash_um=backlash.backlash_um)
    strip = measure_strip(
        scope, level, cross, flat.luma(), _strip_ends(seen, target, settings), target.y_um
    )
    tell("measure the tilt of the slide")
    points = _focus_points(bench, seen, plan.area, target, cross, settings)
    if focused is None:
        points = replace(points, unseen_count=points.unseen_count + 1)
    if not settings.focus.is_expected:
        points = replace(points, unseen_count=0)
    tell("find the home again")
    home = bench.home_again(target, cross)
    tell("done")
    made = scope.clock.utc_now().isoformat(timespec="seconds")
    found = _Found(cross=cross, strip=strip, backlash=backlash, home=home, flat=flat, focus=points)
    return _record(scope, plan, found, rig, made), flat


_STEPS = 9


class _Steps:
    """Tells which step of the calibration begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done = progress, 0

    def __call__(self, step: str) -> None:
        self._progress("calibrate", min(self._done / _STEPS, 1.0))
        if step != "done":
            self._progress(f"calibrate: {step}", 1.0)
        self._done += 1


def geometry_of(scope: Microscope) -> Geometry:
    """What a calibration of this microscope is valid for."""
    limits, camera = scope.stage.limits, scope.camera.settings
    low, high = limits.lowest, limits.highest
    return Geometry(
        stage=scope.stage.name.split(" on ")[0],  # the port may be another one each time
        camera=scope.camera.name.split(" on ")[0],
        rows=camera.rows or 0,
        columns=camera.columns or 0,
        frame_rate_hz=camera.frame_rate_hz,
        exposure_s=camera.exposure_s,
        gain=camera.gain,
        white_balance_k=camera.white_balance_k,
        lowest_um=(low.x_um, low.y_um, low.z_um),
        highest_um=(high.x_um, high.y_um, high.z_um),
    )


def _survey_pitch_um(plan: ScanPlan) -> float:
    """Spread over the area, or lane beside lane where the area is small."""
    return max(plan.area.height_um / _SURVEY_LANES, 0.7 * plan.field.across_um)


def _best_tissue(seen: Survey, plan: ScanPlan) -> StagePoint:
    """The look with the most tissue around it, away from the edges of the area."""
    looks = seen.tissue()
    if not looks:
        most = max((look.tissue_fraction for look in seen.looks), default=0.0)
        raise InputError(
            "the slide",
            f"shows no tissue in the area of the plan (at most {percent(most)})",
            REMEDY,
        )
    best = max(looks, key=lambda look: _around(seen, look))
    return plan.place(best.x_um, best.y_um)


def _around(seen: Survey, middle: Look) -> float:
    near = [
        look.tissue_fraction
        for look in seen.looks
        if np.hypot(look.x_um - middle.x_um, look.y_um - middle.y_um) < _NEAR_UM
    ]
    return float(np.mean(near))


def _flat_field(scope: Microscope, seen: Survey, plan: ScanPlan) -> FlatField:
    """From the emptiest places, no two of them near each other in the order of the survey."""
    looks = seen.glass()
    places = [plan.place(look.x_um, look.y_um) for look in looks[:: max(len(looks) // 24, 1)]]
    try:
        return take_flat_field(scope, places)
    except ValueError as error:
        raise InputError(
            "the slide",
            f"shows hardly any empty glass in the area of the plan ({len(looks)} frames of it)",
            "Choose an area with some glass around the tissue, and calibrate again",
        ) from error


def _strip_ends(
    seen: Survey, target: StagePoint, settings: CalibrateSettings
) -> tuple[float, float]:
    """The part of the target's row that holds the most tissue, from x to x."""
    row = sorted(
        (look.x_um, look.tissue_fraction)
        for look in seen.looks
        if abs(look.y_um - target.y_um) < _NEAR_UM
    )
    first_um, last_um = row[0][0], row[-1][0]
    length_um = min(settings.strip_um, last_um - first_um)
    starts = [x_um for x_um, _ in row if x_um <= last_um - length_um] or [first_um]
    best = max(
        starts, key=lambda start: sum(t for x_um, t in row if start <= x_um <= start + length_um)
    )
    return best, best + length_um


@dataclass(frozen=True, slots=True, kw_only=True)
class _FocusPoints:
    """Where the slide is in focus, µm, and at how many of the places that could not be seen."""

    points_um: tuple[tuple[float, float, float], ...]
    unseen_count: int


def _focus_points(
    bench: Bench,
    seen: Survey,
    area: Area,
    target: StagePoint,
    cross: PixelFit,
    settings: CalibrateSettings,
) -> _FocusPoints:
    """Where the slide is in focus: at the target and at tissue spread over the area."""
    portrait = round(cross.turn_deg / 90.0) % 2 == 1
    places, unseen_count = [target], 0
    for x_um, y_um in _spread(seen, area, settings.focus_points - 1):
        start = StagePoint(x_um=x_um, y_um=y_um, z_um=target.z_um)
        focused = bench.focus_at(start, settings.focus, portrait=portrait)
        places.append(focused or start)
        unseen_count += focused is None
    return _FocusPoints(
        points_um=tuple((place.x_um, place.y_um, place.z_um) for place in places),
        unseen_count=unseen_count,
    )


def _spread(seen: Survey, area: Area, count: int) -> list[tuple[float, float]]:
    """Places with tissue, each the nearest to a point of a grid over the area; no place twice."""
    places: list[tuple[float, float]] = []
    tissue = {(look.x_um, look.y_um) for look in seen.tissue()}
    for x_um, y_um in focus_grid(area, max(count, 3)):
        free = tissue - set(places)
        if free:
            places.append(min(free, key=lambda p: np.hypot(p[0] - x_um, p[1] - y_um)))
    return places


def _plane(points_um: Sequence[tuple[float, float, float]]) -> FocusPlane:
    """The plane; level at the mean height where the points do not tell a tilt."""
    try:
        return fit_focus_plane(points_um)
    except ValueError:
        heights = [z_um for _, _, z_um in points_um]
        residual_um = float(np.std(heights))
        return FocusPlane(z_um=float(np.mean(heights)), residual_um=residual_um)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The measurements, before they become a record."""

    cross: PixelFit
    strip: Strip
    backlash: BacklashCheck
    home: HomeCheck
    flat: FlatField
    focus: _FocusPoints


def _record(scope: Microscope, plan: ScanPlan, found: _Found, rig: str, made: str) -> Calibration:
    cross, strip, flat, points = found.cross, found.strip, found.flat, found.focus
    return Calibration(
        made=made,
        rig=rig,
        geometry=geometry_of(scope),
        exposure_s=scope.camera.settings.exposure_s or plan.field.exposure_s,
        home=found.home,
        steps=StepsCheck(anisotropy_fraction=cross.anisotropy_fraction, skew_deg=cross.skew_deg),
        pixels=PixelCheck(
            pixel_size_um=strip.fit.pixel_size_um,
            turn_deg=strip.fit.turn_deg,
            residual_px=cross.residual_px,
            disagreement_fraction=abs(cross.pixel_size_um / strip.fit.pixel_size_um - 1),
            count=cross.count,
        ),
        strip=strip.check,
        backlash=found.backlash,
        falloff_fraction=flat.falloff_fraction,
        flat_uncertainty_fraction=flat.uncertainty_fraction,
        white=flat.white,
        focus=_plane(points.points_um),
        focus_points_um=points.points_um,
        focus_unseen_count=points.unseen_count,
    )
