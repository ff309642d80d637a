"""What the lamp and the sensor add to every frame, estimated from the film itself."""

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey


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
