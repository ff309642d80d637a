"""Real cores on a simulated slide: pictures of stained tissue brought to the slide's pixel size."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from blurryscope.artifacts.picture_file import read_rgb
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb, to_uint8


@dataclass(frozen=True, slots=True, kw_only=True)
class CorePicture:
    """A picture of one core, in the middle, on glass."""

    path: Path
    score: Score
    pixel_size_um: float


def read_core_picture(
    picture: CorePicture, pixel_size_um: float, widest_um: float, rng: np.random.Generator
) -> Rgb:
    """The core as light through it, 255 on clear glass, at another pixel size.

    Turned by a multiple of 90 degrees and mirrored at random, so that one picture can serve for
    several cores. What lies more than `widest_um` / 2 from the middle is cut off.
    """
    stored = read_rgb(picture.path, "Give a JPEG, PNG or TIFF of the core")
    factor = picture.pixel_size_um / pixel_size_um
    scaled = cv2.resize(stored, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    glass = np.percentile(scaled.reshape(-1, 3)[::7], 90, axis=0)
    # Two parts in a hundred below glass are the scanner's own unevenness, not tissue.
    light = to_uint8(np.minimum(scaled.astype(np.float32) / (0.98 * glass), 1.0) * 255.0)
    rows, columns = light.shape[:2]
    half = int(widest_um / pixel_size_um / 2)
    top, left = max(rows // 2 - half, 0), max(columns // 2 - half, 0)
    light = np.rot90(light[top : rows - top, left : columns - left], int(rng.integers(4)))
    return np.ascontiguousarray(light[:, ::-1] if rng.random() < 0.5 else light)
