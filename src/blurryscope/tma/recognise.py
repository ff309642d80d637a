"""Whether two scans give the same names to the same tissue: each core is looked for in the other.

Names that follow the map can be wrong in the same convincing way as long as the map is symmetric.
Tissue is not: a core looks like itself, however the slide was laid on the stage, and like no
other. That is evidence of another kind, free of scores.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.tissue_cores import CoreGrid, TissueCore
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import SlidePicture

Floats = NDArray[np.float64]

_SIDE_PX = 32
"""Of the small picture of a core: glands and the stroma between them, no motion blur."""
_REACH_PX = 4
"""Of those, how far a core may lie from where it lies in the other scan."""
_LEAST_FRACTION = 0.6
"""Of cores that must be more like their namesake than like any other core."""
_LEAST_LIKENESS = 0.5
"""Mean correlation of namesakes. The same cores scanned twice reach 0.9 and more in simulated
scans, other cores stay below 0.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedScan:
    """One scan of a slide with its cores named."""

    picture: SlidePicture
    cores: Sequence[TissueCore]
    grid: CoreGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """How many cores of a scan are recognised in the cores of the same name in another."""

    recognised_count: int
    """More like their namesake than like any other core."""
    compared_count: int
    """Cores with tissue in both scans."""
    likeness: float
    """Mean correlation of namesakes, -1 to 1."""

    @property
    def is_proven(self) -> bool:
        """Whether the names agree beyond doubt; never so where there is nothing to compare."""
        return (
            self.compared_count > 0
            and self.recognised_count >= _LEAST_FRACTION * self.compared_count
            and self.likeness >= _LEAST_LIKENESS
        )


def recognise(scan: NamedScan, first: NamedScan) -> Recognition:
    """Look for each core of `scan` among the cores of `first`, both turned as the map has them."""
    known = {core.name: core for core in first.cores if core.status.has_tissue}
    both = [core for core in scan.cores if core.status.has_tissue and core.name in known]
    if not both:
        return Recognition(recognised_count=0, compared_count=0, likeness=0.0)
    ours = np.stack([core_as_mapped(scan, core.x_px, core.y_px) for core in both])
    others_of_first = [known[core.name] for core in both]
    theirs = np.stack([core_as_mapped(first, core.x_px, core.y_px) for core in others_of_first])
    alike = likeness(ours, theirs)
    own = np.diag(alike)
    others = np.where(np.eye(len(both), dtype=bool), -np.inf, alike)
    return Recognition(
        recognised_count=int(np.count_nonzero(own > others.max(axis=1))),
        compared_count=len(both),
        likeness=float(own.mean()),
    )


def core_as_mapped(scan: NamedScan, x_px: float, y_px: float) -> Floats:
    """A small picture of what lies there, turned as the map has it; see `small_picture`."""
    white = np.array(scan.grid.white)
    small = small_picture(scan.picture, (x_px, y_px), scan.grid.diameter_px, white)
    return _as_in_map(small, Orientation(scan.grid.orientation))


def small_picture(
    picture: SlidePicture, xy_px: tuple[float, float], diameter_px: float, white: Floats
) -> Floats:
    """Optical density of a core as it lies in the scan, (row, col)."""
    level = 0
    while level + 1 < picture.level_count and diameter_px / 2 ** (level + 1) >= 2 * _SIDE_PX:
        level += 1
    side = max(round(diameter_px / 2**level), 2)
    left, top = (round((at + 0.5) / 2**level - side / 2) for at in xy_px)
    rgb = picture.read(top, left, (side, side), level).astype(np.float64)
    seen = np.where(rgb > 0, rgb, white)  # unscanned tells nothing
    density = -np.log10(np.maximum(seen, 1.0) / white).sum(axis=-1)
    small = cv2.resize(density, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float64)


def _as_in_map(picture: Floats, orientation: Orientation) -> Floats:
    """Undo what `Orientation.laid` does."""
    upright = np.rot90(picture, orientation.quarter_turns)
    return np.fliplr(upright) if orientation.is_mirrored else upright


def likeness(ours: Floats, theirs: Floats) -> Floats:
    """Highest correlation over small shifts, (ours, theirs), of the detail inside the disc."""
    inner = _SIDE_PX - 2 * _REACH_PX
    grid = np.indices((inner, inner)) - (inner - 1) / 2
    disc = np.hypot(*grid) <= inner / 2
    fixed = _normed(theirs[:, _REACH_PX:-_REACH_PX, _REACH_PX:-_REACH_PX][:, disc])
    best = np.full((len(ours), len(theirs)), -1.0)
    for down, right in itertools.product(range(2 * _REACH_PX + 1), repeat=2):
        moved = _normed(ours[:, down : down + inner, right : right + inner][:, disc])
        np.maximum(best, moved @ fixed.T, out=best)
    return best


def _normed(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(length, 1e-9))
