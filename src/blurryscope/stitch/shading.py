"""What the lamp and the sensor add to every frame, estimated from the film itself."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.video import Frame
from blurryscope.basics.image import Grey, to_uint8


def lasting_shading(samples: NDArray[np.uint8] | NDArray[np.float32]) -> Grey:
    """Estimate the illumination of one channel: what stays when tissue passes.

    Parameters
    ----------
    samples
        (frame, row, col), grey levels, of frames that differ, in one exposure. Lamp and sensor dirt
        stay; tissue only darkens, so that a level above the median bears a pixel that shows tissue
        in up to seven frames of ten: a wide field on a small slide.

    Returns
    -------
    (row, col) float32 in grey levels, never below 1 so that it can be divided by.
    """
    place = int(_GLASS_QUANTILE * len(samples))
    level = np.partition(samples, place, axis=0)[place]
    return np.asarray(np.maximum(level, 1), np.float32)


_GLASS_QUANTILE = 0.7


def glass_shading(
    samples: Sequence[tuple[Frame, NDArray[np.uint8], np.float32]], small_shading: Grey
) -> NDArray[np.float32]:
    """Estimate the shading in colour: the mean of all pixels that show empty glass.

    The mean of many is far less noisy than one level of few, and noise that stays in place pulls
    every match towards no motion. Where glass was hardly seen, `lasting_shading` has to do.

    Parameters
    ----------
    samples
        Frames, each with its small luma picture and the factor that brings it to one exposure.
        One after the other is turned to colour: all at once would be the peak of memory.
    small_shading
        Shading of the small pictures, which tells glass from tissue.

    Returns
    -------
    (row, col, rgb) float32 in grey levels, at least 1.
    """
    shape = samples[0][0].rgb().shape
    total = np.zeros(shape, np.float32)
    count = np.zeros(shape[:2], np.float32)
    log_shading = np.log(small_shading + 1.0)
    for frame, small, light in samples:
        absorbance = log_shading - np.log(light * small + 1.0)
        is_glass = (np.abs(absorbance) < _GLASS_ABSORBANCE).astype(np.uint8)
        # Tissue's blurred rim looks like glass.
        is_glass = np.asarray(cv2.erode(is_glass, np.ones((5, 5), np.uint8)), np.uint8)
        mask = cv2.resize(is_glass, shape[1::-1], interpolation=cv2.INTER_NEAREST)
        cv2.accumulate(light * frame.rgb(), total, mask=mask)
        cv2.accumulate(mask, count)
    shading = np.asarray(total / np.maximum(count, 1)[..., None], np.float32)
    is_rare = count < _LEAST_GLASS
    if is_rare.any():
        few = [
            (frame.rgb(), light)
            for frame, _, light in samples[:: max(len(samples) // _FEW_SAMPLES, 1)]
        ]
        lasting = np.stack(
            [
                lasting_shading(np.stack([light * rgb[..., c] for rgb, light in few]))
                for c in range(3)
            ],
            axis=-1,
        )
        # A pixel alone among others would stand out as a speck.
        shading = lasting if is_rare.mean() > _FEW_PIXELS else shading
        shading[is_rare] = lasting[is_rare]
    return np.asarray(np.maximum(shading, 1.0), np.float32)


_GLASS_ABSORBANCE = 0.03
_LEAST_GLASS = 8
"""Samples of glass that a pixel must have for their mean."""
_FEW_PIXELS = 0.01
"""Share of pixels without them from which none takes the mean: two estimates do not fit exactly."""
_FEW_SAMPLES = 40


def gain_of(shading: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn shading, (row, col, rgb), into the factor that makes it even at its mean colour."""
    return np.asarray(shading.mean(axis=(0, 1)) / shading, np.float32)


def luma_of(colour: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Brightness of a colour shading, (row, col), by ITU-R BT.601."""
    return to_uint8(colour @ np.array([0.299, 0.587, 0.114], np.float32))
