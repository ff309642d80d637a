"""Which colour a stack stores first, by the grid that video leaves in its pixels.

Video keeps brightness, a sum of red, green and blue in fixed shares, in whole numbers. The colours
made of it lie on a grid, on which red and blue cannot change places, since their shares differ.
White balance by subtraction leaves the grid; resampling, blending and most other corrections blur
it away, and then nothing is said. (Such grids are known from image forensics: Neelamani, de
Queiroz, Fan, Dash, Baraniuk, JPEG compression history estimation for color images, 2006.) What it
told of which pictures stands in docs/reference/gate.md.
"""

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb

_BRIGHTNESS = np.array([0.299, 0.587, 0.114]) * 219 / 255
"""Of a level of red, green and blue, in levels of video (ITU-R BT.601)."""
_EVERY = 2
"""Rows and columns apart of the pixels that are looked at."""
_DARKEST, _BRIGHTEST = 3, 252
"""Colours beyond may have been cut off at the end of the range."""
_LEAST_EVIDENCE = 100.0
"""Colours on no grid reach this once in exp(100) times."""
_LEAST_RATIO = 4.0
"""Of the evidence for one order to that for the other: grey pictures fit both."""


def is_blue_first(stack: Rgb) -> bool | None:
    """Whether a stack, (view, row, col, colour) uint8, the overview last, stores blue first.

    None where its pixels show neither order.
    """
    red_first, blue_first = evidence_of_order(stack)
    if max(red_first, blue_first) < _LEAST_EVIDENCE:
        return None
    if blue_first > _LEAST_RATIO * red_first:
        return True
    return False if red_first > _LEAST_RATIO * blue_first else None


def evidence_of_order(stack: Rgb) -> tuple[float, float]:
    """How much speaks for red first and for blue first; chance exceeds x once in exp(x) times.

    Only crops are looked at, since overviews are reduced.
    """
    colours = _distinct_colours(stack[:-1, ::_EVERY, ::_EVERY])
    return _evidence(colours), _evidence(colours[:, ::-1])


def _distinct_colours(pixels: Rgb) -> NDArray[np.int32]:
    """(colour, rgb): each once, or wide plain areas would seem to be a grid of their own."""
    flat = pixels.reshape(-1, 3).astype(np.int32)
    kept = flat[((flat >= _DARKEST) & (flat <= _BRIGHTEST)).all(axis=1)]
    codes = np.unique(kept @ np.array([1 << 16, 1 << 8, 1], np.int32))
    return np.stack([codes >> 16, codes >> 8 & 0xFF, codes & 0xFF], axis=1)


def _evidence(colours: NDArray[np.int32]) -> float:
    """How alike the fractions of brightness are (Rayleigh's test)."""
    if len(colours) == 0:
        return 0.0
    turns = np.exp(2j * np.pi * (colours @ _BRIGHTNESS))
    return float(abs(turns.sum()) ** 2) / len(colours)
