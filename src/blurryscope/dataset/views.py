"""The only maker of a stack: five views of a core, four at full resolution and one of the whole.

A view shows the same stretch of tissue whatever the microscope: crops are brought to
`VIEW_PIXEL_SIZE_UM` first. Where the core is smaller than a view, glass fills the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from blurryscope.artifacts.samples import VIEW_PX
from blurryscope.artifacts.view_places import ViewPlace
from blurryscope.basics.dirt import without_dirt
from blurryscope.basics.image import Grey, Mask, Rgb, is_unscanned

VIEW_COUNT = 5
CROP_COUNT = 4
OVERVIEW = 4
"""Index of the view that shows the whole core."""
VIEW_PIXEL_SIZE_UM = 0.72
"""The authors' device as measured in the images that they released."""
STACK_SHAPE = (VIEW_COUNT, VIEW_PX, VIEW_PX, 3)
_WHITE = 255
_DARKEST_GLASS = 0.8 * _WHITE
"""A white-balanced picture without anything brighter shows no glass at all."""

_RESAMPLING_TOLERANCE = 0.02
"""Pixel sizes closer than this to the norm are left alone: resampling would only soften them."""
_TISSUE_DENSITY = 0.018
"""Optical density above glass, smoothed, from which a place counts as tissue; pale sections lie
at 0.03 and more, compression noise below 0.01."""
_SMOOTHING_UM = 20.0
_GLASS_PERCENTILE = 98
_MAP_STEP_PX = 16
"""Crops are placed on a lattice of this step; finer makes no difference to what they show."""
_SEEN_WEIGHT = 0.2
"""What tissue is still worth once another crop shows it: something, for small cores."""


Picture = TypeVar("Picture", Rgb, Grey)


class PlacedStack(NamedTuple):
    """A stack and where its views lie."""

    stack: Rgb
    """(view, row, col, rgb) uint8"""
    places: tuple[ViewPlace, ...]
    """Of each view, in the core's picture as it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCore:
    """A core brought to the size of its views, from which stacks are cut at once."""

    square: Rgb
    """(row, col, rgb) uint8, the core in a square of glass, `512 / view_px` times reduced."""
    overview: Rgb
    """(view_px, view_px, rgb) uint8"""
    worth: Grey
    """Share of tissue per `_MAP_STEP_PX` of the square before it was reduced."""
    side_px: int
    """Of that square."""
    scale: float
    """Pixels of that square per pixel of the core's picture."""
    margin_px: tuple[int, int]
    """(rows, columns) of glass before the picture begins in that square."""

    @property
    def byte_count(self) -> int:
        return self.square.nbytes + self.overview.nbytes + self.worth.nbytes

    def stack(self, rng: np.random.Generator | None = None) -> Rgb:
        """(view, row, col, rgb) uint8: crops, then the overview; see `make_stack`."""
        return self.placed_stack(rng).stack

    def placed_stack(self, rng: np.random.Generator | None = None) -> PlacedStack:
        """The same stack with the place of each view."""
        corners = self._corners(CROP_COUNT, rng)
        places = [self._place(row, column, VIEW_PX) for row, column in corners]
        return PlacedStack(self._stack_at(corners), (*places, self._place(0, 0, self.side_px)))

    def further_stacks(self, count: int) -> Rgb:
        """(stack, view, row, col, rgb) uint8: stacks of the crops that come next for scoring."""
        corners = self._corners(CROP_COUNT * (1 + count))
        firsts = range(CROP_COUNT, len(corners), CROP_COUNT)
        return np.stack([self._stack_at(corners[first : first + CROP_COUNT]) for first in firsts])

    @property
    def _reduction(self) -> int:
        return VIEW_PX // len(self.overview)

    def _corners(self, count: int, rng: np.random.Generator | None = None) -> list[tuple[int, int]]:
        """Upper left corners of crops in the square before it was reduced, on its pixels now."""
        corners = _corners(self.worth.copy(), self.side_px, count, rng)
        step = self._reduction
        return [(row - row % step, column - column % step) for row, column in corners]

    def _stack_at(self, corners: Sequence[tuple[int, int]]) -> Rgb:
        """Crops with these corners, and the overview."""
        view_px = len(self.overview)
        starts = [(row // self._reduction, col // self._reduction) for row, col in corners]
        crops = [self.square[row : row + view_px, col : col + view_px] for row, col in starts]
        return np.stack([*crops, self.overview])

    def _place(self, row: int, column: int, side_px: int) -> ViewPlace:
        """From the square to the core's picture."""
        top, left = self.margin_px
        return ViewPlace(
            top_px=(row - top) / self.scale,
            left_px=(column - left) / self.scale,
            side_px=side_px / self.scale,
        )


def make_stack(
    core_rgb: Rgb,
    tissue: Mask | None = None,
    *,
    pixel_size_um: float,
    rng: np.random.Generator | None = None,
) -> Rgb:
    """Make the stack of one core.

    Parameters
    ----------
    core_rgb
        The core cut out of a white-balanced mosaic with a margin, (row, col, rgb) uint8; glass is
        above 204, what no frame covered is (0, 0, 0) and becomes glass.
    tissue
        (row, col): where this core's tissue is; found by `find_tissue` if None.
    pixel_size_um
        Of `core_rgb`.
    rng
        None, for scoring: each crop takes the most tissue that no earlier crop shows, always the
        same. A generator, for training: crops are drawn where there is tissue.

    Returns
    -------
    (view, row, col, rgb) uint8 of `STACK_SHAPE`: crops, then the overview, padded to a square.
    """
    return prepare_core(core_rgb, tissue, pixel_size_um=pixel_size_um).stack(rng)


def prepare_core(
    core_rgb: Rgb, tissue: Mask | None = None, *, pixel_size_um: float, view_px: int = VIEW_PX
) -> PreparedCore:
    """Do what all stacks of a core share; the arguments are those of `make_stack`.

    `view_px` below 512 gives stacks whose views are so many pixels wide and show the same stretch
    of tissue, each pixel the mean of those of the full stack.
    """
    if core_rgb.ndim != 3 or core_rgb.shape[2] != 3 or core_rgb.dtype != np.uint8:
        raise ValueError(
            f"core_rgb must be (row, col, rgb) uint8, got {core_rgb.dtype} {core_rgb.shape}"
        )
    if pixel_size_um <= 0:
        raise ValueError(f"pixel_size_um must be positive, got {pixel_size_um}")
    if view_px < VIEW_PX // _MAP_STEP_PX or VIEW_PX % view_px != 0:
        raise ValueError(f"view_px must be 32, 64, 128, 256 or 512, got {view_px}")
    unscanned = is_unscanned(core_rgb)
    glass = _glass_colour(core_rgb, unscanned)
    glazed = np.where(unscanned[..., None], glass, core_rgb) if unscanned.any() else core_rgb
    resampled = _at_view_pixel_size(glazed, pixel_size_um)
    picture = without_dirt(resampled, glass, VIEW_PIXEL_SIZE_UM)
    side_px = max(*picture.shape[:2], VIEW_PX)
    square = _padded_to_square(picture, side_px, glass)
    shown = find_tissue(picture) if tissue is None else tissue
    return PreparedCore(
        square=_reduced(square, VIEW_PX // view_px),
        overview=_reduced(_resized(square, (VIEW_PX, VIEW_PX)), VIEW_PX // view_px),
        worth=_worth_map(shown, picture.shape[:2], side_px),
        side_px=side_px,
        scale=picture.shape[0] / core_rgb.shape[0],
        margin_px=_margins(picture, side_px),
    )


def _reduced(rgb: Rgb, reduction: int) -> Rgb:
    """The mean of each `reduction` x `reduction` pixels; what is over at the ends falls away."""
    if reduction == 1:
        return rgb
    rows, columns = (length // reduction for length in rgb.shape[:2])
    whole = np.ascontiguousarray(rgb[: rows * reduction, : columns * reduction])
    return _resized(whole, (rows, columns))


def find_tissue(rgb: Rgb, pixel_size_um: float = VIEW_PIXEL_SIZE_UM) -> Mask:
    """Where a white-balanced picture is denser than glass, smoothed over a cell, (row, col)."""
    # In the densest channel: pale haematoxylin takes red light only, pale DAB blue light only.
    darkest = np.minimum(np.minimum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])
    side = max(1, round(_SMOOTHING_UM / pixel_size_um))
    smooth = cv2.blur(darkest, (side, side), borderType=cv2.BORDER_REPLICATE)
    glass = max(float(np.percentile(smooth[::4, ::4], _GLASS_PERCENTILE)), _DARKEST_GLASS)
    return np.asarray(smooth < glass * 10**-_TISSUE_DENSITY)


def _at_view_pixel_size(rgb: Rgb, pixel_size_um: float) -> Rgb:
    scale = pixel_size_um / VIEW_PIXEL_SIZE_UM
    if abs(scale - 1.0) <= _RESAMPLING_TOLERANCE:
        return rgb
    return _resized(rgb, (round(rgb.shape[0] * scale), round(rgb.shape[1] * scale)))


def _resized(picture: Picture, size_px: tuple[int, int]) -> Picture:
    rows, columns = max(1, size_px[0]), max(1, size_px[1])
    shrinks = rows < picture.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: Picture = cv2.resize(picture, (columns, rows), interpolation=how)  # type: ignore[assignment]
    return resized


def _glass_colour(rgb: Rgb, unscanned: Mask) -> Rgb:
    """What glass looks like in this picture, (3,); white where none is seen."""
    sparse, seen = rgb[::4, ::4], ~unscanned[::4, ::4]
    if not seen.any():
        return np.full(3, _WHITE, np.uint8)
    brightest = np.array([_percentile(sparse[..., colour][seen]) for colour in range(3)])
    return np.where(brightest < _DARKEST_GLASS, _WHITE, brightest).astype(np.uint8)


def _percentile(values: Rgb) -> float:
    """The glass percentile of bytes as numpy gives it, by counting instead of sorting."""
    upto = np.cumsum(np.bincount(values, minlength=256))
    rank = _GLASS_PERCENTILE / 100 * (len(values) - 1)
    lower, upper = np.searchsorted(upto, [int(rank), min(int(rank) + 1, len(values) - 1)], "right")
    return float(lower + (upper - lower) * (rank - int(rank)))


def _padded_to_square(picture: Rgb, side_px: int, glass: Rgb) -> Rgb:
    """Put `picture` in the middle of a square of glass."""
    if picture.shape[:2] == (side_px, side_px):
        return picture
    top, left = _margins(picture, side_px)
    square: Rgb = np.empty((side_px, side_px, 3), np.uint8)
    square[:] = glass
    square[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return square


def _margins(picture: Rgb | Grey, side_px: int) -> tuple[int, int]:
    """Rows above and columns to the left of a picture in the middle of a square."""
    rows, columns = picture.shape[:2]
    return (side_px - rows) // 2, (side_px - columns) // 2


def _worth_map(tissue: Mask, size_px: tuple[int, int], side_px: int) -> Grey:
    """The share of tissue per `_MAP_STEP_PX` of the padded square."""
    full = _resized(tissue.astype(np.float32), size_px)
    margins = [-(-before // _MAP_STEP_PX) for before in _margins(full, side_px)]
    cells = _resized(full, (size_px[0] // _MAP_STEP_PX, size_px[1] // _MAP_STEP_PX))
    worth = np.zeros((-(-side_px // _MAP_STEP_PX),) * 2, np.float32)
    rows, columns = cells.shape
    worth[margins[0] : margins[0] + rows, margins[1] : margins[1] + columns] = cells
    return worth


def _corners(
    worth: Grey, side_px: int, count: int, rng: np.random.Generator | None
) -> list[tuple[int, int]]:
    """Upper left corners (row, col) of `count` crops in a square of `side_px`."""
    window = VIEW_PX // _MAP_STEP_PX
    corners = []
    for _ in range(count):
        sums = _window_sums(worth, window)
        place = int(np.argmax(sums)) if rng is None else _drawn(sums, rng)
        row, column = divmod(place, sums.shape[1])
        if rng is None:
            worth[row : row + window, column : column + window] *= _SEEN_WEIGHT
        corners.append((row * _MAP_STEP_PX, column * _MAP_STEP_PX))
    last = side_px - VIEW_PX
    return [(min(row, last), min(column, last)) for row, column in corners]


def _window_sums(worth: Grey, window: int) -> Grey:
    total = cv2.integral(worth)
    sums: Grey = (
        total[window:, window:]
        - total[:-window, window:]
        - total[window:, :-window]
        + total[:-window, :-window]
    )
    return sums


def _drawn(sums: Grey, rng: np.random.Generator) -> int:
    """A window with at least half of the tissue that the best has; any where there is none."""
    chances = np.maximum(sums - 0.5 * sums.max(), 0.0).ravel().astype(np.float64)
    if chances.sum() <= 0:
        return int(rng.integers(sums.size))
    return int(rng.choice(sums.size, p=chances / chances.sum()))
