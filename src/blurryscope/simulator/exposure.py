"""Motion blur: what an exposure adds up while the stage moves on."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb


def box_kernel(length_px: float) -> NDArray[np.float32]:
    """The moving average over `length_px`, fractions included: odd length, symmetric, sum 1."""
    if length_px < 0:
        raise ValueError(f"length_px must not be negative, got {length_px}")
    length_px = max(length_px, 1.0)
    whole = math.ceil((length_px - 1.0) / 2.0)
    kernel = np.ones(2 * whole + 1)
    kernel[0] = kernel[-1] = (length_px - (2 * whole - 1)) / 2.0 if whole else 1.0
    return np.asarray(kernel / kernel.sum(), np.float32)


def blur_along_scan(pixels: Rgb, length_px: float) -> Rgb:
    """Blur along x as a scan with `length_px` = speed x exposure / pixel size does.

    Takes and gives (row, col, rgb) uint8; the edge is continued with its last pixel. Below one
    pixel nothing changes, for a pixel is that wide itself.
    """
    row = box_kernel(length_px)
    column = np.ones(1, np.float32)
    blurred = cv2.sepFilter2D(pixels, -1, row, column, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.uint8)
