"""What the cores are looked for in: a mosaic, or any picture file that has room in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.picture_file import read_rgb, read_tiff
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb

_SMALLEST_LEVEL_PX = 512
_WORKING_PIXEL_UM = 20.0
"""Coarsest pixel to look for cores with: 30 across a core of 0.6 mm."""
_WORKING_SIDE_PX = 1600
"""Longest side to look for cores with, where the size of a pixel is not known."""


class SlidePicture(Protocol):
    """A slide in several resolutions; level n is 2**n times smaller. `Mosaic` is one."""

    @property
    def size_px(self) -> tuple[int, int]:
        """(rows, columns) at full resolution."""
        ...

    @property
    def pixel_size_um(self) -> float | None:
        """None where nobody knows: nothing but lengths in µm depends on it."""
        ...

    @property
    def level_count(self) -> int: ...

    def read(self, top_px: int, left_px: int, size_px: tuple[int, int], level: int = 0) -> Rgb:
        """A rectangle in pixels of `level`; (0, 0, 0) where nothing was scanned."""
        ...

    def read_level(self, level: int) -> Rgb:
        """A whole level."""
        ...


class PlainPicture:
    """A picture in memory with its halvings; (row, col, rgb) uint8."""

    def __init__(self, rgb: Rgb, pixel_size_um: float | None = None) -> None:
        if pixel_size_um is not None and pixel_size_um <= 0:
            raise ValueError(f"pixel_size_um must be positive, got {pixel_size_um}")
        self.pixel_size_um = pixel_size_um
        self._levels = [rgb]
        while max(self._levels[-1].shape[:2]) > _SMALLEST_LEVEL_PX:
            rows, columns = self._levels[-1].shape[:2]
            half = (max(columns // 2, 1), max(rows // 2, 1))
            even = self._levels[-1][: 2 * half[1], : 2 * half[0]]
            smaller = cv2.resize(even, half, interpolation=cv2.INTER_AREA)
            self._levels.append(np.asarray(smaller, np.uint8))

    @property
    def size_px(self) -> tuple[int, int]:
        rows, columns = self._levels[0].shape[:2]
        return rows, columns

    @property
    def level_count(self) -> int:
        return len(self._levels)

    def read(self, top_px: int, left_px: int, size_px: tuple[int, int], level: int = 0) -> Rgb:
        rgb = self._levels[level]
        region = np.zeros((*size_px, 3), np.uint8)
        top, left = max(top_px, 0), max(left_px, 0)
        inside = rgb[top : max(top_px + size_px[0], 0), left : max(left_px + size_px[1], 0)]
        rows, columns = inside.shape[:2]
        if rows and columns:
            place = np.s_[top - top_px : top - top_px + rows, left - left_px :][:2]
            region[place][:, :columns] = inside
        return region

    def read_level(self, level: int) -> Rgb:
        return self._levels[level]


def open_slide(path: Path, pixel_size_um: float | None = None) -> SlidePicture:
    """Open a slide's folder, a mosaic, or a picture file (PNG, JPEG, TIFF).

    `pixel_size_um` is for picture files: a mosaic knows its own.
    """
    if not path.is_dir():
        return PlainPicture(_read_rgb(path), pixel_size_um)
    return Mosaic(path if ".zarr" in path.name else path / "mosaic.ome.zarr")


def _read_rgb(path: Path) -> Rgb:
    if path.suffix.lower() in {".tif", ".tiff"}:
        return _checked_rgb(path, read_tiff(path, _GIVE_A_PICTURE))
    return read_rgb(path, _GIVE_A_PICTURE)


_GIVE_A_PICTURE = "Give a mosaic, or a PNG, JPEG or TIFF of the slide with 8 bits a channel"


def _checked_rgb(path: Path, pixels: NDArray[Any]) -> Rgb:
    if pixels.ndim != 3 or pixels.shape[2] not in {3, 4} or pixels.dtype != np.uint8:
        raise InputError(
            path, f"has pixels of shape {pixels.shape}, {pixels.dtype}", _GIVE_A_PICTURE
        )
    return np.ascontiguousarray(pixels[..., :3])


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingPicture:
    """The whole slide, small enough to look for cores in."""

    rgb: Rgb
    shrink: int
    """Full-resolution pixels across one of these."""

    def to_full(self, working_px: float) -> float:
        """A coordinate in full-resolution pixels; centres are at integers in both."""
        return (working_px + 0.5) * self.shrink - 0.5


def working_picture(picture: SlidePicture) -> WorkingPicture:
    """The coarsest level that still shows cores well."""
    level = 0
    while level + 1 < picture.level_count and _is_fine_enough(picture, level):
        level += 1
    return WorkingPicture(rgb=picture.read_level(level), shrink=2**level)


def _is_fine_enough(picture: SlidePicture, level: int) -> bool:
    """Whether the level above (coarser) would do as well."""
    if picture.pixel_size_um is not None:
        return bool(picture.pixel_size_um * 2 ** (level + 1) <= _WORKING_PIXEL_UM)
    return bool(max(picture.size_px) / 2**level > _WORKING_SIDE_PX)
