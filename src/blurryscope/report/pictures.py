"""Pictures inside the page: read, made smaller, coded as JPEG, written as a data URI."""

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPicture:
    """A picture as text that a page can hold."""

    uri: Markup
    width_px: int
    height_px: int
    stored_width_px: int
    """Before it was made smaller."""


def embed_picture(path: Path, longest_px: int, jpeg_quality: int = 82) -> EmbeddedPicture | None:
    """Read a picture and make it fit `longest_px`; None where there is none that can be read."""
    if not path.is_file():
        return None
    stored = np.frombuffer(path.read_bytes(), np.uint8)  # imread fails on such paths on Windows
    bgr = cv2.imdecode(stored, cv2.IMREAD_COLOR) if stored.size else None
    if bgr is None:
        return None
    factor = min(1.0, longest_px / max(bgr.shape[:2]))
    width_px, height_px = (max(1, round(side * factor)) for side in (bgr.shape[1], bgr.shape[0]))
    small = cv2.resize(bgr, (width_px, height_px), interpolation=cv2.INTER_AREA)
    is_coded, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    if not is_coded:
        raise ValueError(f"a picture of {width_px} x {height_px} px could not be coded as JPEG")
    text = base64.b64encode(jpeg.tobytes()).decode("ascii")
    return EmbeddedPicture(
        uri=Markup("data:image/jpeg;base64,") + Markup(text),  # base64 holds nothing to escape
        width_px=width_px,
        height_px=height_px,
        stored_width_px=bgr.shape[1],
    )
