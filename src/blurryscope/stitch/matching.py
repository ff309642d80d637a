"""Exact links: the same patch of tissue found again in another frame, after both are rectified."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.links import Link
from blurryscope.stitch.motion import match_patch


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedDetail:
    """A detail picture and where its frame is thought to lie."""

    frame: int
    detail: Grey
    position: NDArray[np.float64]
    """(y, x) of the field centre, in pixels of `detail`."""
    matrix: NDArray[np.float64]
    """(2, 2) from frame offsets to mosaic offsets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSettings:
    """Sizes in pixels of the detail pictures."""

    rows_px: int = 40
    columns_px: int = 64
    search_px: tuple[int, int] = (7, 14)
    """How far (y, x) the first guess may be wrong."""
    least_rows_px: int = 14
    most_down: int = 2
    most_along: int = 3
    least_detail: float = 0.005
    """Standard deviation of absorbance below which a patch shows nothing."""
    least_correlation: float = 0.5


def match_frames(
    first: PlacedDetail, second: PlacedDetail, reduction: int, settings: PatchSettings
) -> list[Link]:
    """Find patches of the first frame again in the second; points come in camera pixels.

    `reduction` is how much smaller the detail pictures are than the camera's frames.
    """
    box = _common_box(first, second)
    if box is None:
        return []
    top, left, rows, columns = box
    margin_y, margin_x = settings.search_px
    image = _rectified(first, (top, left), (rows, columns))
    region = _rectified(
        second, (top - margin_y, left - margin_x), (rows + 2 * margin_y, columns + 2 * margin_x)
    )
    links: list[Link] = []
    for row, column, height, width in _patches(rows, columns, settings):
        patch = image[row : row + height, column : column + width]
        if patch.std() < settings.least_detail:
            continue
        search = region[row : row + height + 2 * margin_y, column : column + width + 2 * margin_x]
        found_row, found_column, correlation = match_patch(patch, search)
        if correlation < settings.least_correlation:
            continue
        centre = np.array([top + row + (height - 1) / 2, left + column + (width - 1) / 2])
        moved = centre + np.array([found_row - margin_y, found_column - margin_x])
        links.append(
            (
                first.frame,
                second.frame,
                _frame_point(first, centre, reduction),
                _frame_point(second, moved, reduction),
                correlation,
            )
        )
    return links


def _common_box(first: PlacedDetail, second: PlacedDetail) -> tuple[int, int, int, int] | None:
    """Top, left, rows, columns of the largest upright box about inside both fields."""
    lows, highs = [], []
    for placed in (first, second):
        half = (np.array(placed.detail.shape) - 1) / 2
        # A sheared or turned field: shrink the box by what its slanted sides take away.
        inner = np.abs(np.diag(placed.matrix)) * half
        if abs(placed.matrix[0, 1]) > abs(placed.matrix[0, 0]):
            inner = np.abs(np.array([placed.matrix[0, 1], placed.matrix[1, 0]])) * half[::-1]
        outer = np.abs(placed.matrix) @ half
        reach = inner - 0.25 * (outer - inner) - _RIM_PX
        lows.append(placed.position - reach)
        highs.append(placed.position + reach)
    low = np.ceil(np.maximum(*lows)).astype(int)
    high = np.floor(np.minimum(*highs)).astype(int)
    rows, columns = high - low
    return (
        None if rows < 12 or columns < 24 else (int(low[0]), int(low[1]), int(rows), int(columns))
    )


_RIM_PX = np.array([3.0, 9.0])
"""(y, x) left out all round: beyond the field there is nothing, which would pull a match inward;
along x a peak is as wide as the motion blur."""


def _patches(rows: int, columns: int, settings: PatchSettings) -> list[tuple[int, int, int, int]]:
    """Even places for patches: top, left, height, width.

    Even a narrow overlap of two lanes gets two rows of patches: their difference tells the shear.
    """
    down = int(np.clip(rows // settings.least_rows_px, 1, settings.most_down))
    along = int(np.clip(columns // settings.columns_px, 1, settings.most_along))
    height, width = min(settings.rows_px, rows // down), min(settings.columns_px, columns)
    return [
        (top, left, height, width)
        for top in _even_places(rows - height, down)
        for left in _even_places(columns - width, along)
    ]


def _even_places(room: int, count: int) -> list[int]:
    """Spread `count` places over 0..room, ends included; a single one goes to the middle."""
    if count == 1:
        return [room // 2]
    return [round(room * number / (count - 1)) for number in range(count)]


def _rectified(placed: PlacedDetail, origin: tuple[int, int], size: tuple[int, int]) -> Grey:
    """Resample a frame on the mosaic's grid; outside the frame the detail is 0."""
    inverse = np.linalg.inv(placed.matrix)
    centre = (np.array(placed.detail.shape) - 1) / 2
    offset = inverse @ (np.array(origin) - placed.position) + centre
    # OpenCV's matrix is in (x, y) order.
    affine = np.array(
        [[inverse[1, 1], inverse[1, 0], offset[1]], [inverse[0, 1], inverse[0, 0], offset[0]]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(placed.detail, affine, (size[1], size[0]), flags=flags), np.float32
    )


def _frame_point(
    placed: PlacedDetail, place: NDArray[np.float64], reduction: int
) -> tuple[float, float]:
    row, column = np.linalg.solve(placed.matrix, place - placed.position) * reduction
    return float(row), float(column)
