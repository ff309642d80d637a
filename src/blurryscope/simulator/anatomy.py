"""Where things are in a core: its outline, tumour cells and their borders, stroma, gaps."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Mask
from blurryscope.simulator.appearance import Appearance, Architecture
from blurryscope.simulator.texture import (
    Field,
    jittered_grid,
    level_of_share,
    rough_field,
    smooth_field,
    stretched_by,
)

Points = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """The plan of one core. Pictures are (row, col), points are (point, [row, col])."""

    tissue: Mask
    """Where there is any tissue."""
    cells: NDArray[np.int32]
    """Which tumour cell a pixel belongs to, 1 and up; 0 outside tumour cells."""
    cell_count: int
    nuclei: Points
    """One per tumour cell, in the order of `cells`: entry i belongs to cell i + 1."""
    nucleus_angle_rad: NDArray[np.float32]
    stroma: Mask
    fibres: Field
    """Collagen, mean 0, deviation about 1."""
    fibre_angle_rad: Field
    """Which way it runs; 0 is along x, growing towards y."""


def plan_anatomy(
    size_px: int,
    diameter_px: float,
    um_per_px: float,
    appearance: Appearance,
    rng: np.random.Generator,
) -> Anatomy:
    """Plan a core of `diameter_px` in the middle of a square picture of `size_px`."""
    outline = _outline(size_px, diameter_px, um_per_px, rng)
    angle_rad = float(rng.uniform(0, math.pi))
    fibres, fibre_angle_rad = _fibres(outline.shape, um_per_px, angle_rad, rng)
    tumour = _tumour_region(outline, um_per_px, angle_rad, appearance, rng)
    to_border_px = cv2.distanceTransform(tumour.astype(np.uint8), cv2.DIST_L2, 3)
    depth_um = np.asarray(to_border_px * um_per_px, np.float32)
    if appearance.architecture is Architecture.DUCTS:
        seeds, nuclei, turn_rad, height_um = _columnar_cells(depth_um, um_per_px, appearance, rng)
        lumen = depth_um > height_um
        body = tumour & ~lumen
    else:
        seeds, turn_rad = _polygonal_cells(tumour, um_per_px, appearance, rng)
        nuclei, lumen, body = seeds, np.zeros_like(tumour), tumour
    cells, distance_px = _voronoi(seeds, body.shape)
    if appearance.architecture is Architecture.SINGLE_CELLS:  # loose cells round themselves off
        body = body & (distance_px * um_per_px < 0.62 * appearance.cell_size_um)
    gaps = _gaps(outline, um_per_px, appearance, rng)
    cells[~body | gaps | ~outline] = 0
    tissue = outline & ~gaps & ~lumen
    return Anatomy(
        tissue=tissue,
        cells=cells,
        cell_count=len(seeds),
        nuclei=nuclei,
        nucleus_angle_rad=turn_rad,
        stroma=tissue & (cells == 0),
        fibres=fibres,
        fibre_angle_rad=fibre_angle_rad,
    )


def _outline(size_px: int, diameter_px: float, um_per_px: float, rng: np.random.Generator) -> Mask:
    """A disc as a punch leaves it: a little oval, dented, with a frayed edge."""
    coarse = np.linspace(-1.0, 1.0, size_px // 8 + 1, dtype=np.float32) * np.float32(size_px / 2)
    direction = np.arctan2(coarse[:, None], coarse[None, :])
    reach = np.hypot(coarse[:, None], coarse[None, :]) - np.float32(diameter_px / 2)
    for order, sway in ((2, 0.035), (3, 0.018), (5, 0.009), (9, 0.004)):
        phase = np.float32(rng.uniform(0, 2 * math.pi))
        dent = np.float32(rng.normal(0, sway) * diameter_px / 2)
        reach -= dent * np.cos(np.float32(order) * direction + phase)
    beyond = cv2.resize(reach, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    frayed = smooth_field(beyond.shape, 34.0 / um_per_px, rng) * np.float32(4.0 / um_per_px)
    frayed += smooth_field(beyond.shape, 7.0 / um_per_px, rng) * np.float32(1.6 / um_per_px)
    return np.asarray(beyond < frayed)


def _fibres(
    shape: tuple[int, ...], um_per_px: float, angle_rad: float, rng: np.random.Generator
) -> tuple[Field, Field]:
    """Wavy collagen, and its direction at each pixel (on a picture four times smaller)."""
    size = (shape[0], shape[1])
    sway = smooth_field(size, 90.0 / um_per_px, rng) * np.float32(20.0 / um_per_px)
    narrow_size, along, across = stretched_by(size, 8.0, angle_rad, sway)
    threads = rough_field(narrow_size, 2.6 / um_per_px, rng)
    fibres = cv2.remap(threads, along, across, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    coarse = cv2.resize(sway, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    slope_row, slope_column = np.gradient(coarse, 4.0)
    slope = slope_column * math.cos(angle_rad) + slope_row * math.sin(angle_rad)
    return np.asarray(fibres, np.float32), np.asarray(angle_rad - np.arctan(slope), np.float32)


def _tumour_region(
    outline: Mask,
    um_per_px: float,
    angle_rad: float,
    appearance: Appearance,
    rng: np.random.Generator,
) -> Mask:
    shape = (outline.shape[0], outline.shape[1])
    width_px = appearance.structure_um / um_per_px
    if appearance.architecture is Architecture.SINGLE_CELLS:
        cords = -np.abs(rough_field(shape, 0.75 * width_px, rng))
        cords += np.float32(0.35) * smooth_field(shape, 2.5 * width_px, rng)
        return np.asarray(
            (cords > level_of_share(cords, appearance.tumour_fraction, outline)) & outline
        )
    islands, depth_px = _islands(shape, width_px, angle_rad, rng)
    favour = _mean_by_label(rough_field(islands.shape, 1.75 * width_px, rng), islands)
    chosen = np.take(favour, islands)
    half_outline = outline[::2, ::2]
    level = level_of_share(chosen, min(appearance.tumour_fraction / 0.85, 1.0), half_outline)
    # Stroma runs between the islands; where this field is low they touch, if they are not glands.
    least_um = 3.0 if appearance.architecture is Architecture.DUCTS else -20.0
    septum_um = 5.0 + 8.0 * smooth_field(islands.shape, 55.0 / um_per_px, rng)
    apart_um = depth_px * um_per_px - np.maximum(septum_um, least_um)
    apart_um[chosen <= level] = -20.0
    smoothed = cv2.GaussianBlur(np.clip(apart_um, -6.0, 12.0), (0, 0), 2.0 / um_per_px)
    full = cv2.resize(smoothed, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray((full > 0) & outline)


def _islands(
    shape: tuple[int, int], width_px: float, angle_rad: float, rng: np.random.Generator
) -> tuple[NDArray[np.int32], Field]:
    """Part the plane into rounded, bent islands: which one a pixel is in, and how deep.

    Both pictures are half as wide as `shape`; the depth is in pixels of `shape`.
    """
    half = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)  # outlines this slow need no full picture
    half_width_px = width_px / 2
    sway = rough_field(half, 0.9 * half_width_px, rng) * np.float32(0.22 * half_width_px)
    size, along, across = stretched_by(half, float(rng.uniform(1.0, 2.4)), angle_rad, sway)
    along += smooth_field(half, 0.8 * half_width_px, rng) * np.float32(0.12 * half_width_px)
    regions, _ = _voronoi(jittered_grid(size, half_width_px, rng, jitter=0.5), size)
    islands = cv2.remap(
        regions.astype(np.float32), along, across, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT
    )
    inside = np.ones(half, np.uint8)
    inside[1:][islands[1:] != islands[:-1]] = 0
    inside[:, 1:][islands[:, 1:] != islands[:, :-1]] = 0
    depth_px = 2 * cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    return islands.astype(np.int32), np.asarray(depth_px, np.float32)


def _mean_by_label(field: Field, labels: NDArray[np.int32]) -> Field:
    """The mean of `field` over each label, judged on every fourth pixel; 0 where there is none."""
    some, values = labels[::4, ::4].ravel(), field[::4, ::4].ravel()
    length = int(labels.max()) + 1
    count = np.bincount(some, minlength=length)
    return np.asarray(
        np.bincount(some, values, minlength=length) / np.maximum(count, 1), np.float32
    )


def _polygonal_cells(
    tumour: Mask, um_per_px: float, appearance: Appearance, rng: np.random.Generator
) -> tuple[Points, NDArray[np.float32]]:
    shape = (tumour.shape[0], tumour.shape[1])
    points = jittered_grid(shape, appearance.cell_size_um / um_per_px, rng)
    points = points[tumour[points[:, 0], points[:, 1]]]
    return points, rng.uniform(0, math.pi, len(points)).astype(np.float32)


def _columnar_cells(
    depth_um: Field, um_per_px: float, appearance: Appearance, rng: np.random.Generator
) -> tuple[Points, Points, NDArray[np.float32], Field]:
    """Cells that stand on the border of the tumour; their seeds, nuclei, turns, and their height.

    The cells are the Voronoi regions of points along the border, which makes them narrow and
    upright on it; some seeds further in give the crowded look of tumour glands.
    """
    shape = (depth_um.shape[0], depth_um.shape[1])
    height_um = np.float32(2.1 * appearance.cell_size_um) * (
        1 + np.float32(0.16) * smooth_field(shape, 60.0 / um_per_px, rng)
    )
    border, _ = cv2.findContours(
        (depth_um > 0).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    walk = np.concatenate(border)[:, 0, ::-1] if border else np.zeros((0, 2), np.int32)
    spacing_px = 0.52 * appearance.cell_size_um / um_per_px
    picked = np.arange(0, len(walk), spacing_px)
    picked = picked + rng.uniform(-0.3, 0.3, len(picked)) * spacing_px
    standing = walk[np.clip(picked, 0, max(len(walk) - 1, 0)).astype(np.intp)]
    inner = jittered_grid(shape, 1.05 * appearance.cell_size_um / um_per_px, rng)
    inner_depth = depth_um[inner[:, 0], inner[:, 1]]
    inner_top = height_um[inner[:, 0], inner[:, 1]]
    inner = inner[(inner_depth > 0.55 * inner_top) & (inner_depth < 0.95 * inner_top)]
    inner = inner[rng.random(len(inner)) < 0.55]
    slope = np.asarray(cv2.GaussianBlur(depth_um, (0, 0), 4.0 / um_per_px), np.float32)
    seeds = np.concatenate([standing, inner]).astype(np.int32)
    upward = _uphill(slope, seeds, reach_px=max(round(5.0 / um_per_px), 1))
    rise_um = rng.uniform(0.22, 0.5, len(seeds)) * 2.1 * appearance.cell_size_um
    rise_um[len(standing) :] = 0.0
    nuclei = seeds + np.rint(upward * (rise_um / um_per_px)[:, None]).astype(np.int32)
    turn_rad = np.mod(np.arctan2(upward[:, 0], upward[:, 1]), math.pi)
    return seeds, nuclei, turn_rad.astype(np.float32), np.asarray(height_um, np.float32)


def _uphill(field: Field, points: Points, reach_px: int) -> NDArray[np.float64]:
    """Unit vectors (row, col) in which `field` grows at the points."""
    padded = np.pad(field, reach_px, mode="edge")
    row, column = points[:, 0] + reach_px, points[:, 1] + reach_px
    rise = np.stack(
        [
            padded[row + reach_px, column] - padded[row - reach_px, column],
            padded[row, column + reach_px] - padded[row, column - reach_px],
        ],
        axis=1,
    ).astype(np.float64)
    return np.asarray(rise / np.maximum(np.linalg.norm(rise, axis=1, keepdims=True), 1e-6))


def _voronoi(seeds: Points, shape: tuple[int, ...]) -> tuple[NDArray[np.int32], Field]:
    """To which seed each pixel is nearest (seed i gives i + 1), and how far it is, in pixels."""
    away = np.ones(shape, np.uint8)
    away[seeds[:, 0], seeds[:, 1]] = 0
    if not len(seeds):
        return np.zeros(shape, np.int32), np.full(shape, np.inf, np.float32)
    distance, labels = cv2.distanceTransformWithLabels(
        away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    number_of = np.zeros(int(labels.max()) + 1, np.int32)
    number_of[labels[seeds[:, 0], seeds[:, 1]]] = np.arange(1, len(seeds) + 1)
    return number_of[np.asarray(labels, np.int32)], np.asarray(distance, np.float32)


def _gaps(
    outline: Mask, um_per_px: float, appearance: Appearance, rng: np.random.Generator
) -> Mask:
    """Cracks along the zero line of a slow field, holes at its peaks; half of the share each."""
    if appearance.tear_fraction <= 0.0:
        return np.zeros_like(outline)
    half_outline = outline[::2, ::2]
    shape = (half_outline.shape[0], half_outline.shape[1])
    cracks = -np.abs(rough_field(shape, 95.0 / um_per_px, rng))
    holes = rough_field(shape, 27.5 / um_per_px, rng)
    where = smooth_field(shape, 130.0 / um_per_px, rng)
    share = appearance.tear_fraction / 2
    cracks += np.float32(0.5) * where
    holes += where
    cracks -= np.float32(level_of_share(cracks, share, half_outline))
    holes -= np.float32(level_of_share(holes, share, half_outline))
    open_half = np.maximum(cracks, holes)
    gaps = cv2.resize(open_half, outline.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(gaps > 0)
