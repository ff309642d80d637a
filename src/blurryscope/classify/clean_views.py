"""Specks of dirt taken out of a stack that comes as it is, such as a file.

Stacks that are cut from a slide hold none (`dataset.views`).
"""

import numpy as np

from blurryscope.basics.dirt import without_dirt
from blurryscope.basics.image import Rgb
from blurryscope.classify.contrast import glass_of

_CROP_UM = 369.0
"""Side of a crop: 512 pixels of 0.72 µm."""
_OVERVIEW_UM = 1100.0
"""Side of the view of the whole core, which no stack tells: a core of 1 mm and a rim."""


def without_dirt_in_views(stack: Rgb) -> Rgb:
    """The stack, (view, row, col, rgb) uint8, with glass where its views show specks of dirt."""
    glass = glass_of(stack).astype(np.uint8)
    side_px = stack.shape[1]
    # Crops are judged together: a speck in one is dense beside the tissue of all.
    crops = np.concatenate(list(stack[:-1]))
    crops = without_dirt(crops, glass, _CROP_UM / side_px).reshape(stack[:-1].shape)
    overview = without_dirt(stack[-1], glass, _OVERVIEW_UM / side_px)
    return np.concatenate([crops, overview[np.newaxis]])
