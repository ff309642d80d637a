"""From placed frames to one picture: shading undone, rectified, blended, written row by row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.video import Frame
from blurryscope.basics.image import Rgb
from blurryscope.stitch.placed_lane import Canvas, PlacedLane
from blurryscope.stitch.seams import SharedRows, TornSeam
from blurryscope.stitch.shares import Share, Weights, shares_of


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
        tops = lane.positions[:, 0] - self._canvas.origin[0] - lane.reach[:, 0]
        self._shared = self._rows_shared(tops, lane.frame_shape)
        shares = shares_of(lane, self._canvas)
        for share, frame, factor in zip(shares, lane.frames, brightness, strict=True):
            if (rectified := self._rectified(share, frame, factor)) is not None:
                self._lay_picture(rectified)
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
        self, share: Share, frame: Frame, brightness: NDArray[np.float32]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rectified:
    """What a frame gives to the mosaic, resampled on the canvas."""

    corner: tuple[int, int]
    """(row, col) of the canvas."""
    picture: Rgb
    weights: Weights


_BAND_ROWS = 512
_SHORT_SIDE_PX = 240
"""To which frames are shrunk to compare lanes; motion blur leaves little more."""
