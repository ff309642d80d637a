"""Pictures that lie in files: read whole, or refused where a file is none or is damaged."""

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from blurryscope.artifacts.whole import present_file
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb

_DAMAGED_TIFF = (
    tifffile.TiffFileError, ValueError, OSError, struct.error, zlib.error, TypeError, LookupError,
    RuntimeError,
)  # fmt: skip
"""What reading a TIFF that is cut off or has wrong bytes in it ends with, as trials have shown;
RuntimeError is that of `imagecodecs`, where it is installed."""


def read_rgb(path: Path, remedy: str) -> Rgb:
    """Read a PNG, JPEG or whatever else OpenCV knows, (row, col, rgb) uint8.

    An `InputError` with the remedy where there is no file, or none that can be read.
    """
    # Not by cv2.imread, which cannot open all Windows paths.
    coded = np.frombuffer(present_file(path, remedy).read_bytes(), np.uint8)
    try:
        rgb = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB) if coded.size else None
    except cv2.error as error:  # too large by what its first bytes say
        raise InputError(path, f"cannot be read as a picture ({error})", remedy) from error
    if rgb is None:
        raise InputError(path, "cannot be read as a picture", remedy)
    return np.asarray(rgb, np.uint8)


def read_tiff(path: Path, remedy: str) -> NDArray[Any]:
    """Read the pixels of a TIFF as they are stored; errors as `read_rgb`."""
    present_file(path, remedy)
    try:
        return np.asarray(tifffile.imread(path))
    except _DAMAGED_TIFF as error:
        raise InputError(path, f"cannot be read as a TIFF ({error})", remedy) from error
