"""What state a core is in: how much tissue, in how many pieces, how sharp, how coloured."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.basics.image import Grey, Mask, Rgb, is_unscanned, optical_density, to_uint8
from blurryscope.tma.stains import stain_densities
from blurryscope.tma.tissue import tissue_density

_WORKING_DIAMETER_PX = 300
"""Cores are measured at the coarsest level that shows them at least this large."""
_LEAST_DENSITY = 0.012
_LEAST_PIECE_FRACTION = 0.02
_PARTIAL_OUTLINE = 0.6
"""Outline's area by that of the usual disc: cores differ in size, half a core has 0.5."""
_PARTIAL_TISSUE = 0.35
_MISSING_BELOW = 0.06
_BARE = 0.02
"""Share of the disc below which a close look shows bare glass, whatever the overview hints at."""
_SURE = 1.1
"""Nats from which on an overview that shows a core is worth more than that."""
_FOLD_DENSITY = 0.25
UNKNOWN_FROM = 0.9
"""Share of the disc that was not scanned from which on seeing no core there says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreMeasures:
    """One core as measured in its own crop. Lengths are pixels of the crop."""

    centre_xy: tuple[float, float]
    """Middle of the tissue's outline, (x, y)."""
    diameter_px: float
    """Of the disc that has the area of the outline."""
    outline_fraction: float
    """Area of the outline by that of the usual disc; a whole core may be larger than 1."""
    tissue_fraction: float
    """Tissue in the usual disc, lumens closed."""
    piece_count: int
    largest_piece_fraction: float
    """Share of the tissue that the largest piece holds."""
    unscanned_fraction: float
    """Share of the usual disc that was not scanned."""
    is_hole: bool
    """Whether what was not scanned lies inside the scan, with scanned glass or tissue all round."""
    fold_fraction: float
    """Share of the tissue that is far denser than the rest in all colours."""
    focus: float
    saturation: float
    haematoxylin_od: float
    dab_od: float


def measuring_level(diameter_px: float, level_count: int) -> int:
    """The level of the pyramid to measure a core at."""
    level = 0
    while level + 1 < level_count and diameter_px / 2 ** (level + 1) >= _WORKING_DIAMETER_PX:
        level += 1
    return level


def measure_core(rgb: Rgb, white: NDArray[np.float64], diameter_px: float) -> CoreMeasures:
    """Measure the core in the middle of a crop, (row, col, rgb) uint8, 1.5 diameters wide."""
    centre = ((rgb.shape[1] - 1) / 2, (rgb.shape[0] - 1) / 2)
    scanned = ~is_unscanned(rgb)
    density = _density(rgb, white, scanned, diameter_px)
    within = _disc(density.shape, centre, 0.62 * diameter_px)
    mask = _tissue(density, within & scanned, diameter_px)
    pieces = _pieces(mask, diameter_px)
    usual = _disc(density.shape, centre, diameter_px / 2)
    disc_area = np.pi * diameter_px**2 / 4
    unscanned = 1.0 - np.count_nonzero(scanned & usual) / disc_area
    outline_xy, outline_diameter = _outline(mask, centre)
    tissue = rgb[mask]
    haematoxylin, dab = _stains(tissue, white)
    return CoreMeasures(
        centre_xy=outline_xy,
        diameter_px=outline_diameter,
        outline_fraction=(outline_diameter / diameter_px) ** 2,
        tissue_fraction=float(min(np.count_nonzero(mask) / disc_area, 1.0)),
        piece_count=len(pieces),
        largest_piece_fraction=float(max(pieces, default=0) / max(sum(pieces), 1)),
        unscanned_fraction=float(max(unscanned, 0.0)) if unscanned > 0.02 else 0.0,
        is_hole=_is_hole(~scanned, usual),
        fold_fraction=_fold_fraction(rgb, white, mask, diameter_px),
        focus=_focus(rgb, mask),
        saturation=_saturation(tissue, white),
        haematoxylin_od=haematoxylin,
        dab_od=dab,
    )


def status_of(measures: CoreMeasures, tissue_ratio: float, *, is_expected: bool) -> CoreStatus:
    """What to call it; `tissue_ratio` is the log-likelihood ratio of a core against none."""
    is_cut = measures.unscanned_fraction > 0.04
    shows_none = measures.tissue_fraction < _MISSING_BELOW * (1.0 - measures.unscanned_fraction)
    is_unknown = measures.unscanned_fraction > UNKNOWN_FROM
    none = CoreStatus.NOT_SCANNED if is_unknown else CoreStatus.MISSING
    checks = (
        (tissue_ratio < 0 and shows_none, none),
        (tissue_ratio < _SURE and measures.tissue_fraction < _BARE, none),
        (is_cut and measures.is_hole, CoreStatus.HOLED),
        (is_cut, CoreStatus.EDGE_CUT),
        (tissue_ratio < -1.5, CoreStatus.MISSING),
        (tissue_ratio < 1.0 or measures.tissue_fraction < _BARE, CoreStatus.UNSURE),
        (not is_expected, CoreStatus.EXTRA),
        (measures.piece_count > 1 and measures.largest_piece_fraction < 0.7, CoreStatus.FRAGMENTED),
        (measures.outline_fraction < _PARTIAL_OUTLINE, CoreStatus.PARTIAL),
        (measures.tissue_fraction < _PARTIAL_TISSUE, CoreStatus.PARTIAL),
        (measures.fold_fraction > 0.08, CoreStatus.FOLDED),
    )
    return next((status for is_so, status in checks if is_so), CoreStatus.OK)


def _is_hole(unscanned: Mask, usual: Mask) -> bool:
    """Whether the largest unscanned piece in the disc stays clear of the crop's border."""
    count, labels = cv2.connectedComponents(unscanned.astype(np.uint8))
    sizes = np.bincount(np.asarray(labels)[usual], minlength=count)[1:]
    if not sizes.any():
        return False
    piece = np.asarray(labels) == int(np.argmax(sizes)) + 1
    border = np.concatenate([piece[0], piece[-1], piece[:, 0], piece[:, -1]])
    return not border.any()


def _density(rgb: Rgb, white: NDArray[np.float64], scanned: Mask, diameter_px: float) -> Grey:
    filled = rgb.copy()
    filled[~scanned] = to_uint8(white)  # what was never scanned must not bleed into what was
    smooth = np.asarray(cv2.GaussianBlur(filled, (0, 0), max(0.012 * diameter_px, 0.5)), np.uint8)
    return np.where(scanned, tissue_density(smooth, white), np.float32(0))


def _disc(shape: tuple[int, ...], centre_xy: tuple[float, float], radius_px: float) -> Mask:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (columns - centre_xy[0]) ** 2 + (rows - centre_xy[1]) ** 2 <= radius_px**2


def _tissue(density: Grey, within: Mask, diameter_px: float) -> Mask:
    if not within.any():
        return within
    glass = min(float(np.quantile(density[within], 0.05)), 0.03)
    usual = float(np.quantile(density[within], 0.7)) - glass
    mask = (density - glass > max(_LEAST_DENSITY, 0.25 * usual)) & within
    # Lumens and tears narrower than a fifteenth of the core belong to it.
    side = 2 * int(diameter_px / 30) + 1
    closing = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, closing)
    small = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    return np.asarray((cv2.morphologyEx(closed, cv2.MORPH_OPEN, small) > 0) & within)


def _pieces(mask: Mask, diameter_px: float) -> list[int]:
    """Areas of the pieces that are more than crumbs."""
    count, _, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    least = _LEAST_PIECE_FRACTION * np.pi * diameter_px**2 / 4
    areas = [int(boxes[number, cv2.CC_STAT_AREA]) for number in range(1, count)]
    return [area for area in areas if area >= least]


def _outline(mask: Mask, centre: tuple[float, float]) -> tuple[tuple[float, float], float]:
    if not mask.any():
        return centre, 0.0
    # Only what begins or ends a row can be a corner.
    rows = np.flatnonzero(mask.any(axis=1))
    begins = mask[rows].argmax(axis=1)
    ends = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    corners = np.stack([np.r_[begins, ends], np.r_[rows, rows]], axis=1)
    hull = cv2.convexHull(corners.astype(np.int32))
    moments = cv2.moments(hull)
    if moments["m00"] <= 0:
        return centre, 0.0
    middle = (moments["m10"] / moments["m00"], moments["m01"] / moments["m00"])
    return middle, float(2.0 * np.sqrt(moments["m00"] / np.pi))


def _fold_fraction(rgb: Rgb, white: NDArray[np.float64], mask: Mask, diameter_px: float) -> float:
    """A fold is dense in every colour (brown stain leaves red light through) and one patch."""
    if not mask.any():
        return 0.0
    red, green, blue = np.moveaxis(optical_density(rgb, white), 2, 0)
    darkest = np.minimum(np.minimum(red, green), blue)
    level = max(2.2 * float(np.median(darkest[mask])), _FOLD_DENSITY)
    dense = np.asarray((cv2.GaussianBlur(darkest, (0, 0), 0.015 * diameter_px) > level) & mask)
    return float(min(sum(_pieces(dense, diameter_px)) / np.count_nonzero(mask), 1.0))


def _focus(rgb: Rgb, mask: Mask) -> float:
    """Share of the contrast that is fine detail down the columns, where motion does not blur."""
    if np.count_nonzero(mask) < 100:
        return 0.0
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (1, 0), sigmaX=0.01, sigmaY=1.5)
    coarse = grey - cv2.GaussianBlur(grey, (1, 0), sigmaX=0.01, sigmaY=12.0)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    if np.count_nonzero(inner) < 100 or coarse[inner].std() == 0:
        return 0.0
    return float(min(fine[inner].std() / coarse[inner].std(), 1.0))


def _saturation(tissue: Rgb, white: NDArray[np.float64]) -> float:
    """Of the pixels of the tissue, (pixel, rgb) uint8."""
    if not len(tissue):
        return 0.0
    levels = np.arange(256, dtype=np.float32)[:, None] / white.astype(np.float32)
    red, green, blue = (levels[:, colour].take(tissue[:, colour]) for colour in range(3))
    highest = np.maximum(np.maximum(np.maximum(red, green), blue), 1e-6)
    lowest = np.minimum(np.minimum(red, green), blue)
    return float(np.clip(np.mean(1.0 - lowest / highest), 0.0, 1.0))


def _stains(tissue: Rgb, white: NDArray[np.float64]) -> tuple[float, float]:
    """Mean density of haematoxylin and of DAB in the pixels of the tissue, (pixel, rgb) uint8."""
    if not len(tissue):
        return 0.0, 0.0
    haematoxylin, dab = stain_densities(tissue, white).mean(axis=0)
    return max(float(haematoxylin), 0.0), max(float(dab), 0.0)
