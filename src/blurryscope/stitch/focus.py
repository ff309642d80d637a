"""How sharp tissue is across the scan axis, where the moving stage blurs nothing."""

import cv2
import numpy as np

from blurryscope.basics.image import Grey, Mask, Rgb, density_of_levels, is_unscanned

TISSUE_DENSITY = 0.02
"""Optical density above which a smoothed pixel counts as tissue; pale cores reach 0.04."""
_LAG_PX = 9
"""Along the scan: far enough for noise to be another, near enough within motion blur to be the
same tissue."""
_FINE_SIGMA_PX = 1.5
_COARSE_SIGMA_PX = 6.0
_MARGIN_PX = 12
_LEAST_PIXELS = 2000


def focus_across(rgb: Rgb, white: tuple[float, float, float]) -> float | None:
    """Give the share of tissue contrast that is fine detail across the scan.

    Parameters
    ----------
    rgb
        (row, col, rgb) uint8, a piece of a mosaic at full resolution; lanes run along the columns.
    white
        What empty glass gives, per channel.

    Returns
    -------
    0 (nothing fine is left) to 1; None where there is too little tissue to tell.

    Notes
    -----
    Detail is compared with itself a few pixels along the scan. Motion blur makes the tissue there
    the same, while noise is another, so that noise does not pass for sharpness. Neither the length
    of the motion blur nor the strength of the stain matters: both scale fine and coarse alike.
    """
    density = mean_density(rgb, white)
    unscanned = is_unscanned(rgb)
    inner = _inside(density, unscanned)[:, :-_LAG_PX]
    if np.count_nonzero(inner) < _LEAST_PIXELS:
        return None
    if unscanned.any():
        density[unscanned] = np.median(density[~unscanned])
    along = np.asarray(cv2.blur(density, (_LAG_PX, 1)), np.float32)
    fine = _power(along, _FINE_SIGMA_PX, inner)
    coarse = _power(along, _COARSE_SIGMA_PX, inner)
    return float(np.clip(np.sqrt(fine / coarse), 0, 1)) if coarse > 0 else None


def mean_density(rgb: Rgb, white: tuple[float, float, float]) -> Grey:
    """Optical density averaged over the colours, (row, col) float32, of (row, col, rgb) uint8.

    As `optical_density(...).mean(axis=2)`, by tables of the 256 levels: ten times as fast.
    """
    tables = density_of_levels(np.array(white)) / 3
    red, green, blue = (
        np.asarray(cv2.LUT(channel, table), np.float32)
        for channel, table in zip(cv2.split(rgb), tables, strict=True)
    )
    red += green
    red += blue
    return red


def tissue_of(density: Grey, unscanned: Mask) -> Mask:
    """Where tissue is in a picture of optical density, (row, col) float32.

    Pixels that touch an unscanned one are left out: black is not tissue.
    """
    near = cv2.dilate(unscanned.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    smooth = cv2.blur(np.where(near, np.float32(0), density), (5, 5))
    return np.asarray(smooth > TISSUE_DENSITY)


def _inside(density: Grey, unscanned: Mask) -> Mask:
    """Tissue and its lumens, clear of its outline, which is coarse contrast on any slide."""
    side = (2 * _MARGIN_PX + 1,) * 2
    near = cv2.dilate(unscanned.astype(np.uint8), np.ones(side, np.uint8))
    tissue = cv2.blur(np.where(unscanned, np.float32(0), density), side) > TISSUE_DENSITY
    inner = cv2.erode(tissue.astype(np.uint8), np.ones(side, np.uint8))
    return np.asarray((inner > 0) & (near == 0))


def _power(along: Grey, sigma_px: float, inner: Mask) -> float:
    """Noise-free variance of what is finer than `sigma_px` across the scan, never negative."""
    detail = along - cv2.GaussianBlur(along, (1, 0), sigmaX=0.01, sigmaY=sigma_px)
    return max(float((detail[:, :-_LAG_PX] * detail[:, _LAG_PX:])[inner].mean()), 0.0)
