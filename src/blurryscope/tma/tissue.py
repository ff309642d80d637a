"""Where tissue is, and discs of it: optical density, the usual core diameter, disc-like spots.

All lengths are pixels of the working picture, about a hundredth of the slide's resolution.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import percentile_filter

from blurryscope.basics.image import Grey, Mask, Rgb, is_unscanned, optical_density
from blurryscope.tma.foreign import is_ink, no_cores

_HALF_TISSUE_OD = 0.02
"""Density at which a pixel counts half: pale cores then weigh little less than dark ones."""
_RING = (1.15, 1.55)
"""Inner and outer radius of the surroundings a disc is compared with, in disc radii."""

_GLASS_SHARE = 0.12
"""Share of a row that shows glass even where it crosses all cores of a crowded array."""
_MOST_LANE_STEP_OD = 0.02
"""Rests of steps of exposure between lanes are smaller."""

_LEAST_SHARE = 0.35
"""Of a disc or ring that must be scanned to say anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueMap:
    """A slide as tissue against glass."""

    density: Grey
    """`tissue_density` above the glass around."""
    tissue: Grey
    """The same made flat, 0 glass to 1 dense tissue."""
    scanned: Mask
    """False where no frame was, and on slide edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spots:
    """Disc-like pieces of tissue, strongest first."""

    xy_px: NDArray[np.float64]
    """(n, 2) centres, x and y."""
    response: NDArray[np.float64]
    """(n,) tissue in the disc minus tissue around it, up to 1."""


def map_tissue(rgb: Rgb, white: NDArray[np.float64]) -> TissueMap:
    """Tell tissue from glass in the working picture, (row, col, rgb) uint8."""
    touches_black = cv2.dilate(is_unscanned(rgb).astype(np.uint8), np.ones((3, 3), np.uint8))
    scanned = touches_black == 0  # a pixel at the border is half black, which looks like tissue
    scanned &= ~is_ink(rgb, white)
    density = tissue_density(rgb, white)
    return _tissue_map(np.where(scanned, density, 0.0).astype(np.float32), scanned)


def tissue_density(rgb: Rgb, white: NDArray[np.float64]) -> Grey:
    """Mean optical density of the channels plus half their spread: pale but coloured counts."""
    red, green, blue = np.moveaxis(optical_density(rgb, white), 2, 0)
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    return np.asarray((red + green + blue) / 3 + 0.5 * (highest - lowest), np.float32)


def _tissue_map(density: Grey, scanned: Mask) -> TissueMap:
    above_noise = np.maximum(density - 2.0 * _glass_noise(density, scanned), 0.0)
    tissue = above_noise / (above_noise + _HALF_TISSUE_OD)
    return TissueMap(density=density, tissue=tissue.astype(np.float32), scanned=scanned)


def _glass_noise(density: Grey, scanned: Mask) -> float:
    """Spread of the density where it is lowest, which is glass."""
    values = density[scanned]
    glass = values[values <= np.quantile(values, 0.4)] if values.size else np.zeros(1, np.float32)
    return float(np.quantile(glass, 0.9) - np.quantile(glass, 0.1))


def without_uneven_light(tissue_map: TissueMap, diameter_px: float) -> TissueMap:
    """Subtract the density of the glass around each place: rests of shading, steps of exposure."""
    step = max(int(diameter_px / 6), 1)
    rows, columns = tissue_map.density.shape
    small = cv2.resize(
        tissue_map.density,
        (max(columns // step, 1), max(rows // step, 1)),
        interpolation=cv2.INTER_AREA,
    )
    window = int(np.ceil(3.2 * diameter_px / step))
    glass = cv2.blur(percentile_filter(small, 20, size=window, mode="nearest"), (3, 3))
    glass = cv2.resize(glass, (columns, rows), interpolation=cv2.INTER_LINEAR)
    flat = np.where(tissue_map.scanned, np.maximum(tissue_map.density - glass, 0.0), 0.0)
    flat = np.maximum(flat - _steps_between_lanes(flat, tissue_map.scanned), 0.0)
    return _tissue_map(flat.astype(np.float32), tissue_map.scanned)


def _steps_between_lanes(density: NDArray[np.floating], scanned: Mask) -> NDArray[np.float64]:
    """(rows, 1) by how much the glass of each row is too dark: lanes run along rows.

    Between cores there is glass in every row; capped, so that a row all of tissue stays tissue.
    """
    values = np.sort(np.where(scanned, density, np.inf), axis=1)
    index = (_GLASS_SHARE * np.count_nonzero(scanned, axis=1)).astype(int)
    glass = values[np.arange(len(values)), np.minimum(index, values.shape[1] - 1)]
    glass = np.where(np.isfinite(glass), glass, 0.0)
    return np.minimum(glass, _MOST_LANE_STEP_OD)[:, None]


def without_edges(tissue_map: TissueMap, diameter_px: float) -> TissueMap:
    """Take out what no core is: edges of slide and cover slip, hairs, ink, wide dark fields.

    What lies there is then unknown, as where nothing was scanned.
    """
    foreign = no_cores(tissue_map.density, diameter_px)
    if not foreign.any():
        return tissue_map
    return TissueMap(
        density=np.where(foreign, np.float32(0), tissue_map.density),
        tissue=np.where(foreign, np.float32(0), tissue_map.tissue),
        scanned=np.asarray(tissue_map.scanned & ~foreign),
    )


def usual_diameter(tissue_map: TissueMap, between_px: tuple[float, float]) -> float:
    """The diameter for which discs explain most of the tissue.

    A disc that is too small sees as much tissue around as inside, one that is too large is not
    filled; the sum of squared responses times disc area is highest at the true size.
    """
    diameters = np.geomspace(*between_px, 28)
    explained = np.array([_explained(tissue_map.tissue, diameter) for diameter in diameters])
    best = int(np.argmax(explained))
    if 0 < best < len(diameters) - 1:  # the top of the parabola through three points
        before, at, after = explained[best - 1 : best + 2]
        shift = 0.5 * (before - after) / (before - 2 * at + after)
        return float(diameters[best] * (diameters[1] / diameters[0]) ** shift)
    return float(diameters[best])


def _explained(tissue: Grey, diameter_px: float) -> float:
    shrink = max(int(diameter_px / 12), 1)
    rows, columns = tissue.shape
    small = cv2.resize(tissue, (columns // shrink, rows // shrink), interpolation=cv2.INTER_AREA)
    response = disc_response(np.asarray(small, np.float32), diameter_px / shrink, ring_weight=1.0)
    _, strengths = _peaks(response, diameter_px / shrink, 0.12)
    return float(np.sum(strengths**2)) * diameter_px**2


def disc_response(
    tissue: Grey, diameter_px: float, scanned: Mask | None = None, ring_weight: float = 0.8
) -> Grey:
    """Mean tissue in a disc minus `ring_weight` times the mean in the ring around it.

    With `scanned`, means are taken over what was scanned, so that a core at the edge of the scan
    is not weaker than others; what lies beyond the picture's border counts as not scanned.
    """
    disc, ring = _disc_and_ring_means(tissue, diameter_px / 2)
    if scanned is not None:
        disc_share, ring_share = _disc_and_ring_means(scanned.astype(np.float32), diameter_px / 2)
        disc, ring = (
            np.where(share > _LEAST_SHARE, total / np.maximum(share, _LEAST_SHARE), 0.0)
            for total, share in ((disc, disc_share), (ring, ring_share))
        )
    # A core smaller than the disc gives a plateau: smoothing leaves one top on it.
    smoothing = max(0.06 * diameter_px, 0.3)
    response = (disc - ring_weight * ring).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(response, (0, 0), smoothing), np.float32)


def _disc_and_ring_means(values: Grey, radius_px: float) -> tuple[Grey, Grey]:
    """Means over the disc and over the ring around it, at every pixel."""
    inner, outer = (factor * radius_px for factor in _RING)
    ring = _disc_mean(values, outer) * outer**2 - _disc_mean(values, inner) * inner**2
    return _disc_mean(values, radius_px), np.asarray(ring / (outer**2 - inner**2), np.float32)


def _disc_mean(tissue: Grey, radius_px: float) -> Grey:
    reach = int(np.ceil(radius_px))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius_px + 0.5 - np.hypot(x, y), 0.0, 1.0).astype(np.float32)
    mean = cv2.filter2D(tissue, -1, kernel / kernel.sum(), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(mean, np.float32)


def find_spots(response: Grey, diameter_px: float, least_response: float) -> Spots:
    """Local maxima of a `disc_response`, not closer to one another than about a radius."""
    xy, strengths = _peaks(response, diameter_px, least_response)
    order = np.lexsort((xy[:, 0], xy[:, 1], -strengths))
    return Spots(xy_px=xy[order], response=strengths[order])


def _peaks(
    response: Grey, diameter_px: float, least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    side = 2 * max(int(0.5 * diameter_px), 1) + 1
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    rows, columns = np.nonzero((response >= cv2.dilate(response, around)) & (response > least))
    xy = np.stack([columns, rows], axis=1).astype(np.float64)
    return xy, response[rows, columns].astype(np.float64)
