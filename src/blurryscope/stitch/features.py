"""What registration looks at: absorbance without shading, without slow change."""

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey

LOG_OF_LEVEL = np.log(np.arange(256, dtype=np.float32) + 1.0)
"""(256,) natural log of each grey level and 1 more, so that black has one too."""


def shrunk(luma: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Average blocks of `factor` x `factor` pixels; a remainder at the far edges is cut off."""
    rows, columns = luma.shape[0] // factor, luma.shape[1] // factor
    if factor == 1:
        return luma.copy()
    smaller = luma[: rows * factor, : columns * factor]
    while factor > 1:
        # Halving twice takes a fifth of the time of quartering, and rounds once more.
        step = 2 if factor % 2 == 0 else factor
        factor //= step
        size = (columns * factor, rows * factor)
        smaller = np.asarray(cv2.resize(smaller, size, interpolation=cv2.INTER_AREA), np.uint8)
    return smaller


def log_of(shading: Grey) -> Grey:
    """Natural log of a shading in grey levels, as `absorbance_detail` wants it."""
    return np.asarray(np.log(shading + 1.0), np.float32)


def absorbance_detail(luma: NDArray[np.uint8], log_shading: Grey, sigma_px: float) -> Grey:
    """Natural-log absorbance against the shading, less its blurred self.

    Parameters
    ----------
    luma
        (row, col) uint8.
    log_shading
        (row, col) float32, `log_of` the grey levels of empty glass.
    sigma_px
        Scale above which change is taken for illumination, in pixels of `luma`.

    Returns
    -------
    (row, col) float32, mean near 0; a change of exposure by a factor only adds a constant, which
    the subtraction removes.
    """
    absorbance = np.asarray(cv2.subtract(log_shading, cv2.LUT(luma, LOG_OF_LEVEL)), np.float32)
    return np.asarray(cv2.subtract(absorbance, _widely_blurred(absorbance, sigma_px)), np.float32)


def is_dust(detail: Grey) -> NDArray[np.bool_]:
    """Where a detail picture for the first look shows specks far darker than tissue, (row, col).

    They are told from one another by little, so that any two of them agree, and each outweighs
    the tissue around it.
    """
    dark = (detail > _DARKEST_TISSUE).astype(np.uint8)
    return np.asarray(cv2.dilate(dark, _AROUND_DUST), np.bool_)


_DARKEST_TISSUE = 0.35
"""Detail that tissue does not reach: one pixel of it in ten thousand goes beyond 0.28, dust is 1 to
2."""
_AROUND_DUST = np.ones((5, 5), np.uint8)
"""What a speck is smeared over by the stage's motion and by making pictures smaller."""


def _widely_blurred(picture: Grey, sigma_px: float) -> Grey:
    """Blur by a Gaussian, by way of a smaller picture: a wide blur leaves nothing fine to lose.

    A Gaussian of 12 px over a quarter of a megapixel takes as long as decoding the frame.
    """
    factor = max(int(sigma_px / _LEAST_SIGMA_PX), 1)
    rows, columns = picture.shape
    size = (max(columns // factor, 1), max(rows // factor, 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if factor > 1 else picture
    window_px = 2 * round(_WINDOW_SIGMAS * sigma_px / factor) + 1
    blurred = cv2.GaussianBlur(small, (window_px, window_px), sigma_px / factor)
    if factor > 1:
        blurred = cv2.resize(blurred, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(blurred)


_LEAST_SIGMA_PX = 6.0
"""A blur this wide, in pixels of the smaller picture, is smooth enough to be enlarged again:
what is left of its grid, which stays where it is in the frame, is 0.3 % of the detail."""
_WINDOW_SIGMAS = 3.0
"""Beyond, 0.3 % of the weight is left."""
