"""Specks of dirt on a core: without colour, and far denser than any of its tissue.

A speck is taken for strong stain: it is the densest there is, and crops of a pale core go where the
density is. What is left of one in a crop, a few pixels more or less, decided between 1+ and 2+.
"""

import cv2
import numpy as np

from blurryscope.basics.image import Grey, Mask, Rgb

_CELL_UM = 2.9
"""Pixels in which dirt is sought: what the shipped network sees as one."""
_TIMES_AS_DENSE = 3.0
"""As the densest hundredth of the tissue, in the colour that it takes least of. Of 130 filmed cores
the specks of 12 lay 4.2 to 7.4 times as dense, of one 3.1, and nothing in any other above 2.9."""
_DENSEST_PART = 0.99
_LEAST_DENSITY = 0.08
"""Optical density; fainter specks are no denser than tissue can be."""
_COLOURLESS = 0.8
"""Of the colour taken most the one taken least: haematoxylin has 0.56, DAB 0.47."""
_TISSUE_DENSITY = 0.012
_SMEARED_UM = (9.0, 45.0)
"""(row, col) around a speck over which focus and the motion of the stage smear it."""


def without_dirt(rgb: Rgb, glass: Rgb, pixel_size_um: float) -> Rgb:
    """The same picture with glass where specks of dirt lie; itself where there are none.

    `rgb` is (row, col, rgb) uint8 without unscanned pixels, `glass` what glass looks like, (3,).
    """
    dirt = find_dirt(rgb, glass, pixel_size_um)
    if not dirt.any():
        return rgb
    return np.where(dirt[..., None], glass, rgb)


def find_dirt(rgb: Rgb, glass: Rgb, pixel_size_um: float) -> Mask:
    """Where specks of dirt lie and what they are smeared over, (row, col)."""
    rows, columns = rgb.shape[:2]
    reduction = max(_CELL_UM / pixel_size_um, 1.0)
    size = max(round(columns / reduction), 1), max(round(rows / reduction), 1)
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    specks = _specks(np.log10(np.maximum(glass, 1) / np.maximum(small, 1.0)).astype(np.float32))
    if not specks.any():
        return np.zeros((rows, columns), np.bool_)
    around = [2 * round(reach / (pixel_size_um * reduction)) + 1 for reach in _SMEARED_UM]
    wide = cv2.dilate(specks.astype(np.uint8), np.ones(around, np.uint8))
    return cv2.resize(wide, (columns, rows), interpolation=cv2.INTER_NEAREST).astype(np.bool_)


def _specks(density: Grey) -> Mask:
    """Where optical density, (row, col, rgb), is no stain's."""
    least, most = density.min(axis=2), density.max(axis=2)
    tissue = least[most > _TISSUE_DENSITY]
    if not tissue.size:
        return np.zeros(least.shape, np.bool_)
    bound = max(_TIMES_AS_DENSE * float(np.quantile(tissue, _DENSEST_PART)), _LEAST_DENSITY)
    return np.asarray((least > bound) & (least > _COLOURLESS * most))
