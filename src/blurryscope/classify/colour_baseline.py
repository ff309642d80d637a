"""How far colour alone goes: six stain figures a core and linear discriminant analysis.

It stands beside every figure of a network. A network that is no better has learnt colour.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from blurryscope.basics.image import optical_density

_STAINS = np.array([[0.683, 0.623, 0.382], [0.350, 0.575, 0.740]])
"""Haematoxylin and DAB in optical density (r, g, b)."""
_TISSUE_DENSITY = 0.02


class ColourBaseline:
    """Fitted on reduced stacks, (stack, view, row, col, rgb) uint8, of a training part."""

    def __init__(self, views: NDArray[np.uint8], scores: NDArray[np.int64]) -> None:
        self._model = LinearDiscriminantAnalysis()
        self._model.fit(colour_figures(views), scores)

    def predict(self, views: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probabilities (stack, 4) from reduced stacks, (stack, view, row, col, rgb) uint8."""
        return np.asarray(self._model.predict_proba(colour_figures(views)))


def colour_figures(views: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Six figures a stack: mean and upper parts of DAB, its spread, haematoxylin, their ratio."""
    return np.stack([_figures(stack) for stack in views])


def _figures(stack: NDArray[np.uint8]) -> NDArray[np.float64]:
    pixels = stack[:, ::2, ::2].reshape(-1, 3)
    density = optical_density(pixels, np.percentile(pixels, 98, axis=0))
    tissue = density[density.max(axis=1) > _TISSUE_DENSITY]
    if len(tissue) == 0:
        return np.zeros(6)
    blue, brown = (tissue @ np.linalg.pinv(_STAINS)).T
    share = brown.mean() / max(blue.mean() + brown.mean(), 1e-3)
    upper = np.percentile(brown, [75, 90, 98])
    return np.array([brown.mean(), *upper, blue.mean(), np.clip(share, -1, 2)])
