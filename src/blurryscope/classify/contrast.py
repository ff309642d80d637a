"""Pictures that may have lost contrast: how much of it is likely left, and how to bring it back.

Glare, or a lamp and a camera that are set badly, add the same light everywhere: of a transmission T
a picture then shows g + (1 - g) T. No picture tells that from a weak stain for certain. So where
tissue is pale, a score is given only if it stays on its side of negative and positive, as surely,
when the contrast is brought back.
"""

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb, to_uint8

PALE_RELIEF = 0.0097
"""`StackQuality.relief` that the palest 15 % of drawn cores stay below, without any glare."""
_FULL_RELIEF, _POWER = 0.033, 0.57
"""What contrast is left on average where a relief is seen, if as many cores have all of it, 40 %
and 25 %: a line fitted to the logarithms of both, of 650 drawn cores (`changed_pictures.py` among
the benchmarks does it again). It asks for less than a relief seems to lack: weak stains lack it
too."""
_GLASS_QUANTILE = 98
_DARKEST_GLASS = 150.0


def likely_contrast(relief: float) -> float:
    """Share of the contrast that is likely left, 0 to 1, where a stack has so much relief."""
    return float(min((max(relief, 1e-6) / _FULL_RELIEF) ** _POWER, 1.0))


def with_contrast(stack: Rgb, left: float) -> Rgb:
    """The stack as it would be if all of the contrast, not `left` of it, had arrived.

    `stack` is (view, row, col, rgb) uint8. Glass keeps its brightness, black is the end.
    """
    if not 0.0 < left <= 1.0:
        raise ValueError(f"left must be above 0 and at most 1, got {left}")
    glass = glass_of(stack)
    levels = np.arange(256)[:, None]
    table = to_uint8(glass + (levels - glass) / left)
    return np.stack([table[:, colour][stack[..., colour]] for colour in range(3)], axis=-1)


def glass_of(stack: Rgb) -> NDArray[np.float64]:
    """What clear glass gives in a stack, (view, row, col, rgb): nearly the brightest there is."""
    sparse = stack[:, ::4, ::4].reshape(-1, 3)
    brightest = np.percentile(sparse, _GLASS_QUANTILE, axis=0)
    return np.asarray(np.maximum(brightest, _DARKEST_GLASS), np.float64)
