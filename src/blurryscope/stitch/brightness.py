"""Exposure and white balance that jump between frames, found and evened out.

Consecutive frames of a lane show the same spots: the ratio of their brightness there is the
camera's doing. Frames that show glass tell their level outright. Both go into one robust solve per
colour channel.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb
from blurryscope.basics.quantiles import quantiles
from blurryscope.stitch.features import LOG_OF_LEVEL
from blurryscope.stitch.placed_lane import PlacedLane

_RATIO_SIGMA = 0.004
"""Natural log; how well the overlap of two frames tells their ratio."""
_GLASS_SIGMA = 0.01
_GLASS_FRACTION = 0.9
_BLANK_SPREAD = 0.02
"""Log distance of the bright to the middle level from which a frame holds more than glass."""
_ROUNDS = 6
_LEAST_JUMP = 0.012
"""Natural log; a change of this size is half evened out, twice this nearly all."""


def lane_brightness(
    lane: PlacedLane, smalls: Sequence[Rgb], gain: NDArray[np.float32], glass: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Find the factor, (n, 3), by which each frame of a lane is to be multiplied.

    Parameters
    ----------
    smalls
        The frames made smaller, (row, col, rgb) uint8.
    gain
        Flat-field factor of the same size.
    glass
        What empty glass looks like after the flat field, (3,) grey levels.
    """
    solver = _LaneBrightness(lane, np.log(gain), reduction=lane.frame_shape[0] / gain.shape[0])
    for number, small in enumerate(smalls):
        solver.add(number, small)
    return solver.solve(np.log(glass + 1.0))


class _LaneBrightness:
    """Add the frames of a lane in order, then `solve`."""

    def __init__(self, lane: PlacedLane, log_gain: NDArray[np.float32], reduction: float) -> None:
        self._lane = lane
        self._log_gain = np.moveaxis(log_gain, 2, 0)
        self._reduction = reduction
        self._last: NDArray[np.float32] | None = None
        self._levels = np.zeros((len(lane.positions), 3))
        self._blankness = np.zeros(len(lane.positions))
        self._ratios: list[tuple[int, NDArray[np.float64]]] = []

    def add(self, row: int, small: Rgb) -> None:
        """Take the next frame, (row, col, rgb) uint8; channels come first from here on."""
        planes = cv2.LUT(np.concatenate(cv2.split(small)), LOG_OF_LEVEL)
        even = np.asarray(planes.reshape(self._log_gain.shape) + self._log_gain, np.float32)
        bright, middle = quantiles(_thinned(even), (_GLASS_FRACTION, 0.5))
        self._levels[row] = bright
        self._blankness[row] = 1 / (1 + (float((bright - middle).max()) / _BLANK_SPREAD) ** 4)
        ratio = None if self._last is None else self._ratio_to(self._last, row, even)
        if ratio is not None:
            self._ratios.append((row, ratio))
        self._last = even

    def solve(self, glass: NDArray[np.float64]) -> NDArray[np.float32]:
        """Find the factors; `glass` is the natural log of what glass is to look like."""
        change = np.empty_like(self._levels)
        for channel in range(3):
            change[:, channel] = self._one_channel(
                glass[channel] - self._levels[:, channel], channel
            )
        # Tissue itself pulls the estimate by some 0.5 %, which shifts pale stain: only jumps count.
        jump = (np.abs(change).max(axis=1, keepdims=True) / _LEAST_JUMP) ** 4
        return np.asarray(np.exp(change * jump / (1 + jump)), np.float32)

    def _ratio_to(
        self, last: NDArray[np.float32], row: int, even: NDArray[np.float32]
    ) -> NDArray[np.float64] | None:
        """Median log ratio of a frame to the last where both show the same, per channel."""
        moved = self._lane.positions[row] - self._lane.positions[row - 1]
        shift = -np.linalg.solve(self._lane.matrices[row], moved) / self._reduction
        down, right = round(float(shift[0])), round(float(shift[1]))
        rows, columns = even.shape[1:]
        if rows - abs(down) < 4 or columns - abs(right) < 4:
            return None
        here = even[:, max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)]
        there = last[
            :, max(-down, 0) : rows + min(-down, 0), max(-right, 0) : columns + min(-right, 0)
        ]
        middles = quantiles(_thinned(here) - _thinned(there), (0.5,))
        return np.asarray(middles[0], np.float64)

    def _one_channel(self, wanted: NDArray[np.float64], channel: int) -> NDArray[np.float64]:
        """Least squares with Cauchy weights; frames that hold tissue have no say in the level."""
        rows = np.array([row for row, _ in self._ratios], np.int64)
        ratio = np.array([values[channel] for _, values in self._ratios])
        # Each ratio ties a frame to the one before, so the normal equations are tridiagonal. A
        # faint pull to no change at all holds frames that nothing else does.
        ties, pulls = np.ones(len(wanted)), np.zeros(len(wanted))
        beside = np.zeros(len(wanted))
        beside[rows] = -1 / _RATIO_SIGMA**2
        for ends, sign in ((rows, -1), (rows - 1, 1)):
            ties[ends] += 1 / _RATIO_SIGMA**2
            pulls[ends] += sign * ratio / _RATIO_SIGMA**2
        weight = self._blankness
        solved = np.zeros(len(wanted))
        for _ in range(_ROUNDS):
            certainty = weight / _GLASS_SIGMA**2
            solved = scipy.linalg.solveh_banded(
                np.stack([beside, ties + certainty]), pulls + certainty * wanted
            )
            doubt = 1 + ((solved - wanted) / (2 * _GLASS_SIGMA)) ** 2
            weight = self._blankness / doubt
        return np.asarray(solved)


def _thinned(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """A quarter of the pixels of each channel, (channel, pixel): a thousand tell a level."""
    return planes[:, ::2, ::2].reshape(len(planes), -1)


def shrunk_gain(gain: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Average a flat-field factor as `features.shrunk` does a frame."""
    rows, columns = gain.shape[0] // factor, gain.shape[1] // factor
    whole = gain[: rows * factor, : columns * factor]
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
