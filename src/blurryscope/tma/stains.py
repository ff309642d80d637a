"""How much haematoxylin and how much brown stain (DAB) lies in each pixel.

Light is taken away by both at once; since each takes its own share of red, green and blue, three
densities tell two stains and a rest (Ruifrok and Johnston 2001, whose vectors these are).
"""

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb, optical_density

_HAEMATOXYLIN = np.array([0.650, 0.704, 0.286])
_DAB = np.array([0.268, 0.570, 0.776])


def stain_densities(rgb: Rgb, white: NDArray[np.float64]) -> NDArray[np.float32]:
    """(..., 2) density of haematoxylin and of DAB, in optical density along their own colour.

    Negative where a pixel is of neither colour: means over tissue are then not biased by noise.
    """
    unmixing = np.linalg.inv(_stain_vectors())[:, :2]
    return np.asarray(optical_density(rgb, white) @ unmixing.astype(np.float32), np.float32)


def _stain_vectors() -> NDArray[np.float64]:
    """(3, 3) rows of length one: haematoxylin, DAB, and what is at right angles to both."""
    rest = np.cross(_HAEMATOXYLIN, _DAB)
    vectors = np.stack([_HAEMATOXYLIN, _DAB, rest])
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
