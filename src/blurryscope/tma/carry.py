"""Names carried from a scan that has them to a repeat: both slides are laid upon one another.

Each piece of tissue of the repeat is looked for among the cores of the first scan, in every quarter
turn; the pairs that one turn, shift and scale explains say where every core of the first lies in
the repeat, those too that are lost. No map and no lattice is needed, so the names cannot slip.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.tissue_cores import CoreGrid, CoreOutside, CoreStatus, PlaceSource
from blurryscope.basics.image import Grey
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.measure import NamedNode, measured_cores
from blurryscope.tma.nodes import core_against_none, highest_near
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import SlidePicture
from blurryscope.tma.recognise import NamedScan, likeness, small_picture
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.sight import SlideSight, look_at_slide

Floats = NDArray[np.float64]

_REACH_DIAMETERS = 0.35
"""How far from where the first scan says a core may lie in the repeat: the fit is one turn, shift
and scale for the whole slide, and stitching bends a little."""
_LEAST_ALIKE = 0.4
_LEAST_PAIRS = 3
_LEAST_FRACTION = 0.5
"""Of the cores of the first scan that must be found by their tissue where the fit says."""
_MOST_TILT_DEG = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How a repeat lies against the first scan."""

    quarter_turns: int
    """Clockwise, against the first scan."""
    matrix: Floats
    """(2, 3) from full-resolution pixels of the first scan to those of the repeat."""
    pair_count: int
    """Cores found by their tissue where the fit says."""
    core_count: int
    """Cores with tissue in the first scan."""

    @property
    def is_proven(self) -> bool:
        return self.pair_count >= max(_LEAST_PAIRS, _LEAST_FRACTION * self.core_count)

    def moved(self, xy: Floats) -> Floats:
        """(n, 2) pixels of the first scan as pixels of the repeat."""
        return np.asarray(xy @ self.matrix[:, :2].T + self.matrix[:, 2])


def carry_names(picture: SlidePicture, first: NamedScan, settings: TmaSettings) -> Dearrayed | None:
    """The cores of a repeat under the names that `first` gives them.

    None where the tissue does not show how the repeat lies. Raises `InputError` as `find_cores`.
    """
    sight = look_at_slide(picture, settings)
    registration = register(picture, sight, first)
    if registration is None or not registration.is_proven:
        return None
    return _dearrayed(picture, sight, first, registration)


def register(picture: SlidePicture, sight: SlideSight, first: NamedScan) -> Registration | None:
    """The quarter turn, shift and scale that lay most cores of `first` upon their likes."""
    cores = [core for core in first.cores if core.status.has_tissue]
    if not cores:
        return None
    known_xy = np.array([(core.x_px, core.y_px) for core in cores])
    white = np.array(first.grid.white)
    known = np.stack(
        [
            small_picture(first.picture, (core.x_px, core.y_px), first.grid.diameter_px, white)
            for core in cores
        ]
    )
    spots_xy = (sight.spots.xy_px + 0.5) * sight.working.shrink - 0.5
    diameter_px = sight.diameter_px * sight.working.shrink
    seen = np.stack(
        [small_picture(picture, (x, y), diameter_px, sight.white.white) for x, y in spots_xy]
    )
    tried = [
        _fitted(turns, likeness(np.rot90(seen, turns, axes=(1, 2)), known), spots_xy, known_xy)
        for turns in range(4)
    ]
    fits = [fit for fit in tried if fit is not None]
    return max(fits, key=lambda fit: fit.pair_count, default=None)


def _fitted(turns: int, alike: Floats, spots_xy: Floats, known_xy: Floats) -> Registration | None:
    """`alike` is (spots, known); pairs that are each other's best match vote for a fit."""
    best = np.argmax(alike, axis=1)
    is_mutual = np.argmax(alike, axis=0)[best] == np.arange(len(best))
    pairs = np.flatnonzero(is_mutual & (alike.max(axis=1) >= _LEAST_ALIKE))
    if len(pairs) < _LEAST_PAIRS:
        return None
    source, target = known_xy[best[pairs]], spots_xy[pairs]
    spacing = np.hypot(*(known_xy[:, None] - known_xy[None]).transpose(2, 0, 1))
    reach_px = 0.3 * float(np.min(spacing[spacing > 0], initial=np.inf))
    fit, inliers = cv2.estimateAffinePartial2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=min(reach_px, 1e6)
    )
    matrix = np.asarray(fit, np.float64)
    if matrix.shape != (2, 3) or not _is_turned_by(matrix, turns):  # OpenCV gives None for no fit
        return None
    return Registration(
        quarter_turns=turns,
        matrix=matrix,
        pair_count=int(np.count_nonzero(inliers)),
        core_count=len(known_xy),
    )


def _is_turned_by(matrix: Floats, turns: int) -> bool:
    angle = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) - 90.0 * turns
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return bool(abs((angle + 180.0) % 360.0 - 180.0) <= _MOST_TILT_DEG and 0.25 < scale < 4.0)


def _dearrayed(
    picture: SlidePicture, sight: SlideSight, first: NamedScan, registration: Registration
) -> Dearrayed:
    scale = float(np.hypot(*registration.matrix[:, 0]))
    diameter_px = first.grid.diameter_px * scale
    nodes = list(_nodes(sight, first, registration, diameter_px))
    cores = measured_cores(picture, sight.white, nodes, diameter_px)
    return Dearrayed(
        cores=tuple(cores),
        grid=_carried_grid(picture, sight, first, registration),
        white=sight.white,
    )


def _nodes(
    sight: SlideSight, first: NamedScan, registration: Registration, diameter_px: float
) -> Iterator[NamedNode]:
    places = registration.moved(np.array([(core.x_px, core.y_px) for core in first.cores]))
    working = (places + 0.5) / sight.working.shrink - 0.5
    reach_px = _REACH_DIAMETERS * diameter_px / sight.working.shrink
    found, strength = highest_near(working, sight.response, reach_px)
    usual = float(np.median(sight.spots.response))
    ratios = core_against_none(strength, usual)
    pitch_px = min(first.grid.pitch_px) * diameter_px / first.grid.diameter_px
    for at, core in enumerate(first.cores):
        yield NamedNode(
            name=core.name,
            found_xy=(
                sight.working.to_full(float(found[at, 0])),
                sight.working.to_full(float(found[at, 1])),
            ),
            predicted_xy=(float(places[at, 0]), float(places[at, 1])),
            tissue_ratio=float(ratios[at]),
            is_expected=core.status is not CoreStatus.EXTRA,
            in_scan=_lies_in(working[at], sight.response),
            label=core.label,
            source=PlaceSource.TEMPLATE,
            pitch_px=pitch_px,
        )


def _lies_in(xy: Floats, response: Grey) -> bool:
    rows, columns = response.shape
    return bool(0 <= xy[0] < columns and 0 <= xy[1] < rows)


def _carried_grid(
    picture: SlidePicture, sight: SlideSight, first: NamedScan, registration: Registration
) -> CoreGrid:
    matrix = registration.matrix
    scale = float(np.hypot(*matrix[:, 0]))
    turned = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    tilt = first.grid.tilt_deg + (turned - 90.0 * registration.quarter_turns + 180.0) % 360.0 - 180
    along, down = (scale * pitch for pitch in first.grid.pitch_px)
    red, green, blue = (float(level) for level in sight.white.white)
    return first.grid.model_copy(
        update={
            "orientation": Orientation(first.grid.orientation).turned(registration.quarter_turns),
            "pixel_size_um": picture.pixel_size_um,
            "diameter_px": scale * first.grid.diameter_px,
            "pitch_px": (down, along) if registration.quarter_turns % 2 else (along, down),
            "tilt_deg": tilt,
            "white": (red, green, blue),
            "candidates": (),
            "outside": tuple(_moved_outside(first, registration)),
        }
    )


def _moved_outside(first: NamedScan, registration: Registration) -> Iterator[CoreOutside]:
    for core in first.grid.outside:
        x_px, y_px = registration.moved(np.array([core.x_px, core.y_px]))
        yield core.model_copy(update={"x_px": float(x_px), "y_px": float(y_px)})
