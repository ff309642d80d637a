"""From placed frames to one picture: shading undone, rectified, blended, written row by row."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.video import Frame
from blurryscope.basics.ahead import ahead
from blurryscope.basics.image import Grey, Rgb
from blurryscope.stitch.seams import SharedRows, TornSeam


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLane:
    """The frames of one lane, in order of the film, and where they lie; n of them."""

    number: int
    frames: Sequence[Frame] = field(repr=False)
    positions: NDArray[np.float64]
    """(n, 2) field centres (y, x), mosaic pixels before the canvas is known."""
    matrices: NDArray[np.float64]
    """(n, 2, 2) from frame offsets to mosaic offsets."""
    frame_shape: tuple[int, int]
    is_sure: NDArray[np.bool_]
    """(n,) whether links hold the frame; the others lie where the stage is thought to have been."""

    @property
    def reach(self) -> NDArray[np.float64]:
        """(n, 2) half extent (y, x) of each frame's upright bounding box."""
        return np.asarray(np.abs(self.matrices) @ self._half)

    @property
    def whole_reach_x(self) -> NDArray[np.float64]:
        """(n,) half extent along x in which the frame, a slanted box, covers all of its rows."""
        along_rows, along_columns = (np.abs(self.matrices[:, 1]) * self._half).T
        return np.asarray(np.abs(along_rows - along_columns))

    @property
    def _half(self) -> NDArray[np.float64]:
        return (np.array(self.frame_shape) - 1) / 2

    @property
    def corners(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest (y, x) that any frame reaches."""
        reach = self.reach
        return (self.positions - reach).min(axis=0), (self.positions + reach).max(axis=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """Where the first pixel of the mosaic lies in the trajectory's coordinates, and its width."""

    origin: NDArray[np.float64]
    """(y, x), whole pixels."""
    columns: int


def canvas_of(lanes: Sequence[PlacedLane], margin_px: float = 0.0) -> Canvas:
    """Find the canvas that holds these lanes, and `margin_px` more to the left and right."""
    low = np.min([lane.corners[0] for lane in lanes], axis=0)
    high = np.max([lane.corners[1] for lane in lanes], axis=0)
    left, right = np.floor(low[1] - margin_px), np.ceil(high[1] + margin_px)
    return Canvas(origin=np.array([np.floor(low[0]), left]), columns=int(right - left) + 1)


class Composer:
    """Lays lane after lane and writes rows as soon as no lane adds to them.

    A frame counts from half-way to the frame before to half-way to the next, with a short
    cross-fade there; neighbouring lanes fade into each other over all the rows that they share, so
    that the blur of both directions is mixed evenly. Holds the rows of about two lanes, not the
    slide, as bytes.

    Parameters
    ----------
    gain
        What to multiply a frame by, (row, col, rgb).
    overlap_px
        Rows that neighbouring lanes share.
    """

    def __init__(
        self, writer: MosaicWriter, canvas: Canvas, gain: NDArray[np.float32], overlap_px: float
    ) -> None:
        self._writer = writer
        self._canvas = canvas
        self._gain = gain
        self._overlap_px = max(overlap_px, 1.0)
        self._written = 0
        self._bands: dict[int, Rgb] = {}
        self._lowest = 0
        self._shared: SharedRows | None = None

    def lay(
        self,
        lane: PlacedLane,
        brightness: NDArray[np.float32],
        gain: NDArray[np.float32] | None = None,
    ) -> list[TornSeam]:
        """Lay all frames of the next lane; `brightness` (n, 3) evens exposure out.

        `gain` counts from now on, where the field has changed. Returns where the lane shows other
        tissue than those above it, in the rows that they share.
        """
        if gain is not None:
            self._gain = gain
        places = lane.positions - self._canvas.origin
        shares = _shares(lane, places[:, 1])
        self._shared = self._rows_shared(places[:, 0] - lane.reach[:, 0], lane.frame_shape)
        rectified = (
            self._rectified(
                _Share(
                    place=places[number],
                    half=(np.array(lane.frame_shape) - 1) / 2,
                    matrix=lane.matrices[number],
                    columns=shares[number],
                ),
                frame,
                brightness[number],
            )
            for number, frame in enumerate(lane.frames)
        )
        with closing(ahead(rectified, _PICTURES_AHEAD)) as pictures:
            for picture in pictures:
                if picture is not None:
                    self._lay_picture(picture)
        return [] if self._shared is None else self._shared.torn(lane.number)

    def write_above(self, y: float) -> None:
        """Write the rows above a y of the trajectory, which no lane adds to any more."""
        self._write_bands(int(np.floor(y - self._canvas.origin[0])) // _BAND_ROWS)

    def finish(self) -> None:
        """Write what is left."""
        whole = self._lowest // _BAND_ROWS
        self._write_bands(whole)
        if self._lowest > self._written:
            self._writer.write_rows(self._band(whole)[: self._lowest - self._written])
            self._written = self._lowest

    def _rectified(
        self, share: "_Share", frame: Frame, brightness: NDArray[np.float32]
    ) -> "_Rectified | None":
        """What is to be laid of a frame; None where nothing of it lies on the canvas."""
        left, right = max(share.left, 0), min(share.right, self._canvas.columns - 1)
        top = max(share.top, self._written)
        size = share.bottom - top + 1, right - left + 1
        if min(size) <= 0:
            return None
        return _Rectified(
            corner=(top, left),
            picture=share.warped(frame.rgb(), self._gain, brightness, (top, left), size),
            weights=share.weights((top, left), size, self._overlap_px),
        )

    def _lay_picture(self, rectified: "_Rectified") -> None:
        (top, left), picture, weights = rectified.corner, rectified.picture, rectified.weights
        height, width = picture.shape[:2]
        self._lowest = max(self._lowest, top + height)
        for number in range(top // _BAND_ROWS, (top + height - 1) // _BAND_ROWS + 1):
            first = max(number * _BAND_ROWS, top)
            last = min((number + 1) * _BAND_ROWS, top + height)
            part = np.s_[first - top : last - top]
            start = first - number * _BAND_ROWS
            below = self._band(number)[start : start + last - first, left : left + width]
            if self._shared is not None:
                self._shared.note(below, picture[part], weights.inside[part], (first, left))
            weights.lay(below, picture[part], part)

    def _rows_shared(
        self, tops: NDArray[np.float64], frame_shape: tuple[int, int]
    ) -> SharedRows | None:
        """Room for what a lane and those above show, given where its frames begin; (n,) rows."""
        if not self._lowest:
            return None
        top = max(int(tops.min()), self._written)
        rows = int(tops.max() + self._overlap_px) - top + 1
        if rows <= 0:
            return None
        step = max(round(min(frame_shape) / _SHORT_SIDE_PX), 1)
        return SharedRows(top, (rows, self._canvas.columns), step)

    def _band(self, number: int) -> Rgb:
        if number not in self._bands:
            self._bands[number] = np.zeros((_BAND_ROWS, self._canvas.columns, 3), np.uint8)
        return self._bands[number]

    def _write_bands(self, until_band: int) -> None:
        for number in range(self._written // _BAND_ROWS, until_band):
            self._writer.write_rows(self._band(number))
            self._written += _BAND_ROWS
            del self._bands[number]


def laid_over(below: Rgb, picture: Rgb, weight: Grey) -> None:
    """Blend a picture into `below`, in place.

    Where `below` is unscanned (0) the picture counts alone; elsewhere it counts by its weight, 0 to
    1. A weight of 0 leaves `below` as it is. The picture itself must not hold 0.
    """
    is_scanned = cv2.extractChannel(below, 1) > 0
    counted = np.where(is_scanned, weight, np.float32(1))
    mixed = cv2.blendLinear(below, picture, np.float32(1) - counted, counted)
    cv2.copyTo(mixed, (weight > 0).view(np.uint8), below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each pixel of a frame's share counts: the product of all three."""

    across: Grey
    """(row,), 0 to 1; less than 1 only in the first rows."""
    along: Grey
    """(col,), 0 to 1; less than 1 only at one end."""
    inside: NDArray[np.uint8]
    """(row, col), 1 inside the field."""

    def lay(self, below: Rgb, picture: Rgb, rows: slice) -> None:
        """Lay these rows of the share, `picture`, over what lies there; most is only copied."""
        across, inside = self.across[rows], self.inside[rows]
        fading, count = np.flatnonzero(self.along < 1), len(self.along)
        first = int(fading[0]) if len(fading) else 0
        last = int(fading[-1]) + 1 if len(fading) else 0
        # A fade that begins at the left ends somewhere; one that ends at the right begins there.
        plain = slice(last, count) if first == 0 else slice(0, first)
        upper, lower = np.split(np.arange(len(across)), [int(np.count_nonzero(across < 1))])
        for part, columns in ((upper, slice(0, count)), (lower, slice(first, last))):
            if len(part) and columns.stop > columns.start:
                box = slice(int(part[0]), int(part[-1]) + 1), columns
                weight = across[box[0], None] * self.along[columns] * inside[box]
                laid_over(below[box], picture[box], weight)
        if len(lower) and plain.stop > plain.start:
            box = slice(int(lower[0]), None), plain
            cv2.copyTo(picture[box], inside[box], below[box])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rectified:
    """What a frame gives to the mosaic, resampled on the canvas."""

    corner: tuple[int, int]
    """(row, col) of the canvas."""
    picture: Rgb
    weights: Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Over which columns a frame counts, and how it fades towards the frame before."""

    left: float
    right: float
    fade_from: float
    """Where its weight is 0 ..."""
    fade_to: float
    """... and where it is 1; both are the same where it does not fade."""


def _meetings(lane: PlacedLane, way: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each frame gives way to the next, (n - 1,), given the ways of all along the lane.

    Half way; but frames that links hold are shown as far as they reach before those that none
    holds: glass that lies wrong must not cover the rim of a core.
    """
    reach, is_sure = lane.whole_reach_x, lane.is_sure
    number = np.arange(len(way))
    before = np.maximum.accumulate(np.where(is_sure, number, -1))[:-1]
    after = np.minimum.accumulate(np.where(is_sure, number, len(way))[::-1])[::-1][1:]
    low = np.where(before >= 0, (way + reach)[before], -np.inf)
    after_row = np.minimum(after, len(way) - 1)
    high = np.where(after < len(way), (way - reach)[after_row], np.inf)
    overlaps = low > high
    half_way = (way[before] + way[after_row]) / 2
    low, high = np.where(overlaps, half_way, low), np.where(overlaps, half_way, high)
    meetings = (way[:-1] + way[1:]) / 2
    are_both_sure = is_sure[:-1] & is_sure[1:]
    return np.where(are_both_sure, meetings, np.clip(meetings, low, high))


def _shares(lane: PlacedLane, places_x: NDArray[np.float64]) -> list[_Columns]:
    """Share a lane's columns among its frames, each up to its reach from its centre.

    The frame laid later covers the one before, so it alone has to fade. Frames fade over a quarter
    of the way between their centres, around where they meet.
    """
    direction = 1.0 if places_x[-1] >= places_x[0] else -1.0
    way = direction * places_x
    meetings, whole_reach = _meetings(lane, way), lane.whole_reach_x
    shares = []
    for number, (centre, most) in enumerate(zip(way, lane.reach[:, 1], strict=True)):
        begin, end, fade = centre - most, centre + most, 0.0
        if number > 0:
            fade = _FADE_FRACTION * abs(centre - way[number - 1]) / 2
            begin = max(begin, meetings[number - 1] - fade)
        if number + 1 < len(way):
            next_fade = _FADE_FRACTION * abs(way[number + 1] - centre) / 2
            # The next may not reach back to where it is to take over.
            until = max(meetings[number], way[number + 1] - whole_reach[number + 1])
            end = min(end, until + next_fade)
            if number > 0 and until <= meetings[number - 1]:
                end = begin - 1.0  # its neighbours show all
        left, right = (begin, end) if direction > 0 else (-end, -begin)
        shares.append(
            _Columns(
                left=left,
                right=right,
                fade_from=direction * begin,
                fade_to=direction * (begin + 2 * fade),
            )
        )
    return shares


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one frame gives to the mosaic; coordinates of the canvas."""

    place: NDArray[np.float64]
    half: NDArray[np.float64]
    """(row, col) half extent of the frame itself."""
    matrix: NDArray[np.float64]
    columns: _Columns

    @property
    def reach_y(self) -> float:
        return float(np.abs(self.matrix[0]) @ self.half)

    @property
    def left(self) -> int:
        return int(np.ceil(self.columns.left))

    @property
    def right(self) -> int:
        return int(self.columns.right)

    @property
    def top(self) -> int:
        return int(np.ceil(self.place[0] - self.reach_y))

    @property
    def bottom(self) -> int:
        return int(self.place[0] + self.reach_y)

    def warped(
        self,
        rgb: Rgb,
        gain: NDArray[np.float32],
        brightness: NDArray[np.float32],
        corner: tuple[int, int],
        size: tuple[int, int],
    ) -> Rgb:
        """Even out the part of the frame that is needed, and resample it on the canvas."""
        inverse = np.asarray(np.linalg.inv(self.matrix), np.float64)
        centre = (np.array(rgb.shape[:2]) - 1) / 2
        offset = inverse @ (np.array(corner) - self.place) + centre
        rows, columns = _needed(inverse, offset, size, rgb.shape[:2])
        factor = gain[rows, columns]
        if np.abs(brightness - 1).max() > _SEEN_CHANGE:
            # Whole rows at once: by threes it takes ten times as long.
            by_pixel = np.tile(brightness, factor.shape[1])
            factor = (factor.reshape(len(factor), -1) * by_pixel).reshape(factor.shape)
        even = cv2.multiply(rgb[rows, columns], factor, dtype=cv2.CV_8U)
        even = cv2.max(even, np.ones_like(even))  # 0 means unscanned
        offset = offset - (rows.start, columns.start)
        # OpenCV's matrix is in (x, y) order.
        affine = np.array(
            [[inverse[1, 1], inverse[1, 0], offset[1]], [inverse[0, 1], inverse[0, 0], offset[0]]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        # Four bytes a pixel are resampled twice as fast as three.
        picture = cv2.warpAffine(
            cv2.cvtColor(even, cv2.COLOR_RGB2RGBA),
            affine,
            (size[1], size[0]),
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB), np.uint8)

    def weights(
        self, corner: tuple[int, int], size: tuple[int, int], overlap_px: float
    ) -> "Weights":
        """0 outside the field; fading towards the lanes' borders and the frame before."""
        y = np.arange(corner[0], corner[0] + size[0]) - self.place[0]
        x = np.arange(corner[1], corner[1] + size[1])
        across = np.clip((self.reach_y - np.abs(y)) / overlap_px, _LEAST_WEIGHT, 1)
        # The lane laid later covers the one above, so only its upper border fades.
        across[y > 0] = 1
        way = self.columns.fade_to - self.columns.fade_from
        along = np.ones(len(x))
        if abs(way) >= 1:
            along = np.clip((x - self.columns.fade_from) / way, _LEAST_WEIGHT, 1)
        return Weights(
            across=across.astype(np.float32),
            along=along.astype(np.float32),
            inside=self._inside(corner, size),
        )

    def _inside(self, corner: tuple[int, int], size: tuple[int, int]) -> NDArray[np.uint8]:
        """1 inside the field, which may be turned and sheared."""
        corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * self.half
        points = corners @ self.matrix.T + self.place - corner
        mask = np.zeros(size, np.uint8)
        whole = np.round(points[:, ::-1] * 2**_SHIFT).astype(np.int32)
        cv2.fillConvexPoly(mask, whole, 1, shift=_SHIFT)
        return mask


def _needed(
    inverse: NDArray[np.float64],
    offset: NDArray[np.float64],
    size: tuple[int, int],
    shape: tuple[int, ...],
) -> tuple[slice, slice]:
    """Rows and columns of the frame that a box of this size needs."""
    corners = np.array([[0, 0], [0, size[1]], [size[0], 0], [size[0], size[1]]]) @ inverse.T
    low = np.floor((corners + offset).min(axis=0)).astype(int) - 1
    high = np.ceil((corners + offset).max(axis=0)).astype(int) + 2
    low = np.clip(low, 0, np.array(shape) - 1)
    high = np.clip(high, low + 1, shape)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


_BAND_ROWS = 512
_PICTURES_AHEAD = 32
"""Rectified by a second thread while the first lays them; some 10 MB."""
_SHORT_SIDE_PX = 240
"""To which frames are shrunk to compare lanes; motion blur leaves little more."""
_FADE_FRACTION = 0.25
"""Of the way between two frames' centres, over which one fades into the other."""
_LEAST_WEIGHT = 1e-3
"""At the far edge of a share, so that a place that only one frame covers is still covered."""
_SHIFT = 4
_SEEN_CHANGE = 0.001
"""Of brightness; a quarter of a grey level."""
