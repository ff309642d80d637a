"""Colours of stained tissue: how much stain lies where becomes light by Beer-Lambert."""

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb
from blurryscope.simulator.appearance import Appearance
from blurryscope.simulator.texture import Field

# Directions in optical density (red, green, blue), measured on real HER2 cores: the bluest and the
# brownest half percent of the pixels of six of them; the hues span what differed between them.
_HAEMATOXYLIN = np.array([0.68, 0.62, 0.38])
_HAEMATOXYLIN_HUE = np.array([-0.025, 0.03, -0.03])
_DAB = np.array([0.35, 0.575, 0.74])
_DAB_HUE = np.array([-0.022, 0.006, -0.005])
_LEVELS_PER_DENSITY = 170.0
"""A density of 1.5 is the deepest that eight bits hold; below one part in thirty light is gone."""


def stained_light(haematoxylin: Field, dab: Field, appearance: Appearance) -> Rgb:
    """Light through the section as (row, col, rgb) uint8, 255 where there is nothing.

    `haematoxylin` and `dab` are the amounts of stain as optical density along the stain's own
    direction in colour space, both (row, col), 0 and above.
    """
    table = _light_table(appearance)
    first = _to_level(haematoxylin * np.float32(appearance.section_thickness))
    second = _to_level(dab * np.float32(appearance.section_thickness))
    index = first.astype(np.uint16) * np.uint16(256) + second
    return np.asarray(np.take(table, index, axis=0), np.uint8)


def _to_level(density: Field) -> NDArray[np.uint8]:
    return np.asarray(cv2.convertScaleAbs(density, alpha=_LEVELS_PER_DENSITY), np.uint8)


def _light_table(appearance: Appearance) -> Rgb:
    """The colour of every pair of amounts: (haematoxylin * 256 + dab, rgb)."""
    blue = _unit(_HAEMATOXYLIN + appearance.haematoxylin_hue * _HAEMATOXYLIN_HUE)
    brown = _unit(_DAB + appearance.dab_hue * _DAB_HUE)
    amounts = np.arange(256) / _LEVELS_PER_DENSITY
    density = amounts[:, None, None] * blue + amounts[None, :, None] * brown
    return np.rint(255.0 * 10.0**-density).astype(np.uint8).reshape(-1, 3)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / np.linalg.norm(vector))
