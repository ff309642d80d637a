"""The flat field changes slowly while a lamp warms up or a stage sags; empty glass tells how.

Exposure and colour of whole frames are another matter (`brightness`): here only the shape counts.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb
from blurryscope.basics.quantiles import quantiles
from blurryscope.stitch.features import LOG_OF_LEVEL

_LOOK_EVERY = 2
"""Frames of a lane between those that are looked at."""
_GLASS_QUANTILE = 0.9
_GLASS_SPREAD = 0.04
"""Natural log: pixels that lie no farther from a frame's glass are glass."""
_LEAST_GLASS = 0.3
"""Share of a frame that must be glass, or its level is not known."""
_LEAST_SEEN, _MOST_PIXELS = 3, 0.9
"""Frames in which so many of the pixels must have shown glass."""
_NEWS = 0.5
"""Share of what a lane tells anew that is believed: noise, not lamps, jumps from lane to lane."""
_LEAST_CHANGE = 0.01
"""Natural log; a change of this size is half followed, twice this nearly all: tissue that looks
like glass pulls by some 0.3 %."""


class ShadingDrift:
    """Follows lane after lane how the flat field differs from the one measured at first.

    Parameters
    ----------
    gain
        Flat-field factor as first measured, (row, col, rgb), of the small pictures.
    """

    def __init__(self, gain: NDArray[np.float32]) -> None:
        self._log_gain = np.log(gain)
        self._shape = (gain.shape[0], gain.shape[1])
        self._terms = _smooth_terms(self._shape)
        self._surface = np.zeros(gain.shape, np.float32)
        """Natural log by which the field is brighter than at first, (row, col, rgb), mean 0."""
        self._total = np.zeros_like(self._surface)
        """What glass has shown beyond that since it was last fitted, and in how many frames."""
        self._count = np.zeros(self._shape, np.float32)

    def follow(self, smalls: Sequence[Rgb]) -> None:
        """Look at the frames of the next lane, made smaller, (row, col, rgb) uint8."""
        log_field = np.moveaxis(self._log_gain - self._surface, 2, 0).copy()
        total = np.zeros_like(log_field)
        for small in smalls[::_LOOK_EVERY]:
            planes = cv2.LUT(np.concatenate(cv2.split(small)), LOG_OF_LEVEL)
            even = planes.reshape(log_field.shape) + log_field
            glass = _glass_of(np.asarray((even[0] + even[1] + even[2]) / 3, np.float32))
            if cv2.countNonZero(glass) >= _LEAST_GLASS * glass.size:
                level = quantiles(even[:, glass > 0], (0.5,))[0].astype(np.float32)
                total += np.where(glass, even - level[:, None, None], np.float32(0))
                self._count += glass
        self._total += np.moveaxis(total, 0, 2)
        # Where little glass is seen it takes some lanes until it tells.
        if (self._count >= _LEAST_SEEN).mean() >= _MOST_PIXELS:
            self._surface += _NEWS * self._fitted()
            self._total[:], self._count[:] = 0, 0

    def applied_to(self, gain: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first flat-field factor, (row, col, rgb) of any size, as it has become."""
        changed = self.factor((gain.shape[0], gain.shape[1]))
        return gain if changed is None else gain * changed

    def factor(self, size_px: tuple[int, int]) -> NDArray[np.float32] | None:
        """What to multiply the first flat-field factor by, (row, col, rgb); None for nothing."""
        largest = float(np.abs(self._surface).max())
        counted = (largest / _LEAST_CHANGE) ** 4
        if counted < _NOTHING:
            return None
        followed = self._surface * (counted / (1 + counted))
        enlarged = cv2.resize(followed, size_px[::-1], interpolation=cv2.INTER_LINEAR)
        return np.asarray(np.exp(-enlarged), np.float32)

    def _fitted(self) -> NDArray[np.float32]:
        """The smooth part of the change, (row, col, rgb); a mean of 0 leaves exposure alone."""
        change = self._total / np.maximum(self._count, 1)[..., None]
        # By the normal equations: a solver for tall matrices wakes threads that then wait busily.
        weighted = self._count.reshape(-1, 1) * self._terms
        found = np.linalg.solve(weighted.T @ self._terms, weighted.T @ change.reshape(-1, 3))
        smooth = (self._terms @ found).reshape(change.shape)
        return np.asarray(smooth - smooth.mean(axis=(0, 1)), np.float32)


_NOTHING = 0.01
"""Of a change that would be followed less than this, nothing is."""


def _smooth_terms(shape: tuple[int, int]) -> NDArray[np.float64]:
    """A constant, both slopes and curvatures, (pixel, 6): lamps change no faster over a field."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    y, x = rows.ravel(), columns.ravel()
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _glass_of(level: NDArray[np.float32]) -> NDArray[np.uint8]:
    """1 where a frame, log of its brightness, shows empty glass; rims of tissue are left out."""
    bright = float(quantiles(level.reshape(1, -1), (_GLASS_QUANTILE,))[0, 0])
    is_near = (np.abs(level - np.float32(bright)) < _GLASS_SPREAD).view(np.uint8)
    return np.asarray(cv2.erode(is_near, _RIM), np.uint8)


_RIM = np.ones((5, 5), np.uint8)
