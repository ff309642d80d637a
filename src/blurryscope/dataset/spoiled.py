"""Good stacks spoiled on purpose: what the gate must notice, each fault as it happens in use."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb, to_uint8

Spoil = Callable[[Rgb, np.random.Generator], Rgb]
"""(view, row, col, rgb) uint8 to the same with a fault; a stack of any size."""

_STAINS = np.array([(0.683, 0.623, 0.382), (0.350, 0.575, 0.740), (-0.56, 0.74, -0.37)])
_H_AND_E = np.array([(0.65, 0.70, 0.29), (0.07, 0.99, 0.11)])
"""Haematoxylin and eosin (Ruifrok & Johnston 2001)."""


def _blank(stack: Rgb, rng: np.random.Generator) -> Rgb:
    return to_uint8(rng.normal(246.0, 1.0, stack.shape))


def _swapped(stack: Rgb, _: np.random.Generator) -> Rgb:
    """Stored blue first, read red first."""
    return np.ascontiguousarray(stack[..., ::-1])


def _h_and_e(stack: Rgb, _: np.random.Generator) -> Rgb:
    """The same tissue, eosin where DAB and most of the pale haematoxylin was."""
    glass, density = _density(stack)
    unmix = np.linalg.inv(_STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True))
    amount = np.maximum(density @ unmix, 0.0)
    nuclei = np.maximum(amount[..., 0] - 0.06, 0.0)
    pink = 0.6 * (amount[..., 1] + np.minimum(amount[..., 0], 0.06)) + 0.06 * (
        amount[..., 0] > 0.03
    )
    directions = _H_AND_E / np.linalg.norm(_H_AND_E, axis=1, keepdims=True)
    dyed = nuclei[..., None] * directions[0] + pink[..., None] * directions[1]
    return to_uint8(glass * 10.0**-dyed)


def _inverted(stack: Rgb, _: np.random.Generator) -> Rgb:
    return np.asarray(255 - stack.astype(np.int16), np.uint8)


def _grey(stack: Rgb, _: np.random.Generator) -> Rgb:
    mean = to_uint8(stack.astype(np.float32).mean(axis=-1, keepdims=True))
    return np.ascontiguousarray(np.broadcast_to(mean, stack.shape))


def _noisy(stack: Rgb, rng: np.random.Generator) -> Rgb:
    """Twenty grey levels a pixel of the full stack; the mean over a reduced pixel has less."""
    deviation = 20.0 * stack.shape[1] / 512
    return to_uint8(stack + rng.normal(0.0, deviation, stack.shape))


def _only_noise(stack: Rgb, rng: np.random.Generator) -> Rgb:
    return rng.integers(0, 256, stack.shape, dtype=np.uint8)


def _uniform(stack: Rgb, rng: np.random.Generator) -> Rgb:
    """A brown smear without any detail, with glass at the rim."""
    side = stack.shape[1]
    plain = np.full(stack.shape, 245.0)
    plain[:, side // 8 : -side // 8, side // 8 : -side // 8] = (140.0, 105.0, 80.0)
    return to_uint8(plain + rng.normal(0.0, 1.0, stack.shape))


def _defocused(stack: Rgb, _: np.random.Generator) -> Rgb:
    """By 15 µm (standard deviation) in the crops, the same in the overview."""
    sigma = 15.0 / (0.72 * 512 / stack.shape[1])
    return np.stack([cv2.GaussianBlur(view, (0, 0), sigma) for view in stack]).astype(np.uint8)


def _ink(stack: Rgb, rng: np.random.Generator) -> Rgb:
    """A green or blue pen stroke over a third of every view."""
    side = stack.shape[1]
    ink = np.array([(0.9, 0.25, 0.7), (1.1, 0.7, 0.1), (0.1, 0.9, 0.8)][int(rng.integers(3))])
    spoiled = stack.astype(np.float32)
    spoiled[:, side // 3 : 2 * side // 3] *= 10.0**-ink
    return to_uint8(spoiled)


def _cast(stack: Rgb, rng: np.random.Generator) -> Rgb:
    """A white balance that failed altogether: one channel at two fifths of the others."""
    factor = np.ones(3)
    factor[int(rng.integers(3))] = 0.4
    return to_uint8(stack * factor)


def _lost_blocks(stack: Rgb, rng: np.random.Generator) -> Rgb:
    """A fifth of every view black, as missing frames leave it."""
    spoiled, side = stack.copy(), stack.shape[1]
    for view in spoiled:
        start = int(rng.integers(0, side - side // 5))
        view[:, start : start + side // 5] = 0
    return spoiled


def _same_strip(stack: Rgb, _: np.random.Generator) -> Rgb:
    """The stage stuck: each crop shows its first quarter four times."""
    spoiled, quarter = stack.copy(), stack.shape[1] // 4
    for view in spoiled[:-1]:
        view[:] = np.tile(view[:quarter], (4, 1, 1))
    return spoiled


def _strong_seams(stack: Rgb, _: np.random.Generator) -> Rgb:
    """Half of every view at two thirds of the light."""
    spoiled = stack.astype(np.float32)
    spoiled[:, stack.shape[1] // 2 :] *= 0.65
    return to_uint8(spoiled)


def _density(stack: Rgb) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    glass = np.maximum(np.percentile(stack[:, ::4, ::4].reshape(-1, 3), 98, axis=0), 150.0)
    return glass, np.log10(glass / np.maximum(stack.astype(np.float64), 1.0))


FAULTS: Mapping[str, Spoil] = {
    "blank": _blank,
    "red and blue swapped": _swapped,
    "H&E": _h_and_e,
    "inverted": _inverted,
    "grey": _grey,
    "noise of 20 levels": _noisy,
    "only noise": _only_noise,
    "uniform": _uniform,
    "out of focus": _defocused,
    "pen ink": _ink,
    "colour cast": _cast,
    "lost blocks": _lost_blocks,
    "the same strip": _same_strip,
    "strong seams": _strong_seams,
}
"""By what they are called."""
