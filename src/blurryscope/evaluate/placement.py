"""How far a stitched slide is from the truth of a scan whose truth is known.

The truth lies in µm along the slide's own axes. A mosaic may be turned against them by 180 degrees
(its y grows the way the lanes step) and by a fraction of a degree (its lanes define its x).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydantic
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import FramePlace
from blurryscope.artifacts.tissue_cores import TissueCore
from blurryscope.artifacts.whole import present_file
from blurryscope.artifacts.wrong_field import wrong_field
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score
from blurryscope.basics.percent import percent

_FOUND_WITHIN_DIAMETERS = 0.25
_ROTATION_ROUNDS = 8
"""With Cauchy's weights, which are taken anew each time."""
_LEAST_SPREAD_PX = 0.1
"""Frames nearer than this to where a rotation has them all count alike."""
_TISSUE_REACH = 0.8
"""A field that reaches this far (in radii) towards the middle of a core shows tissue."""

Points = NDArray[np.float64]
"""(n, 2), x and y."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueCore:
    """A core of the map as it lies on the slide; `centre_px` is (x, y)."""

    name: CoreName
    centre_px: Points
    score: Score
    is_missing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Where everything was during a scan, in camera pixels along the slide's axes."""

    pixel_size_um: float
    centres_px: Points
    """(frames, 2), x and y of the field's centre at mid read-out."""
    lanes: NDArray[np.int64]
    """(frames,), -1 outside lanes."""
    field_px: tuple[float, float]
    """Along the lanes, across them."""
    cores: tuple[TrueCore, ...]
    core_diameter_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RigidFit:
    """A rotation and then a shift, from the slide's axes to the mosaic's."""

    angle_rad: float
    """Positive from x towards y."""
    shift_px: Points

    def apply(self, points: Points) -> Points:
        """Move (n, 2) or (2,) points."""
        return np.asarray(points @ _rotation(self.angle_rad).T + self.shift_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Distances to the truth in pixels; a frame that was not placed counts as infinitely far."""

    count: int
    median_px: float
    ninety_five_px: float
    """95 % are nearer than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreErrors:
    """Frames whose field centre lies in one core, the core's own translation removed."""

    core: str
    errors: Errors
    """With the shared rotation removed too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementFigures:
    """How well the frames of a slide were placed."""

    moving_count: int
    right_lane_fraction: float
    """Of the frames that truly lie in a lane, those told to lie in that lane."""
    turn_deg: float
    """Of the mosaic against the slide: near 0 or near 180."""
    within_cores: Errors
    """All cores together: one translation per core and one rotation for all removed."""
    within_cores_unturned: Errors
    """The same with no rotation but the 180 degrees removed."""
    at_rims: Errors
    """Frames that show a core while their centre lies outside it, against the core's other frames:
    far off, they show its rim torn off."""
    each_core: tuple[CoreErrors, ...]
    over_slide: Errors
    """Frames that show tissue, one rigid fit for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementLimits:
    """What the placing of a slide's frames must hold."""

    least_right_lane_fraction: float
    median_px: float
    ninety_five_px: float
    """Within cores, one translation per core and one small rotation for all of them removed."""
    over_slide_px: float
    """95 % of the frames with tissue, one rigid fit for all."""


PLAIN_LIMITS = PlacementLimits(
    least_right_lane_fraction=0.995, median_px=0.5, ninety_five_px=1.5, over_slide_px=6.0
)
"""Demanded of a scan with a global shutter and no faults."""
AUTHENTIC_LIMITS = PlacementLimits(
    least_right_lane_fraction=0.99, median_px=0.8, ninety_five_px=2.5, over_slide_px=12.0
)
"""Demanded of a scan like the authors': rolling shutter, a turned camera, jerks, lost frames."""
SOUND_LIMITS = PlacementLimits(
    least_right_lane_fraction=0.95, median_px=2.0, ninety_five_px=6.0, over_slide_px=np.inf
)
"""Cores are whole and can be scored, however far glass that shows nothing sets them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreFigures:
    """How well the cores of a slide were found and named; names of cores."""

    present_count: int
    found: tuple[str, ...]
    """Told to be there, within a quarter of their diameter, with the right label."""
    lost: tuple[str, ...]
    """There, but not found so."""
    missing_count: int
    told_missing: tuple[str, ...]
    """Missing on the slide and said to be."""
    invented: tuple[str, ...]
    """Said to be there where the slide has no such core."""


class _FileCore(pydantic.BaseModel):
    row: int = pydantic.Field(ge=0)
    col: int = pydantic.Field(ge=0)
    x_um: float
    y_um: float
    score: int = pydantic.Field(ge=0, le=3)
    missing: bool


class _FileGeometry(pydantic.BaseModel):
    core_um: float = pydantic.Field(gt=0)


class _File(pydantic.BaseModel):
    """What is read of a truth; scanners may write more beside it."""

    px_um: float = pydantic.Field(gt=0)
    frames: list[tuple[float, float, int]] = pydantic.Field(min_length=1)
    field_px: tuple[float, float]
    cores: list[_FileCore]
    geometry: _FileGeometry


def read_truth(path: Path) -> Truth:
    """Read `truth.json` as virtual scanners write it; an `InputError` names the first bad entry."""
    remedy = "Give the truth.json that lies beside the film of a simulated scan"
    try:
        stored = _File.model_validate_json(present_file(path, remedy).read_bytes())
    except pydantic.ValidationError as error:
        place, problem = wrong_field(error)
        raise InputError(f"{path}, {place}", problem, remedy) from error
    frames = np.array(stored.frames, np.float64)
    across, along = stored.field_px
    return Truth(
        pixel_size_um=stored.px_um,
        centres_px=frames[:, :2] / stored.px_um,
        lanes=frames[:, 2].astype(np.int64),
        field_px=(along, across),
        cores=tuple(
            TrueCore(
                name=CoreName(core.row, core.col),
                centre_px=np.array([core.x_um, core.y_um]) / stored.px_um,
                score=Score(core.score),
                is_missing=core.missing,
            )
            for core in stored.cores
        ),
        core_diameter_px=stored.geometry.core_um / stored.px_um,
    )


def measure_placement(places: Sequence[FramePlace], truth: Truth) -> PlacementFigures:
    """Compare `frames.csv` with the truth; the film must be the one that the truth is of."""
    if len(places) != len(truth.lanes):
        raise ValueError(
            f"places must have a row for each of the {len(truth.lanes)} frames of the truth, "
            f"got {len(places)}"
        )
    centres = _centres(places)
    fit = slide_fit(places, truth)
    half_turn = round(fit.angle_rad / np.pi) * np.pi
    groups = {
        str(core.name): rows
        for core in truth.cores
        if not core.is_missing and (rows := _frames_in(core, truth)).size
    }
    angle = _shared_angle(list(groups.values()), centres, truth)
    turned = [_left_over(rows, centres, truth, angle) for rows in groups.values()]
    unturned = [_left_over(rows, centres, truth, half_turn) for rows in groups.values()]
    rims = [
        _left_over(_frames_beside(core, truth), centres, truth, angle, groups[str(core.name)])
        for core in truth.cores
        if str(core.name) in groups
    ]
    tissue = _frames_with_tissue(truth)
    over_slide = np.hypot(*(centres[tissue] - fit.apply(truth.centres_px[tissue])).T)
    moving = truth.lanes >= 0
    lanes = np.array([place.lane for place in places])
    return PlacementFigures(
        moving_count=int(moving.sum()),
        right_lane_fraction=float((lanes[moving] == truth.lanes[moving]).mean()),
        turn_deg=float(np.rad2deg(angle)),
        within_cores=_errors(np.concatenate([*turned, np.empty(0)])),
        within_cores_unturned=_errors(np.concatenate([*unturned, np.empty(0)])),
        at_rims=_errors(np.concatenate([*rims, np.empty(0)])),
        each_core=tuple(
            CoreErrors(core=name, errors=_errors(distances))
            for name, distances in zip(groups, turned, strict=True)
        ),
        over_slide=_errors(over_slide),
    )


def measure_cores(cores: Sequence[TissueCore], truth: Truth, fit: RigidFit) -> CoreFigures:
    """Compare `cores.csv` with the truth, `fit` being where the slide lies in the mosaic."""
    told = {core.name: core for core in cores if core.status.has_tissue}
    said_missing = {core.name for core in cores if not core.status.has_tissue}
    present = [core for core in truth.cores if not core.is_missing]
    missing = [core for core in truth.cores if core.is_missing]
    found = [core for core in present if _is_found(told.get(core.name), core, truth, fit)]
    there = {core.name for core in present}
    return CoreFigures(
        present_count=len(present),
        found=tuple(str(core.name) for core in found),
        lost=tuple(str(core.name) for core in present if core not in found),
        missing_count=len(missing),
        told_missing=tuple(str(core.name) for core in missing if core.name in said_missing),
        invented=tuple(str(name) for name in told if name not in there),
    )


def broken_limits(
    placement: PlacementFigures, cores: CoreFigures | None, limits: PlacementLimits
) -> list[str]:
    """Say which limits a slide breaks; an empty list means that it holds all of them.

    Of cores, whatever the limits of placing: every one is found, missing ones are told as missing,
    none is invented.
    """
    broken = []
    if placement.right_lane_fraction < limits.least_right_lane_fraction:
        broken.append(
            f"{percent(placement.right_lane_fraction, 2)} of frames in their lane, "
            f"at least {percent(limits.least_right_lane_fraction, 1)}"
        )
    inside, over = placement.within_cores, placement.over_slide
    for what, found_px, most_px in (
        ("median within cores", inside.median_px, limits.median_px),
        ("95 % within cores", inside.ninety_five_px, limits.ninety_five_px),
        ("95 % over the slide", over.ninety_five_px, limits.over_slide_px),
    ):
        if not found_px <= most_px:
            broken.append(f"{what} {found_px:.2f} px, at most {most_px:g}")
    if cores is not None:
        if cores.lost:
            broken.append(f"cores not found: {', '.join(cores.lost)}")
        if len(cores.told_missing) < cores.missing_count:
            broken.append(f"{cores.missing_count - len(cores.told_missing)} missing cores not told")
        if cores.invented:
            broken.append(f"cores that are not there: {', '.join(cores.invented)}")
    return broken


def slide_fit(places: Sequence[FramePlace], truth: Truth) -> RigidFit:
    """Lay the slide's axes on the mosaic's, by the placed frames that show tissue."""
    centres = _centres(places)
    rows = np.flatnonzero(_frames_with_tissue(truth) & np.isfinite(centres[:, 0]))
    if len(rows) < 2:
        raise ValueError("places must hold at least 2 frames with tissue to be compared")
    return rigid_fit(truth.centres_px[rows], centres[rows])


def rigid_fit(points: Points, targets: Points) -> RigidFit:
    """Least-squares rotation and shift that lay (n, 2) points on targets; nothing is mirrored."""
    middle, target_middle = points.mean(axis=0), targets.mean(axis=0)
    angle = _angle_between(points - middle, targets - target_middle)
    return RigidFit(angle_rad=angle, shift_px=target_middle - _rotation(angle) @ middle)


def _angle_between(points: Points, targets: Points) -> float:
    cross = points[:, 0] * targets[:, 1] - points[:, 1] * targets[:, 0]
    return float(np.arctan2(cross.sum(), (points * targets).sum()))


def _rotation(angle_rad: float) -> Points:
    sine, cosine = np.sin(angle_rad), np.cos(angle_rad)
    return np.array([[cosine, -sine], [sine, cosine]])


def _centres(places: Sequence[FramePlace]) -> Points:
    """(n, 2) x and y, NaN where unknown."""
    return np.array(
        [
            (np.nan, np.nan) if place.x_px is None or place.y_px is None
            else (place.x_px, place.y_px)
            for place in places
        ],
        np.float64,
    )  # fmt: skip


def _frames_in(core: TrueCore, truth: Truth) -> NDArray[np.int64]:
    away = np.hypot(*(truth.centres_px - core.centre_px).T)
    return np.flatnonzero((away < truth.core_diameter_px / 2) & (truth.lanes >= 0))


def _frames_beside(core: TrueCore, truth: Truth) -> NDArray[np.int64]:
    """Frames in lanes that show the core though their centre lies outside it."""
    return np.setdiff1d(np.flatnonzero(_shows(core, truth)), _frames_in(core, truth))


def _frames_with_tissue(truth: Truth) -> NDArray[np.bool_]:
    shows = np.zeros(len(truth.lanes), np.bool_)
    for core in truth.cores:
        if not core.is_missing:
            shows |= _shows(core, truth)
    return shows


def _shows(core: TrueCore, truth: Truth) -> NDArray[np.bool_]:
    """(n,) frames in lanes whose field reaches into the core."""
    outside = np.abs(truth.centres_px - core.centre_px) - np.array(truth.field_px) / 2
    gap = np.hypot(*np.maximum(outside, 0).T)
    reaches = gap < _TISSUE_REACH * truth.core_diameter_px / 2
    return np.asarray(reaches & (truth.lanes >= 0), np.bool_)


def _shared_angle(groups: Sequence[NDArray[np.int64]], centres: Points, truth: Truth) -> float:
    """One rotation for all groups of frames, each group about its own middle.

    Frames far from where the rotation would have them count little: one torn core must not turn
    the cores that are whole.
    """
    from_middle, to_middle = [np.empty((0, 2))], [np.empty((0, 2))]
    for rows in groups:
        placed = rows[np.isfinite(centres[rows, 0])]
        if len(placed):
            from_middle.append(truth.centres_px[placed] - truth.centres_px[placed].mean(axis=0))
            to_middle.append(centres[placed] - centres[placed].mean(axis=0))
    points, targets = np.concatenate(from_middle), np.concatenate(to_middle)
    if not len(points):
        return 0.0
    angle = _angle_between(points, targets)
    for _ in range(_ROTATION_ROUNDS):
        away = np.hypot(*(targets - points @ _rotation(angle).T).T)
        spread = max(float(np.median(away)), _LEAST_SPREAD_PX)
        nearness = 1 / (1 + (away / spread) ** 2)
        angle = _angle_between(points * nearness[:, np.newaxis], targets)
    return angle


def _left_over(
    rows: NDArray[np.int64],
    centres: Points,
    truth: Truth,
    angle_rad: float,
    shifted_with: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Distances to the truth of some frames after the rotation and the best translation.

    That of the frames `shifted_with`, or their own.
    """
    turned = truth.centres_px @ _rotation(angle_rad).T
    apart = centres - turned
    told = apart[rows if shifted_with is None else shifted_with]
    placed = np.isfinite(told[:, 0])
    if not placed.any():
        return np.full(len(rows), np.inf)
    return np.asarray(np.hypot(*(apart[rows] - told[placed].mean(axis=0)).T))


def _errors(distances: NDArray[np.float64]) -> Errors:
    if not len(distances):
        return Errors(count=0, median_px=np.inf, ninety_five_px=np.inf)
    known = np.where(np.isfinite(distances), distances, np.inf)
    # Real values only: between a value and infinity there is nothing to interpolate.
    median, most = np.quantile(known, (0.5, 0.95), method="inverted_cdf")
    return Errors(count=len(known), median_px=float(median), ninety_five_px=float(most))


def _is_found(told: TissueCore | None, core: TrueCore, truth: Truth, fit: RigidFit) -> bool:
    if told is None or told.label is not core.score:
        return False
    away = np.hypot(*(np.array([told.x_px, told.y_px]) - fit.apply(core.centre_px)))
    return bool(away <= _FOUND_WITHIN_DIAMETERS * truth.core_diameter_px)
