"""White balance by division: what clear glass gives becomes one grey, the same for all slides.

The glass is found in the picture itself. One factor a channel, so there can be no halo.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Mask, Rgb, is_unscanned, to_uint8

GLASS_LEVEL = 240.0
"""Where glass comes to lie, 0 to 255: leaves room above for noise, so that nothing is clipped."""

_SATURATED = 253
"""From here on a value may be cut off, and tells no colour."""
_LEAST_SHARE_OF_MODE = 0.05
"""A mode of glass holds at least this share of the flat pixels: less is a reflex or a bubble."""


@dataclass(frozen=True, slots=True)
class WhiteBalance:
    """What clear glass gives on one slide."""

    white: NDArray[np.float64]
    """(3,) red, green, blue, 0 to 255."""

    def apply(self, rgb: Rgb) -> Rgb:
        """Scale each channel so that glass becomes `GLASS_LEVEL`; unscanned pixels stay 0."""
        levels = np.arange(256, dtype=np.float32)[:, None]
        table = to_uint8(levels * (GLASS_LEVEL / self.white).astype(np.float32))
        return np.asarray(cv2.LUT(rgb, table[None]), np.uint8)


def find_white_balance(rgb: Rgb) -> WhiteBalance:
    """Find the glass: the brightest dense mode among flat, scanned, unsaturated pixels.

    `rgb` is the slide at low resolution, (row, col, rgb) uint8. Raises `InputError` where nothing
    was scanned at all.
    """
    scanned = ~is_unscanned(rgb)
    if not scanned.any():
        raise InputError("mosaic", "holds no scanned pixel", "Stitch the slide again")
    candidates = rgb[_flat(rgb, scanned)]
    if len(candidates) < 100:
        candidates = rgb[scanned]
    unsaturated = candidates[(candidates < _SATURATED).all(axis=1)]
    if len(unsaturated) < _LEAST_SHARE_OF_MODE * len(candidates):
        return WhiteBalance(np.median(candidates, axis=0).astype(np.float64))
    return WhiteBalance(_brightest_mode(unsaturated))


def _flat(rgb: Rgb, scanned: Mask) -> Mask:
    """Scanned pixels whose surroundings are quieter than most, and which do not touch a border."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean = cv2.blur(grey, (5, 5))
    variance = np.maximum(cv2.blur(grey * grey, (5, 5)) - mean * mean, 0.0)
    inner = cv2.erode(scanned.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    if not inner.any():
        return inner
    return np.asarray(inner & (variance <= np.quantile(variance[inner], 0.5)))


def _brightest_mode(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    values = pixels.astype(np.float64)
    brightness = values.mean(axis=1)
    counts = np.histogram(brightness, bins=256, range=(0, 256))[0].astype(np.float64)
    smooth = np.convolve(counts, np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2), mode="same")
    share_near = np.convolve(counts, np.ones(9), mode="same") / counts.sum()
    is_peak = (smooth >= np.roll(smooth, 1)) & (smooth >= np.roll(smooth, -1))
    dense = np.flatnonzero(is_peak & (share_near >= _LEAST_SHARE_OF_MODE))
    mode = dense[-1] if len(dense) else int(np.argmax(smooth))
    near = values[np.abs(brightness - (mode + 0.5)) <= 5.0]
    return np.asarray(near.mean(axis=0))  # not the median, which knows whole numbers only
