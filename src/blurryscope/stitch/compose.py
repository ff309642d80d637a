"""From placed frames to one picture: shading undone, rectified, blended, written row by row."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.video import Frame
from blurryscope.basics.image import Grey, Rgb
from blurryscope.stitch.solve import Trajectory, lane_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """Where the first pixel of the mosaic lies in the trajectory's coordinates, and its size."""

    origin: NDArray[np.float64]
    """(y, x), whole pixels."""
    size_px: tuple[int, int]


def canvas_of(trajectory: Trajectory, frame_shape: tuple[int, int]) -> Canvas:
    """Find the smallest canvas that holds all frames."""
    reach = _reach(trajectory, frame_shape)
    low = np.floor((trajectory.positions - reach).min(axis=0))
    high = np.ceil((trajectory.positions + reach).max(axis=0))
    size = (high - low + 1).astype(int)
    return Canvas(origin=low, size_px=(int(size[0]), int(size[1])))


def _reach(trajectory: Trajectory, frame_shape: tuple[int, int]) -> NDArray[np.float64]:
    """(n, 2) half extent (y, x) of each frame's upright bounding box."""
    half = (np.array(frame_shape) - 1) / 2
    return np.abs(trajectory.matrices()) @ half


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """How far each frame counts; all (n, 2) are (towards smaller, towards larger) coordinate."""

    reach: NDArray[np.float64]
    """(n, 2) half extent (y, x) of the field."""
    along: NDArray[np.float64]
    """(n, 2) distance to the next frame of the lane on either side; infinite if none."""
    overlap_px: float
    """Rows that neighbouring lanes share, at least 1."""


def blend_of(trajectory: Trajectory, frame_shape: tuple[int, int]) -> Blend:
    """Derive the blending from where the frames lie."""
    along = np.full((len(trajectory.frames), 2), np.inf)
    centres = []
    for rows in lane_rows(trajectory):
        x = trajectory.positions[rows, 1]
        gap = np.abs(np.diff(x))
        rising = x[-1] >= x[0]
        along[rows[1:], 0 if rising else 1] = gap
        along[rows[:-1], 1 if rising else 0] = gap
        centres.append(float(np.median(trajectory.positions[rows, 0])))
    reach = _reach(trajectory, frame_shape)
    height = 2 * float(np.median(reach[:, 0]))
    pitch = float(np.median(np.diff(centres))) if len(centres) > 1 else height
    return Blend(reach=reach, along=along, overlap_px=max(height - pitch, 1.0))


class Composer:
    """Lays frames in order of the film and writes rows as soon as no frame adds to them.

    Holds the rows of about two lanes, not the slide.
    """

    def __init__(
        self,
        writer: MosaicWriter,
        canvas: Canvas,
        trajectory: Trajectory,
        frame_shape: tuple[int, int],
        gain: NDArray[np.float32],
    ) -> None:
        """`gain` is what to multiply a frame by, (row, col, rgb)."""
        self._writer = writer
        self._canvas = canvas
        self._trajectory = trajectory
        self._matrices = trajectory.matrices()
        self._places = trajectory.positions - canvas.origin
        self._blend = blend_of(trajectory, frame_shape)
        self._frame_shape = frame_shape
        self._gain = gain
        self._written = 0
        self._bands: dict[int, _Band] = {}
        tops = self._places[:, 0] - self._blend.reach[:, 0]
        # No frame from here on reaches above this row.
        self._finished_above = np.minimum.accumulate(tops[::-1])[::-1]

    def add(self, row: int, rgb: Rgb, brightness: NDArray[np.float32]) -> None:
        """Lay the frame in row `row` of the trajectory; `brightness` (3,) evens exposure out."""
        self._flush((int(np.floor(self._finished_above[row])) - 2) // _BAND_ROWS)
        left, top, width, height = self._box(row)
        if width <= 0 or height <= 0:
            return
        even = np.asarray(cv2.multiply(rgb, self._gain * brightness, dtype=cv2.CV_8U), np.uint8)
        picture, inside = self._warped(row, even, (top, left), (height, width))
        weight = self._weights(row, (top, left), (height, width)) * inside
        for number in range(top // _BAND_ROWS, (top + height - 1) // _BAND_ROWS + 1):
            first = max(number * _BAND_ROWS, top)
            last = min((number + 1) * _BAND_ROWS, top + height)
            part = np.s_[first - top : last - top]
            start = first - number * _BAND_ROWS
            self._band(number).add(start, left, picture[part], weight[part])

    def finish(self) -> None:
        """Write what is left; the writer has all rows then."""
        self._flush(-(-self._canvas.size_px[0] // _BAND_ROWS))

    def _box(self, row: int) -> tuple[int, int, int, int]:
        """Left, top, width, height of what the frame may contribute, inside the canvas."""
        y, x = self._places[row]
        reach_y, reach_x = self._blend.reach[row]
        to_left, to_right = np.minimum(_SHARE_FRACTION * self._blend.along[row], reach_x)
        rows, columns = self._canvas.size_px
        left, right = max(int(np.ceil(x - to_left)), 0), min(int(x + to_right), columns - 1)
        top = max(int(np.ceil(y - reach_y)), self._written)
        bottom = min(int(y + reach_y), rows - 1)
        return left, top, right - left + 1, bottom - top + 1

    def _warped(
        self, row: int, rgb: Rgb, corner: tuple[int, int], size: tuple[int, int]
    ) -> tuple[Rgb, Grey]:
        inverse = np.linalg.inv(self._matrices[row])
        centre = (np.array(self._frame_shape) - 1) / 2
        offset = inverse @ (np.array(corner) - self._places[row]) + centre
        # OpenCV's matrix is in (x, y) order.
        affine = np.array(
            [[inverse[1, 1], inverse[1, 0], offset[1]], [inverse[0, 1], inverse[0, 0], offset[0]]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(
            rgb, affine, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        ones = np.ones(self._frame_shape, np.uint8)
        inside = cv2.warpAffine(
            ones, affine, (size[1], size[0]), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        )
        return np.asarray(picture, np.uint8), inside.astype(np.float32)

    def _weights(self, row: int, corner: tuple[int, int], size: tuple[int, int]) -> Grey:
        """Full in the middle of a frame's share, falling towards its neighbours' middles."""
        y, x = self._places[row]
        down = np.arange(corner[0], corner[0] + size[0]) - y
        right = np.arange(corner[1], corner[1] + size[1]) - x
        reach_y, reach_x = self._blend.reach[row]
        across = np.clip((reach_y - np.abs(down)) / self._blend.overlap_px, _LEAST_WEIGHT, 1)
        along = np.ones(len(right))
        for side, distance in (
            (-right, self._blend.along[row, 0]),
            (right, self._blend.along[row, 1]),
        ):
            edge = min(_SHARE_FRACTION * distance, reach_x)
            inner = min(distance / 2, edge) - (edge - min(distance / 2, edge))
            fall = np.clip((edge - side) / max(edge - inner, 1.0), _LEAST_WEIGHT, 1)
            along = np.where(side > 0, np.minimum(along, fall), along)
        return np.outer(across, along).astype(np.float32)

    def _band(self, number: int) -> "_Band":
        if number not in self._bands:
            rows, columns = self._canvas.size_px
            count = min(_BAND_ROWS, rows - number * _BAND_ROWS)
            self._bands[number] = _Band(count, columns)
        return self._bands[number]

    def _flush(self, until_band: int) -> None:
        """Write all bands before `until_band`, which no frame adds to any more."""
        for number in range(self._written // _BAND_ROWS, until_band):
            self._writer.write_rows(self._band(number).mean())
            self._written += len(self._bands.pop(number).weight)


class _Band:
    """Some rows of the mosaic while frames are still added to them."""

    def __init__(self, rows: int, columns: int) -> None:
        self._sum = np.zeros((rows, columns, 3), np.float32)
        self.weight = np.zeros((rows, columns), np.float32)

    def add(self, top: int, left: int, picture: Rgb, weight: Grey) -> None:
        rows, columns = weight.shape
        place = np.s_[top : top + rows, left : left + columns]
        thrice = np.asarray(cv2.merge((weight, weight, weight)))
        cv2.accumulateProduct(picture.astype(np.float32), thrice, self._sum[place])
        cv2.accumulate(weight, self.weight[place])

    def mean(self) -> Rgb:
        """(row, col, rgb) uint8; 0 where no frame lay, at least 1 elsewhere."""
        covered = self.weight > 0
        divisor = np.where(covered, self.weight, np.float32(1))
        mean = cv2.divide(self._sum, np.asarray(cv2.merge((divisor, divisor, divisor))))
        rows = np.maximum(np.asarray(cv2.convertScaleAbs(mean), np.uint8), 1)
        return np.asarray(cv2.copyTo(rows, covered.astype(np.uint8)), np.uint8)


_BAND_ROWS = 256
_SHARE_FRACTION = 0.75
"""Of the way to the next frame that a frame contributes to; half would leave no blending."""
_LEAST_WEIGHT = 1e-3
"""At the far edge of a share, so that a place that only one frame covers is still covered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layable:
    """Frames whose places are known, ready to be laid."""

    trajectory: Trajectory
    frame_shape: tuple[int, int]
    repeated: tuple[int, ...]
    """Frames that only repeat the one before."""
    gain: NDArray[np.float32]
    """(row, col, rgb) flat-field factor."""
    brightness: NDArray[np.float32]
    """(frames of the trajectory, rgb) factor that evens out exposure."""


def write_mosaic(
    layable: Layable, frames: Iterable[Frame], folder: Path, pixel_size_um: float
) -> None:
    """Lay all frames of the film and write the mosaic with its pyramid."""
    trajectory, shape = layable.trajectory, layable.frame_shape
    canvas = canvas_of(trajectory, shape)
    row_of = {int(frame): row for row, frame in enumerate(trajectory.frames)}
    with MosaicWriter(folder, canvas.size_px, pixel_size_um) as writer:
        composer = Composer(writer, canvas, trajectory, shape, layable.gain)
        for frame in frames:
            row = row_of.get(frame.index)
            if row is not None and frame.index not in layable.repeated:
                composer.add(row, frame.rgb(), layable.brightness[row])
        composer.finish()
