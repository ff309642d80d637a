"""Small pictures of cores beside the full ones, so that pages need not read the full ones again."""

from pathlib import Path

import cv2
import numpy as np

from blurryscope.basics.image import Rgb

SMALL_PX = 420
"""Longest side: as large as pages show a core."""
SMALL_QUALITY = 82
_FOLDER = "small"


def small_picture_path(picture: Path) -> Path:
    """Where the small one of a core's full picture lies: `cores/small/A1.jpg` of `cores/A1.png`."""
    return picture.parent / _FOLDER / f"{picture.stem}.jpg"


def small_jpeg(rgb: Rgb) -> bytes:
    """A picture, (row, col, rgb) uint8, made to fit `SMALL_PX`, as JPEG."""
    return jpeg_of(fitted(np.ascontiguousarray(rgb[..., ::-1]), SMALL_PX), SMALL_QUALITY)


def fresh_small_picture(picture: Path) -> Path | None:
    """The small one of a picture; None where there is none, or where the full one is newer."""
    small = small_picture_path(picture)
    if not (small.is_file() and picture.is_file()):
        return None
    is_fresh = small.stat().st_mtime_ns >= picture.stat().st_mtime_ns
    return small if is_fresh else None


def fitted(colours: Rgb, longest_px: int) -> Rgb:
    """A picture made to fit `longest_px`, whatever the order of its colours; never made larger."""
    rows, columns = colours.shape[:2]
    factor = min(1.0, longest_px / max(rows, columns))
    size_px = (max(1, round(columns * factor)), max(1, round(rows * factor)))
    return np.asarray(cv2.resize(colours, size_px, interpolation=cv2.INTER_AREA), np.uint8)


def jpeg_of(bgr: Rgb, quality: int) -> bytes:
    """Not by cv2.imwrite, which cannot write to all Windows paths."""
    is_coded, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not is_coded:
        raise ValueError(f"a picture of shape {bgr.shape} could not be coded as JPEG")
    return np.asarray(jpeg).tobytes()
