"""The image of the slide as OME-Zarr 0.4: a pyramid written from top to bottom, read in regions.

Zarr format 2, Blosc-lz4 and an OME-XML file beside it, because that is what QuPath and OMERO
open (their readers know neither zstd chunks nor Zarr format 3).
"""

from pathlib import Path
from types import TracebackType
from typing import Self
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
import zarr
from numcodecs import Blosc

from blurryscope.artifacts.whole import whole_folder
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.image import Rgb

_CHUNK_PX = 512
_SMALLEST_LEVEL_PX = 512


class MosaicWriter:
    """Takes rows from top to bottom and writes all levels of the pyramid; memory is one band.

    Opens in `with`; the folder appears under its name only when the block ends well.
    """

    def __init__(self, folder: Path, size_px: tuple[int, int], pixel_size_um: float) -> None:
        if ".zarr" not in folder.name:
            raise ValueError(f"folder must have .zarr in its name, got {folder.name}")
        if min(size_px) <= 0 or pixel_size_um <= 0:
            raise ValueError(f"size and pixel size must be positive: {size_px}, {pixel_size_um}")
        self._folder = folder
        self._size_px = size_px
        self._pixel_size_um = pixel_size_um

    def __enter__(self) -> Self:
        self._whole = whole_folder(self._folder)
        partial = self._whole.__enter__()
        group = zarr.create_group(partial, zarr_format=2)
        group.attrs.update(_multiscales(self._folder.name, self._size_px, self._pixel_size_um))
        self._levels = [
            _Level(
                group.create_array(
                    str(number),
                    shape=(3, *size_px),
                    chunks=(1, _CHUNK_PX, _CHUNK_PX),
                    dtype="uint8",
                    fill_value=0,
                    compressors=Blosc(cname="lz4", clevel=5, shuffle=Blosc.SHUFFLE),
                    chunk_key_encoding={"name": "v2", "separator": "/"},
                )
            )
            for number, size_px in enumerate(_level_sizes(self._size_px))
        ]
        _write_ome_xml(partial, self._folder.name, self._size_px, self._pixel_size_um)
        return self

    def write_rows(self, rgb: Rgb) -> None:
        """Append rows, (row, col, rgb) uint8 over the full width. (0, 0, 0) means unscanned."""
        if rgb.shape[1:] != (self._size_px[1], 3) or rgb.dtype != np.uint8:
            raise ValueError(
                f"rows must be uint8 of width {self._size_px[1]}, got {rgb.dtype} {rgb.shape}"
            )
        _push(self._levels, 0, rgb)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            for number in range(len(self._levels)):
                _flush(self._levels, number)
            written = self._levels[0].next_row
            if written != self._size_px[0]:
                error = ValueError(f"{self._size_px[0]} rows were promised, {written} came")
                kind = ValueError
                self._whole.__exit__(kind, error, trace)
                raise error
        self._whole.__exit__(kind, error, trace)


class _Level:
    """One level of the pyramid and the rows that do not fill a chunk yet."""

    def __init__(self, array: zarr.Array) -> None:  # type: ignore[type-arg]
        self.array = array
        self.next_row = 0
        self.pending: list[Rgb] = []
        self.pending_rows = 0

    def take(self, row_count: int) -> Rgb:
        joined = self.pending[0] if len(self.pending) == 1 else np.concatenate(self.pending)
        self.pending = [joined[row_count:]] if len(joined) > row_count else []
        self.pending_rows = len(joined) - row_count
        return joined[:row_count]


def _push(levels: list[_Level], number: int, rgb: Rgb) -> None:
    level = levels[number]
    level.pending.append(rgb)
    level.pending_rows += len(rgb)
    while level.pending_rows >= _CHUNK_PX:
        _store(levels, number, level.take(_CHUNK_PX))


def _flush(levels: list[_Level], number: int) -> None:
    if levels[number].pending_rows:
        _store(levels, number, levels[number].take(levels[number].pending_rows))


def _store(levels: list[_Level], number: int, band: Rgb) -> None:
    level = levels[number]
    room = level.array.shape[1] - level.next_row
    band = band[:room]  # an odd last row has no place in the coarser level
    level.array[:, level.next_row : level.next_row + len(band)] = np.moveaxis(band, 2, 0)
    level.next_row += len(band)
    if number + 1 < len(levels):
        _push(levels, number + 1, _halved(band, levels[number + 1].array.shape[2]))


def _halved(band: Rgb, width_px: int) -> Rgb:
    rows = max(len(band) // 2, 1)
    even = band[: rows * 2, : width_px * 2]
    return np.asarray(cv2.resize(even, (width_px, rows), interpolation=cv2.INTER_AREA), np.uint8)


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
            scales = group.attrs.asdict()["multiscales"][0]["datasets"]  # type: ignore[index, call-overload]
            self._arrays = [group[entry["path"]] for entry in scales]  # type: ignore[index, call-overload]
            self.pixel_size_um = float(
                scales[0]["coordinateTransformations"][0]["scale"][-1]  # type: ignore[index, call-overload]
            )
        except (KeyError, ValueError, FileNotFoundError) as error:
            raise InputError(
                folder, f"is not an OME-Zarr 0.4 mosaic ({error})", "Stitch the slide again"
            ) from error

    @property
    def size_px(self) -> tuple[int, int]:
        """(rows, columns) at full resolution."""
        shape = self._arrays[0].shape  # type: ignore[union-attr]
        return int(shape[1]), int(shape[2])

    @property
    def level_count(self) -> int:
        return len(self._arrays)

    def read(self, top_px: int, left_px: int, size_px: tuple[int, int], level: int = 0) -> Rgb:
        """Read a rectangle; coordinates and size are pixels of `level`.

        Outside the mosaic the result is 0, which means unscanned. Returns (row, col, rgb) uint8.
        """
        array = self._arrays[level]
        _, rows, columns = array.shape  # type: ignore[union-attr]
        region = np.zeros((*size_px, 3), np.uint8)
        top, left = max(top_px, 0), max(left_px, 0)
        bottom, right = min(top_px + size_px[0], rows), min(left_px + size_px[1], columns)
        if bottom > top and right > left:
            pixels = np.asarray(array[:, top:bottom, left:right])  # type: ignore[index]
            region[top - top_px : bottom - top_px, left - left_px : right - left_px] = np.moveaxis(
                pixels, 0, 2
            )
        return region

    def read_level(self, level: int) -> Rgb:
        """Read a whole level."""
        _, rows, columns = self._arrays[level].shape  # type: ignore[union-attr]
        return self.read(0, 0, (int(rows), int(columns)), level)

    def level_for_pixel_size(self, pixel_size_um: float) -> int:
        """The coarsest level whose pixels are not larger than `pixel_size_um`."""
        level = 0
        while (
            level + 1 < self.level_count
            and self.pixel_size_um * 2 ** (level + 1) <= pixel_size_um * 1.001
        ):
            level += 1
        return level


def _multiscales(name: str, size_px: tuple[int, int], pixel_size_um: float) -> dict[str, object]:
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [
                {
                    "type": "scale",
                    "scale": [1.0, pixel_size_um * 2**number, pixel_size_um * 2**number],
                }
            ],
        }
        for number in range(len(_level_sizes(size_px)))
    ]
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    colours = (("Red", "FF0000"), ("Green", "00FF00"), ("Blue", "0000FF"))
    channels = [
        {"label": label, "color": colour, "active": True,
         "window": {"min": 0, "max": 255, "start": 0, "end": 255}}
        for label, colour in colours
    ]  # fmt: skip
    return {
        "multiscales": [{"version": "0.4", "name": name, "axes": axes, "datasets": datasets}],
        "omero": {"name": name, "channels": channels, "rdefs": {"model": "color"}},
    }


def _write_ome_xml(folder: Path, name: str, size_px: tuple[int, int], pixel_size_um: float) -> None:
    rows, columns = size_px
    # Colours are signed 32-bit RGBA, as the OME schema wants them.
    channels = "".join(
        f'<Channel ID="Channel:0:{number}" Name="{label}" Color="{colour}" SamplesPerPixel="1"/>'
        for number, (label, colour) in enumerate(
            (("Red", -16776961), ("Green", 16711935), ("Blue", 65535))
        )
    )
    size = f'SizeX="{columns}" SizeY="{rows}" SizeC="3" SizeZ="1" SizeT="1"'
    physical = (
        f'PhysicalSizeX="{pixel_size_um:.6g}" PhysicalSizeXUnit="µm" '
        f'PhysicalSizeY="{pixel_size_um:.6g}" PhysicalSizeYUnit="µm"'
    )
    (folder / "OME").mkdir()
    (folder / "OME" / ".zgroup").write_text('{"zarr_format": 2}', encoding="utf-8")
    (folder / "OME" / "METADATA.ome.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0" Name={quoteattr(name)}>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" {size} {physical}>'
        f"{channels}<MetadataOnly/></Pixels></Image></OME>\n",
        encoding="utf-8",
    )
