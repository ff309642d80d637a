"""One core of tissue, drawn: anatomy, nuclei, membranes stained by score, and what goes wrong."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Mask, Rgb
from blurryscope.simulator.anatomy import Anatomy, plan_anatomy
from blurryscope.simulator.appearance import Appearance, MembranePattern, random_pattern
from blurryscope.simulator.stain import stained_light
from blurryscope.simulator.texture import (
    Field,
    level_of_share,
    nucleus_bank,
    smooth_field,
    stamp,
)

_MARGIN = 1.14
"""Side of the picture against the diameter of the core: room for an oval outline."""
_OPTICS_UM = 0.55
"""Deviation of the blur of a 10x lens (NA 0.25) and a 4 µm section."""
_MEMBRANE_UM = 0.55
"""How wide the stain on one cell's side of a border is."""
_DEBRIS_DAB = np.float32(0.03)
"""Of necrosis: it takes up a little stain without any membrane."""
_EDGE_UM = 12.0
"""How far the brown of a rim reaches in."""
_SLANT_UM = 2.6
"""How far a border that is cut slantwise spreads; with 4 µm of section most are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnCore:
    """A core as light through it; all pictures are square and of one size."""

    rgb: Rgb
    """(row, col, rgb) uint8; 255 is clear glass, every light source still to be multiplied in."""
    tissue: Mask
    positive_membranes: Mask
    """Where a membrane carries DAB of moderate strength or more."""
    dab: Field
    """Amount of DAB, as optical density along its own direction in colour."""
    pattern: MembranePattern


def draw_core(
    score: Score,
    *,
    diameter_um: float,
    pixel_size_um: float,
    rng: np.random.Generator,
    appearance: Appearance,
) -> DrawnCore:
    """Draw a core that a pathologist would score as `score`, sharp, at rest.

    The picture is a square of about 1.14 diameters. The staining of membranes follows a pattern
    drawn for the score (`random_pattern`): cores of one score differ, some lie near the next.
    """
    if diameter_um <= 0 or pixel_size_um <= 0:
        raise ValueError(
            f"diameter and pixel size must be positive, got {diameter_um}, {pixel_size_um}"
        )
    size_px = math.ceil(_MARGIN * diameter_um / pixel_size_um)
    anatomy = plan_anatomy(size_px, diameter_um / pixel_size_um, pixel_size_um, appearance, rng)
    pattern = random_pattern(score, rng)
    haematoxylin = _counterstain(anatomy, pixel_size_um, appearance, rng)
    membranes, dab = _her2_stain(anatomy, pattern, pixel_size_um, appearance, rng)
    for _ in range(appearance.fold_count):
        haematoxylin, dab = _folded(haematoxylin, dab, anatomy.tissue, pixel_size_um, rng)
    blur_px = _OPTICS_UM / pixel_size_um
    dab = np.asarray(cv2.GaussianBlur(dab, (0, 0), blur_px), np.float32)
    haematoxylin = np.asarray(cv2.GaussianBlur(haematoxylin, (0, 0), blur_px), np.float32)
    return DrawnCore(
        rgb=stained_light(haematoxylin, dab, appearance),
        tissue=anatomy.tissue,
        positive_membranes=np.asarray(membranes > 0.3),
        dab=dab,
        pattern=pattern,
    )


def _counterstain(
    anatomy: Anatomy, um_per_px: float, appearance: Appearance, rng: np.random.Generator
) -> Field:
    """Haematoxylin: fibres, cytoplasm and nuclei."""
    tissue = anatomy.tissue
    shape = (tissue.shape[0], tissue.shape[1])
    pale = 0.055 + 0.014 * smooth_field(shape, 120.0 / um_per_px, rng)
    fibrous = np.maximum(pale + np.float32(0.022) * anatomy.fibres, 0.006)
    cell_tone = rng.normal(0.075, 0.015, anatomy.cell_count + 1).astype(np.float32)
    grain = smooth_field(shape, 2.0 / um_per_px, rng)
    cytoplasm = np.take(cell_tone, anatomy.cells) * (1 + np.float32(0.18) * grain)
    plane = np.where(anatomy.cells > 0, cytoplasm, fibrous * (1 + np.float32(0.3) * grain))
    plane = np.asarray(np.where(tissue, plane, 0.0), np.float32)
    nuclei = np.zeros(shape, np.float32)
    _stamp_tumour_nuclei(nuclei, anatomy, um_per_px, appearance, rng)
    _stamp_stroma_nuclei(nuclei, anatomy, um_per_px, appearance, rng)
    nuclei[~tissue] = 0.0
    return np.asarray((plane + nuclei) * np.float32(appearance.haematoxylin_strength), np.float32)


def _stamp_tumour_nuclei(
    plane: Field,
    anatomy: Anatomy,
    um_per_px: float,
    appearance: Appearance,
    rng: np.random.Generator,
) -> None:
    row, column = np.clip(anatomy.nuclei, 0, np.array(plane.shape) - 1).T
    kept = (anatomy.cells[row, column] > 0) & (rng.random(len(row)) < 0.9)  # some lie off the plane
    bank = nucleus_bank(0.36 * appearance.cell_size_um / um_per_px, 0.74, 0.9, rng)
    entry = _entry(anatomy.nucleus_angle_rad[kept], len(bank), 0.15, rng)
    strength = rng.normal(0.2, 0.05, int(kept.sum())).clip(0.06, 0.5).astype(np.float32)
    stamp(plane, anatomy.nuclei[kept], bank[entry], strength)


def _stamp_stroma_nuclei(
    plane: Field,
    anatomy: Anatomy,
    um_per_px: float,
    appearance: Appearance,
    rng: np.random.Generator,
) -> None:
    """Fibroblasts lie along the fibres; lymphocytes come in crowds."""
    shape = (plane.shape[0], plane.shape[1])
    area_um2 = plane.size * um_per_px**2
    spindles = _scattered(shape, int(area_um2 * 1.1e-3), anatomy.stroma, rng)
    bank = nucleus_bank(6.5 / um_per_px, 0.3, 0.3, rng)
    coarse = np.minimum(spindles // 4, np.array(anatomy.fibre_angle_rad.shape) - 1)
    angle = anatomy.fibre_angle_rad[coarse[:, 0], coarse[:, 1]]
    strength = rng.uniform(0.12, 0.32, len(spindles)).astype(np.float32)
    stamp(plane, spindles, bank[_entry(angle, len(bank), 0.2, rng)], strength)
    crowd = smooth_field(shape, 90.0 / um_per_px, rng)
    crowded = anatomy.stroma & (crowd > ndtri(1 - 0.9 * appearance.lymphocyte_fraction))
    round_cells = _scattered(shape, int(area_um2 * 9e-3), crowded, rng)
    lone = _scattered(shape, int(area_um2 * 2.5e-4), anatomy.stroma, rng)
    round_cells = np.concatenate([round_cells, lone])
    bank = nucleus_bank(3.0 / um_per_px, 0.92, 0.4, rng)
    strength = rng.uniform(0.22, 0.42, len(round_cells)).astype(np.float32)
    stamp(plane, round_cells, bank[rng.integers(0, len(bank), len(round_cells))], strength)


def _scattered(
    shape: tuple[int, int], count: int, where: Mask, rng: np.random.Generator
) -> NDArray[np.int32]:
    points = rng.integers(0, shape, (count, 2), dtype=np.int32)
    return np.asarray(points[where[points[:, 0], points[:, 1]]])


def _entry(
    angle_rad: NDArray[np.float32], count: int, spread_rad: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    spread = angle_rad + rng.normal(0.0, spread_rad, len(angle_rad))
    return np.asarray(np.rint(spread / math.pi * count).astype(np.intp) % count)


def _her2_stain(
    anatomy: Anatomy,
    pattern: MembranePattern,
    um_per_px: float,
    appearance: Appearance,
    rng: np.random.Generator,
) -> tuple[Field, Field]:
    """DAB on membranes alone, and all DAB: membranes, cytoplasm and unspecific background."""
    shape = (anatomy.tissue.shape[0], anatomy.tissue.shape[1])
    strength, completeness = _cell_staining(anatomy, pattern, um_per_px, appearance, rng)
    dead = _dead_regions(anatomy, um_per_px, appearance, rng)
    border = _borders(anatomy.cells) & ~dead
    cell = anatomy.cells[border]
    # Along its border a cell is stained where a fine field lies below the cell's own threshold.
    beads = smooth_field(shape, 4.5 / um_per_px, rng)[border]
    covered = np.clip((completeness[cell] - beads) / np.float32(0.5) + 0.5, 0.0, 1.0)
    outer = anatomy.stroma[border] | ~anatomy.tissue[border]
    membranes = np.zeros(shape, np.float32)
    uneven = np.clip(1 + np.float32(0.25) * (beads + anatomy.fibres[border]), 0.3, 2.0)
    membranes[border] = strength[cell] * covered * uneven * np.where(outer, 0.6, 1.0)
    brown_cytoplasm = np.take(strength, anatomy.cells) * np.float32(0.10)
    brown_cytoplasm += (anatomy.cells > 0) * np.float32(appearance.brown_cytoplasm)
    brown_cytoplasm[dead] = _DEBRIS_DAB
    haze = 1 + np.float32(0.35) * smooth_field(shape, 50.0 / um_per_px, rng)
    # Where a border runs slanting through the section it shows as a broad pale band.
    half = cv2.resize(membranes, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    half = cv2.GaussianBlur(half, (0, 0), _SLANT_UM / 2 / um_per_px) * np.float32(1.3)
    slanting = cv2.resize(half, shape[::-1], interpolation=cv2.INTER_LINEAR)
    slanting[~anatomy.tissue] = 0.0
    dab = (membranes + slanting) * np.float32(_MEMBRANE_UM / um_per_px) + brown_cytoplasm
    background = np.maximum(haze, 0.0) * np.float32(appearance.dab_background)
    dab += np.where(anatomy.tissue, background, 0.0)
    if appearance.brown_edge > 0.0:
        depth_px = cv2.distanceTransform(anatomy.tissue.astype(np.uint8), cv2.DIST_L2, 3)
        rim = np.exp(np.float32(-um_per_px / _EDGE_UM) * depth_px) * anatomy.tissue
        dab += np.float32(appearance.brown_edge) * rim
    return membranes, np.asarray(dab, np.float32)


def _dead_regions(
    anatomy: Anatomy, um_per_px: float, appearance: Appearance, rng: np.random.Generator
) -> Mask:
    """Necrosis: in the midst of the tumour, in patches."""
    tumour = anatomy.cells > 0
    if appearance.necrosis_fraction <= 0.0:
        return np.zeros_like(tumour)
    patches = smooth_field((tumour.shape[0], tumour.shape[1]), 110.0 / um_per_px, rng)
    level = level_of_share(patches, appearance.necrosis_fraction, tumour)
    return np.asarray(tumour & (patches > level))


def _cell_staining(
    anatomy: Anatomy,
    pattern: MembranePattern,
    um_per_px: float,
    appearance: Appearance,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Per cell (entry 0 is none): DAB on its membrane, and how far round, as a normal quantile."""
    count = anatomy.cell_count
    region = smooth_field((anatomy.cells.shape[0], anatomy.cells.shape[1]), 170 / um_per_px, rng)
    row, column = np.clip(anatomy.nuclei, 0, np.array(region.shape) - 1).T
    own = rng.standard_normal(count)
    mixed = appearance.heterogeneity * region[row, column] + (1 - appearance.heterogeneity) * own
    benign = _benign_cells(anatomy, um_per_px, appearance, rng)
    rank = np.full(count, 2.0)  # beyond all shares: what is not tumour is not stained
    tumour = np.flatnonzero(~benign)
    rank[tumour[np.argsort(-mixed[tumour])]] = (np.arange(len(tumour)) + 0.5) / max(len(tumour), 1)
    intense = rank < pattern.intense_complete
    moderate = ~intense & (rank < pattern.intense_complete + pattern.moderate_complete)
    upto = pattern.intense_complete + pattern.moderate_complete + pattern.faint_incomplete
    faint = ~intense & ~moderate & (rank < upto)
    levels = [rng.uniform(0.75, 1.25), rng.uniform(0.3, 0.52), rng.uniform(0.1, 0.2)]
    round_share = [rng.uniform(0.93, 0.99), rng.uniform(0.75, 0.93), rng.uniform(0.3, 0.6)]
    kinds = [intense, moderate, faint]
    strength = np.select(kinds, levels, 0.0) * rng.lognormal(0.0, 0.2, count)
    strength *= appearance.dab_strength
    completeness = ndtri(np.select(kinds, round_share, 0.01)) + rng.normal(0.0, 0.25, count)
    return (
        np.concatenate([[0.0], strength]).astype(np.float32),
        np.concatenate([[-9.0], completeness]).astype(np.float32),
    )


def _benign_cells(
    anatomy: Anatomy, um_per_px: float, appearance: Appearance, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which cells belong to normal glands, (cell,); whole neighbourhoods do."""
    if appearance.benign_fraction <= 0.0 or anatomy.cell_count == 0:
        return np.zeros(anatomy.cell_count, bool)
    field = smooth_field((anatomy.cells.shape[0], anatomy.cells.shape[1]), 200 / um_per_px, rng)
    row, column = np.clip(anatomy.nuclei, 0, np.array(field.shape) - 1).T
    here = field[row, column]
    return np.asarray(here > np.quantile(here, 1.0 - appearance.benign_fraction))


def _borders(cells: NDArray[np.int32]) -> Mask:
    """Pixels of a cell that touch another cell or none, each cell on its own side."""
    differs_down = cells[1:] != cells[:-1]
    differs_right = cells[:, 1:] != cells[:, :-1]
    border = np.zeros(cells.shape, bool)
    border[1:] |= differs_down
    border[:-1] |= differs_down
    border[:, 1:] |= differs_right
    border[:, :-1] |= differs_right
    return np.asarray(border & (cells > 0))


def _folded(
    haematoxylin: Field,
    dab: Field,
    tissue: Mask,
    um_per_px: float,
    rng: np.random.Generator,
) -> tuple[Field, Field]:
    """Lay a narrow bent band of tissue double, as a section does that did not float out flat."""
    shape = (tissue.shape[0], tissue.shape[1])
    ridge = smooth_field(shape, 0.45 * max(shape), rng)
    slope = float(np.abs(np.diff(ridge[::8, ::8], axis=0)).mean() / 8) + 1e-6
    half_width = slope * rng.uniform(6.0, 18.0) / um_per_px
    level = float(np.median(ridge[::8, ::8])) + rng.normal(0, 0.2)
    double = np.clip(1.5 - np.abs(ridge - level) / np.float32(half_width), 0.0, 1.0)
    shift = (round(9.0 / um_per_px), round(-7.0 / um_per_px))
    return (
        np.asarray(haematoxylin + double * np.roll(haematoxylin, shift, (0, 1)), np.float32),
        np.asarray(dab + double * np.roll(dab, shift, (0, 1)), np.float32),
    )
