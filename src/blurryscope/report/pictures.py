"""Pictures inside the page: read, made smaller, coded as JPEG, written as a data URI."""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup

from blurryscope.artifacts.small_pictures import (
    SMALL_PX,
    SMALL_QUALITY,
    fitted,
    fresh_small_picture,
    jpeg_of,
)
from blurryscope.basics.image import Rgb

_PNG_WIDTH = slice(16, 20)
"""Of the first bytes of a PNG: signature, then length and name of the header chunk, then this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPicture:
    """A picture as text that a page can hold."""

    uri: Markup
    width_px: int
    height_px: int
    stored_width_px: int
    """Before it was made smaller."""


def embed_picture(
    path: Path, longest_px: int, jpeg_quality: int = SMALL_QUALITY
) -> EmbeddedPicture | None:
    """Read a picture and make it fit `longest_px`; None where there is none that can be read."""
    bgr = _read_bgr(path)
    return None if bgr is None else _embedded(bgr, longest_px, jpeg_quality, bgr.shape[1])


def embed_core(path: Path, longest_px: int) -> EmbeddedPicture | None:
    """The same of a core's full picture, by way of its small one where that is large enough.

    A full one takes some fifty times as long to read.
    """
    small = fresh_small_picture(path) if longest_px <= SMALL_PX else None
    bgr = None if small is None else _read_bgr(small)
    if bgr is None or small is None:
        return embed_picture(path, longest_px)
    with path.open("rb") as png:
        (stored_width_px,) = struct.unpack(">I", png.read(_PNG_WIDTH.stop)[_PNG_WIDTH])
    if max(bgr.shape[:2]) <= longest_px:  # as it is: coded once more it would only lose
        return _as_text(small.read_bytes(), bgr, stored_width_px)
    return _embedded(bgr, longest_px, SMALL_QUALITY, stored_width_px)


def _read_bgr(path: Path) -> Rgb | None:
    if not path.is_file():
        return None
    stored = np.frombuffer(path.read_bytes(), np.uint8)  # imread fails on such paths on Windows
    bgr = cv2.imdecode(stored, cv2.IMREAD_COLOR) if stored.size else None
    return None if bgr is None else np.asarray(bgr, np.uint8)


def _embedded(
    bgr: Rgb, longest_px: int, jpeg_quality: int, stored_width_px: int
) -> EmbeddedPicture:
    small = fitted(bgr, longest_px)
    return _as_text(jpeg_of(small, jpeg_quality), small, stored_width_px)


def _as_text(jpeg: bytes, shown: Rgb, stored_width_px: int) -> EmbeddedPicture:
    text = base64.b64encode(jpeg).decode("ascii")
    return EmbeddedPicture(
        uri=Markup("data:image/jpeg;base64,") + Markup(text),  # base64 holds nothing to escape
        width_px=shown.shape[1],
        height_px=shown.shape[0],
        stored_width_px=stored_width_px,
    )
