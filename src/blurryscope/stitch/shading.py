"""What the lamp and the sensor add to every frame, estimated from the film itself."""

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey, to_uint8


def median_shading(samples: NDArray[np.uint8]) -> Grey:
    """Estimate the illumination of one channel: the temporal median of frames that differ.

    Parameters
    ----------
    samples
        (frame, row, col) uint8. Tissue passes, lamp and sensor dirt stay; the median keeps what
        stays as long as no pixel sees tissue in more than half of the samples.

    Returns
    -------
    (row, col) float32 in grey levels, never below 1 so that it can be divided by.
    """
    return np.asarray(np.maximum(np.median(samples, axis=0), 1.0), np.float32)


def gain_of(shading: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn shading, (row, col, rgb), into the factor that makes it even at its mean colour."""
    return np.asarray(shading.mean(axis=(0, 1)) / shading, np.float32)


def luma_of(colour: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Brightness of a colour shading, (row, col), by ITU-R BT.601."""
    return to_uint8(colour @ np.array([0.299, 0.587, 0.114], np.float32))
