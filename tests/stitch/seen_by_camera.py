"""What a camera sees of a slide made by hand, by its own equation."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def seen_by_camera(
    slide: NDArray[Any],
    position: NDArray[np.float64],
    matrix: NDArray[np.float64],
    shape: tuple[int, int],
    interpolation: int = cv2.INTER_LINEAR,
) -> NDArray[Any]:
    """A frame of this shape whose centre lies at `position` (row, col) of the slide.

    `matrix` leads from offsets in the frame to offsets on the slide.
    """
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    offsets = np.stack([rows - (shape[0] - 1) / 2, columns - (shape[1] - 1) / 2], axis=-1)
    place = (position + offsets @ matrix.T).astype(np.float32)
    return np.asarray(cv2.remap(slide, place[..., 1], place[..., 0], interpolation))
