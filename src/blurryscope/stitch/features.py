"""What registration looks at: absorbance without shading, without slow change."""

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey


def shrunk(luma: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Average blocks of `factor` x `factor` pixels; a remainder at the far edges is cut off."""
    rows, columns = luma.shape[0] // factor, luma.shape[1] // factor
    whole = luma[: rows * factor, : columns * factor]
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def absorbance_detail(luma: NDArray[np.uint8], shading: Grey, sigma_px: float) -> Grey:
    """Natural-log absorbance against the shading, less its blurred self.

    Parameters
    ----------
    luma
        (row, col) uint8.
    shading
        (row, col) float32, grey levels of empty glass.
    sigma_px
        Scale above which change is taken for illumination, in pixels of `luma`.

    Returns
    -------
    (row, col) float32, mean near 0; a change of exposure by a factor only adds a constant, which
    the subtraction removes.
    """
    absorbance = np.log(shading + 1.0) - _LOG_OF_LUMA[luma]
    return np.asarray(absorbance - cv2.GaussianBlur(absorbance, (0, 0), sigma_px), np.float32)


_LOG_OF_LUMA = np.log(np.arange(256, dtype=np.float32) + 1.0)
