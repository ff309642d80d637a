"""What each frame of a lane gives to the mosaic: which columns, and how much each pixel counts."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey, Rgb
from blurryscope.stitch.opencv_affine import opencv_affine
from blurryscope.stitch.placed_lane import Canvas, PlacedLane


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Over which columns a frame counts, and how it fades towards the frame before."""

    left: float
    right: float
    fade_from: float
    """Where its weight is 0 ..."""
    fade_to: float
    """... and where it is 1; both are the same where it does not fade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
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
        affine = opencv_affine(inverse, offset)
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


def shares_of(lane: PlacedLane, canvas: Canvas) -> list[Share]:
    """What each frame of a lane gives to the mosaic."""
    places = lane.positions - canvas.origin
    half = (np.array(lane.frame_shape) - 1) / 2
    return [
        Share(place=place, half=half, matrix=matrix, columns=columns)
        for place, matrix, columns in zip(
            places, lane.matrices, _columns_of(lane, places[:, 1]), strict=True
        )
    ]


def _columns_of(lane: PlacedLane, places_x: NDArray[np.float64]) -> list[_Columns]:
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


def laid_over(below: Rgb, picture: Rgb, weight: Grey) -> None:
    """Blend a picture into `below`, in place.

    Where `below` is unscanned (0) the picture counts alone; elsewhere it counts by its weight, 0 to
    1. A weight of 0 leaves `below` as it is. The picture itself must not hold 0.
    """
    is_scanned = cv2.extractChannel(below, 1) > 0
    counted = np.where(is_scanned, weight, np.float32(1))
    mixed = cv2.blendLinear(below, picture, np.float32(1) - counted, counted)
    cv2.copyTo(mixed, (weight > 0).view(np.uint8), below)


_FADE_FRACTION = 0.25
"""Of the way between two frames' centres, over which one fades into the other."""
_LEAST_WEIGHT = 1e-3
"""At the far edge of a share, so that a place that only one frame covers is still covered."""
_SHIFT = 4
_SEEN_CHANGE = 0.001
"""Of brightness; a quarter of a grey level."""
