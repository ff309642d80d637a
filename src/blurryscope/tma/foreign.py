"""Dark things on a slide that are no cores: edges of slide and cover slip, hairs, ink, dark fields.

A line is straight for several diameters and thinner than a core; a field is so wide that a disc
larger than any core fits into it; ink takes away more light than any stained section.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey, Mask, Rgb, optical_density

_CORE_PX = 12.0
"""Diameter of a core in the small picture in which shapes are looked at."""
_LEVELS = (0.04, 0.12, 0.3)
"""Optical density from which on something is dark: pale edges stand out at the first; at the
last a dark one is free of the haze around it."""
_LINE_DIAMETERS = 4.0
"""Length of a line at least. Cores that touch make lines too, but thick ones."""
_THIN_DIAMETERS = 0.8
_WIDE_DIAMETERS = 1.7
_ANGLES = 24
_INK_OD = (0.6, 0.9)
"""Red and green density of ink. Cores seen at 10 to 20 µm a pixel stay below 0.3 and 0.75; only
folds are darker, and they are small."""


def is_ink(rgb: Rgb, white: NDArray[np.float64]) -> Mask:
    """Where a pen has been, (row, col, rgb) uint8 of low resolution; red pens are not told."""
    density = cv2.blur(optical_density(rgb, white)[..., :2], (3, 3))
    dark = np.asarray((density > np.array(_INK_OD, np.float32)).any(axis=-1), np.uint8)
    return np.asarray(cv2.dilate(dark, np.ones((3, 3), np.uint8)) > 0)


def no_cores(density: Grey, diameter_px: float) -> Mask:
    """Where something dark lies that cannot be a core, with a rim of a quarter diameter."""
    shrink = max(diameter_px / _CORE_PX, 1.0)
    rows, columns = density.shape
    size = (max(round(columns / shrink), 1), max(round(rows / shrink), 1))
    small = cv2.resize(density, size, interpolation=cv2.INTER_AREA)
    core_px = diameter_px / shrink
    foreign = np.zeros(small.shape, bool)
    for level in _LEVELS:
        dark = (small > level).astype(np.uint8)
        foreign |= _thin_lines(dark, core_px) | _wide_fields(dark, core_px)
    if not foreign.any():
        return np.zeros(density.shape, bool)
    reach = 2 * max(round(0.25 * core_px), 1) + 1
    rim = cv2.dilate(
        foreign.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    )
    return np.asarray(cv2.resize(rim, (columns, rows), interpolation=cv2.INTER_NEAREST) > 0)


def _thin_lines(dark: NDArray[np.uint8], core_px: float) -> Mask:
    """Straight runs in any direction, of pieces that are nowhere as thick as a core."""
    length = round(_LINE_DIAMETERS * core_px)
    closed = cv2.morphologyEx(dark, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    runs = np.zeros(dark.shape, bool)
    for angle in np.arange(_ANGLES) * np.pi / _ANGLES:
        runs |= cv2.morphologyEx(closed, cv2.MORPH_OPEN, _line(length, float(angle))) > 0
    if not runs.any():
        return runs
    padded = cv2.copyMakeBorder(closed, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    count, found = cv2.connectedComponents(runs.astype(np.uint8))
    labels = np.asarray(found, np.int64)
    thickest = np.zeros(count)
    np.maximum.at(thickest, labels[runs], np.asarray(depth, np.float64)[runs])
    is_thin = 2.0 * thickest <= _THIN_DIAMETERS * core_px
    is_thin[0] = False
    return np.asarray(is_thin[labels])


def _line(length: int, angle: float) -> NDArray[np.uint8]:
    """A kernel with a line through its middle, one pixel thick."""
    kernel = np.zeros((length, length), np.uint8)
    middle, half = (length - 1) / 2, (length - 1) / 2
    step = np.array([np.cos(angle), np.sin(angle)]) * half
    start, end = (tuple(int(v) for v in np.rint(middle + sign * step)) for sign in (-1, 1))
    cv2.line(kernel, (start[0], start[1]), (end[0], end[1]), 1, 1)
    return kernel


def _wide_fields(dark: NDArray[np.uint8], core_px: float) -> Mask:
    side = 2 * round(_WIDE_DIAMETERS * core_px / 2) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.morphologyEx(dark, cv2.MORPH_OPEN, disc) > 0)
