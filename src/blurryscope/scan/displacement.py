"""How far the picture moved from one frame to another, within what is expected."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LEAST_TEMPLATE_PX = 40
"""A patch thinner than this holds too little to be found again."""
LEAST_CORRELATION = 0.5
_LEAST_CONTRAST = 1.5
"""Grey levels, deviation of a patch; noise alone makes about 1."""
_SMOOTHING_PX = 1.2
_SHADING_PX = 40.0


@dataclass(frozen=True, slots=True)
class Displacement:
    """Where the content of a frame went in a later one, px: x to the right, y downwards."""

    x_px: float
    y_px: float
    correlation: float


@dataclass(frozen=True, slots=True)
class Search:
    """Where to look: around an expected displacement, so far to either side."""

    x_px: float = 0.0
    y_px: float = 0.0
    reach_x_px: int = 40
    reach_y_px: int = 40


def find_displacement(
    before: NDArray[np.float32], after: NDArray[np.float32], search: Search
) -> Displacement | None:
    """Find the patch of `before` that must be in `after` whatever the displacement is.

    Parameters
    ----------
    before, after
        As `detail` makes them, (row, col) float32, one shape.

    Returns
    -------
    None where the frames can share too little, where there is nothing to be seen, or where
    the best place lies at the edge of the search.
    """
    rows = _common(before.shape[0], search.y_px, search.reach_y_px)
    columns = _common(before.shape[1], search.x_px, search.reach_x_px)
    if rows is None or columns is None:
        return None
    patch = before[rows, columns]
    if patch.std() < _LEAST_CONTRAST:
        return None
    dx, dy = round(search.x_px), round(search.y_px)
    region = after[
        rows.start + dy - search.reach_y_px : rows.stop + dy + search.reach_y_px,
        columns.start + dx - search.reach_x_px : columns.stop + dx + search.reach_x_px,
    ]
    scores = np.asarray(cv2.matchTemplate(region, patch, cv2.TM_CCOEFF_NORMED), np.float32)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    best = float(scores[row, column])
    at_edge = row in {0, scores.shape[0] - 1} or column in {0, scores.shape[1] - 1}
    if at_edge or best < LEAST_CORRELATION:
        return None
    return Displacement(
        x_px=dx - search.reach_x_px + column + _vertex(scores[row, column - 1 : column + 2]),
        y_px=dy - search.reach_y_px + row + _vertex(scores[row - 1 : row + 2, column]),
        correlation=best,
    )


def detail(luma: NDArray[np.uint8], flat: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """What can be found again, without the noise of single pixels and the shading of the field.

    `flat` is the field over empty glass, (row, col), mean 1. What is left of it and of dirt on
    the sensor stands still and pulls every displacement towards 0: by a percent where the light
    falls off by a seventh. Without `flat` the shading is taken for whatever is wide, which costs
    some tenths of a percent: near its edges a frame knows less of what is wide.
    """
    smooth = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), _SMOOTHING_PX)
    if flat is not None:
        return np.asarray(smooth / flat, np.float32)
    return np.asarray(smooth - cv2.GaussianBlur(smooth, (0, 0), _SHADING_PX), np.float32)


def _common(size_px: int, shift_px: float, reach_px: int) -> slice | None:
    """The part of one side of `before` that `after` still shows for every shift looked at."""
    shift = round(shift_px)
    first, last = max(reach_px - shift, 0), min(size_px - shift - reach_px, size_px)
    return slice(first, last) if last - first >= LEAST_TEMPLATE_PX else None


def _vertex(three: NDArray[np.float32]) -> float:
    """Where the parabola through three values around a maximum peaks, -0.5 to 0.5."""
    left, middle, right = (float(value) for value in three)
    bend = left - 2 * middle + right
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5))
