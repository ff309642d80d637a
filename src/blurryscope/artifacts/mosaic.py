"""The image of the slide as OME-Zarr 0.4: a pyramid written from top to bottom, read in regions.

Zarr format 2, Blosc-lz4 and an OME-XML file beside it, because that is what QuPath and OMERO
open (their readers know neither zstd chunks nor Zarr format 3).
"""

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import cv2
import numpy as np
import zarr
from numpy.typing import NDArray

from blurryscope.artifacts.chunk_files import (
    CHUNK_PX,
    ChunkFiles,
    create_level,
    has_chunk_files,
)
from blurryscope.artifacts.ome_zarr import multiscale_attributes, write_ome_xml
from blurryscope.artifacts.whole import whole_folder
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.image import Rgb, to_uint8

_UNIT = "micrometer"
_SMALLEST_LEVEL_PX = 512
_TALLEST = 4
"""Times its width: higher mosaics whose height was not promised end their pyramid early."""
_BANDS_UNDER_WAY = 2
"""How many bands may wait for the disk: one is written while the next is made."""


class MosaicWriter:
    """Takes rows from top to bottom and writes all levels of the pyramid; memory is a few bands.

    Opens in `with`; the folder appears under its name only when the block ends well.

    Parameters
    ----------
    size_px
        (rows, columns). The number of rows may be None while a scan still runs: the mosaic is then
        as high as the rows that came.
    pixel_size_um
        May still be changed by `rescale` while the block is open.
    """

    def __init__(self, folder: Path, size_px: tuple[int | None, int], pixel_size_um: float) -> None:
        if ".zarr" not in folder.name:
            raise ValueError(f"folder must have .zarr in its name, got {folder.name}")
        rows, columns = size_px
        if min(columns, 1 if rows is None else rows) <= 0 or pixel_size_um <= 0:
            raise ValueError(f"size and pixel size must be positive: {size_px}, {pixel_size_um}")
        self._folder = folder
        self._rows, self._columns = rows, columns
        self._pixel_size_um = pixel_size_um

    def __enter__(self) -> Self:
        self._whole = whole_folder(self._folder)
        self._partial = self._whole.__enter__()
        # One helper: compressing and writing let go of the interpreter, so it is a second core.
        self._helper = ThreadPoolExecutor(1, "mosaic")
        self._under_way: deque[Future[None]] = deque()
        tallest = _TALLEST * self._columns if self._rows is None else self._rows
        self._levels = [
            _Level(ChunkFiles(self._partial / str(number)))
            for number in range(len(_level_sizes((tallest, self._columns))))
        ]
        return self

    def rescale(self, pixel_size_um: float) -> None:
        """Give the pixel size that has become known meanwhile."""
        self._pixel_size_um = pixel_size_um

    def write_rows(self, rgb: Rgb) -> None:
        """Append rows, (row, col, rgb) uint8 over the full width. (0, 0, 0) means unscanned.

        The rows are copied: the caller may reuse its array at once.
        """
        if rgb.shape[1:] != (self._columns, 3) or rgb.dtype != np.uint8:
            raise ValueError(
                f"rows must be uint8 of width {self._columns}, got {rgb.dtype} {rgb.shape}"
            )
        if self._rows is not None and self._levels[0].row_count + len(rgb) > self._rows:
            raise ValueError(f"{self._rows} rows were promised, more came")
        self._append(0, rgb)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException as late:
            kind, error, trace = type(late), late, late.__traceback__
            raise
        finally:
            self._helper.shutdown(cancel_futures=True)
            # Told of a failure, it removes the partial folder and raises its own word for it.
            self._whole.__exit__(kind, error, trace)

    def _finish(self) -> None:
        for number in range(len(self._levels)):
            self._store_band(number)
        while self._under_way:
            self._under_way.popleft().result()
        rows = self._levels[0].row_count
        if rows != (self._rows or rows) or not rows:
            raise ValueError(f"{self._rows} rows were promised, {rows} came")
        self._describe((rows, self._columns))

    def _describe(self, size_px: tuple[int, int]) -> None:
        """Write what the folder says of itself, which the number of rows is needed for."""
        name, sizes = self._folder.name, _level_sizes(size_px)
        for level in self._levels[len(sizes) :]:
            level.files.remove()
        group = zarr.create_group(
            self._partial,
            zarr_format=2,
            attributes=multiscale_attributes(name, len(sizes), self._pixel_size_um),
        )
        for number, size in enumerate(sizes):
            create_level(group, str(number), size)
        write_ome_xml(self._partial, name, size_px, self._pixel_size_um)

    def _append(self, number: int, rgb: Rgb) -> None:
        level = self._levels[number]
        while len(rgb):
            rgb = level.take(rgb)
            if level.is_full:
                self._store_band(number)

    def _store_band(self, number: int) -> None:
        level = self._levels[number]
        first_row, band = level.hand_over()
        if not len(band):
            return
        while len(self._under_way) >= _BANDS_UNDER_WAY:
            self._under_way.popleft().result()
        self._under_way.append(self._helper.submit(level.files.write_band, first_row, band))
        if number + 1 < len(self._levels):
            self._append(number + 1, _halved(band))


class _Level:
    """One level of the pyramid and the rows that do not fill a chunk yet."""

    def __init__(self, files: ChunkFiles) -> None:
        self.files = files
        self.row_count = 0
        self._band = np.empty((0, 0, 3), np.uint8)
        self._filled = 0

    @property
    def is_full(self) -> bool:
        return self._filled == CHUNK_PX

    def take(self, rgb: Rgb) -> Rgb:
        """Copy as many rows as the band has room for; the rest comes back."""
        if not self._filled:
            self._band = np.empty((CHUNK_PX, *rgb.shape[1:]), np.uint8)
        taken = min(len(rgb), CHUNK_PX - self._filled)
        self._band[self._filled : self._filled + taken] = rgb[:taken]
        self._filled += taken
        self.row_count += taken
        return rgb[taken:]

    def hand_over(self) -> tuple[int, Rgb]:
        """Index of the first row, and the rows themselves, which the level then forgets."""
        band = self._band[: self._filled]
        self._filled = 0
        return self.row_count - len(band), band


def _halved(band: Rgb) -> Rgb:
    """Means of 2 x 2 scanned pixels; an odd last row or column has no place in the result."""
    rows, columns = band.shape[0] // 2, band.shape[1] // 2
    if not rows:
        return band[:0, :columns]
    even = band[: rows * 2, : columns * 2]
    halved = np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    is_empty = cv2.inRange(even, (0, 0, 0), (0, 0, 0))
    if cv2.countNonZero(is_empty):
        _average_scanned_only(even, is_empty, halved)
    return halved


def _average_scanned_only(even: Rgb, is_empty: NDArray[Any], halved: Rgb) -> None:
    """Correct `halved` where 1 to 3 of 4 pixels are unscanned: no dark seam around the scan.

    `is_empty` is 255 where `even` is unscanned, and 0 elsewhere.
    """
    empty_part = cv2.resize(is_empty, halved.shape[1::-1], interpolation=cv2.INTER_AREA)
    is_mixed = cv2.inRange(empty_part, 1, 254)
    if not cv2.countNonZero(is_mixed):
        return
    columns, rows = cv2.findNonZero(is_mixed).reshape(-1, 2).T
    total = sum(
        even[2 * rows + down, 2 * columns + right].astype(np.float32)
        for down in (0, 1)
        for right in (0, 1)
    )
    scanned_count = np.rint(4 - empty_part[rows, columns] / np.float32(63.75))
    halved[rows, columns] = to_uint8(np.asarray(total / scanned_count[:, np.newaxis]))


def _level_sizes(size_px: tuple[int, int]) -> list[tuple[int, int]]:
    sizes = [size_px]
    while max(sizes[-1]) > _SMALLEST_LEVEL_PX and min(sizes[-1]) > 1:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


class Mosaic:
    """A mosaic on disk, read in regions. Axes (row, col, rgb); level n is 2**n times smaller."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise MissingInputError(folder, "no such mosaic", "Stitch the slide first")
        try:
            group = zarr.open_group(folder, mode="r", zarr_format=2)
            attributes: Any = group.attrs.asdict()
            told = attributes["multiscales"][0]
            scales = told["datasets"]
            arrays = [_array(group, entry["path"]) for entry in scales]
            scale = float(scales[0]["coordinateTransformations"][0]["scale"][-1])
            self.pixel_size_um = _in_um(scale, told["axes"][-1].get("unit", _UNIT))
        except (KeyError, IndexError, TypeError, ValueError, FileNotFoundError) as error:
            raise InputError(
                folder, f"is not an OME-Zarr 0.4 mosaic ({error})", "Stitch the slide again"
            ) from error
        self._sizes_px = [(int(array.shape[1]), int(array.shape[2])) for array in arrays]
        self._pixels = [_pixels_of(folder / array.path, array) for array in arrays]

    @property
    def size_px(self) -> tuple[int, int]:
        """(rows, columns) at full resolution."""
        return self._sizes_px[0]

    @property
    def level_count(self) -> int:
        return len(self._sizes_px)

    def read(self, top_px: int, left_px: int, size_px: tuple[int, int], level: int = 0) -> Rgb:
        """Read a rectangle; coordinates and size are pixels of `level`.

        Outside the mosaic the result is 0, which means unscanned. Returns (row, col, rgb) uint8.
        """
        rows, columns = self._sizes_px[level]
        region = np.zeros((*size_px, 3), np.uint8)
        top, left = max(top_px, 0), max(left_px, 0)
        bottom, right = min(top_px + size_px[0], rows), min(left_px + size_px[1], columns)
        if bottom > top and right > left:
            place = np.s_[top - top_px : bottom - top_px, left - left_px : right - left_px]
            region[place] = self._pixels[level].read(top, left, (bottom - top, right - left))
        return region

    def read_level(self, level: int) -> Rgb:
        """Read a whole level."""
        return self._pixels[level].read(0, 0, self._sizes_px[level])


def _in_um(scale: float, unit: str) -> float:
    """The size of a pixel; a `ValueError` where it is none, or told in another unit."""
    if unit != _UNIT:
        raise ValueError(f"the size of a pixel is told in {unit}, not {_UNIT}")
    if not 0 < scale < math.inf:
        raise ValueError(f"the size of a pixel must be positive, got {scale}")
    return scale


def _array(group: zarr.Group, path: str) -> "zarr.Array[Any]":
    """A level, (rgb, row, col) uint8; a `TypeError` where other pixels would be misread."""
    array = group[path]
    if not isinstance(array, zarr.Array) or array.ndim != 3:
        raise TypeError(f"level {path} is no picture of three channels")
    channels, rows, columns = array.shape
    if channels != 3:
        raise TypeError(f"level {path} has {channels} channels, not red, green and blue")
    if array.dtype != np.uint8:
        raise TypeError(f"level {path} has values of {array.dtype}, not of 8 bits")
    if not rows * columns:
        raise TypeError(f"level {path} has {rows} x {columns} pixels")
    return array


class _LevelPixels(Protocol):
    """The pixels of one level."""

    def read(self, top_px: int, left_px: int, size_px: tuple[int, int]) -> Rgb:
        """Read a rectangle that lies within the level."""
        ...


def _pixels_of(folder: Path, array: "zarr.Array[Any]") -> _LevelPixels:
    """By their files where they lie as `MosaicWriter` leaves them, else by Zarr, which is slow."""
    return ChunkFiles(folder) if has_chunk_files(array) else _PixelsByZarr(array)


@dataclass(frozen=True, slots=True)
class _PixelsByZarr:
    """A level that another program wrote."""

    array: "zarr.Array[Any]"

    def read(self, top_px: int, left_px: int, size_px: tuple[int, int]) -> Rgb:
        rows, columns = slice(top_px, top_px + size_px[0]), slice(left_px, left_px + size_px[1])
        planes = np.asarray(self.array[:, rows, columns], np.uint8)
        return np.ascontiguousarray(np.moveaxis(planes, 0, 2))
