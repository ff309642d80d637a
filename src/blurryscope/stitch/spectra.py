"""Sums of products of two pictures at every shift between them, by way of their transforms."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey

Spectrum = NDArray[np.float32]
"""As OpenCV packs the transform of a real picture: the same shape, and nothing twice."""


def transform_length(least: int) -> int:
    """The next length of a transform that is quick, at least so many pixels."""
    return int(cv2.getOptimalDFTSize(least))


def padded_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """Shape that every shift of any two pictures of these shapes fits into."""
    rows, columns = (sum(sorted(shape[axis] for shape in shapes)[-2:]) for axis in (0, 1))
    return transform_length(rows), transform_length(columns)


def spectrum_of(picture: Grey, padded: tuple[int, int]) -> Spectrum:
    """Transform a picture with 0 around it; products of spectra need the same padded shape."""
    whole = np.zeros(padded, np.float32)
    whole[: picture.shape[0], : picture.shape[1]] = picture
    # To say that the last rows are 0 makes OpenCV take a way that lasts three times as long.
    return np.asarray(cv2.dft(whole), np.float32)


def lagged_products(first: Spectrum, second: Spectrum) -> Grey:
    """Sum of the products of two pictures at every lag of the first behind the second.

    At [r, c] the pixel (i, j) of the second lies on (i + r, j + c) of the first; lags are in the
    order of a transform, negative ones last.
    """
    cross = cv2.mulSpectrums(first, second, 0, conjB=True)
    return np.asarray(cv2.idft(cross, flags=cv2.DFT_SCALE), np.float32)
