"""A stitched slide's folder made by hand: four lanes over drawn tissue, with any fault wanted."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import FramePlace, StageState, write_frame_places
from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.recording import Recording, write_recording
from blurryscope.basics.image import Rgb, to_uint8

PIXEL_UM = 1.0
PITCH_PX, FIELD_PX = 400, (480, 640)
"""Across the lanes, along them."""
STEP_PX, LANE_PX, LANES = 150, 4200, 4
SIZE_PX = (PITCH_PX * (LANES - 1) + FIELD_PX[0] + 1, LANE_PX + FIELD_PX[1] + 1)
WHITE = 232


@dataclass(slots=True)
class SlideByHand:
    """Change the picture and the frames, then `write`."""

    picture: Rgb
    places: list[FramePlace]

    def frames_where(self, is_meant: Callable[[FramePlace], bool]) -> list[int]:
        return [number for number, place in enumerate(self.places) if is_meant(place)]

    def write(self, folder: Path) -> Path:
        with MosaicWriter(folder / "mosaic.ome.zarr", SIZE_PX, PIXEL_UM) as mosaic:
            mosaic.write_rows(self.picture)
        write_frame_places(folder / "frames.csv", self.places)
        (folder / "stitch.json").write_text(
            json.dumps({"pixel_size_um": PIXEL_UM, "lane_count": LANES}), encoding="utf-8"
        )
        recording = Recording(
            pixel_size_um=PIXEL_UM, speed_um_per_s=5000.0, exposure_s=0.03, frame_rate_hz=30.0
        )
        write_recording(folder / "recording.json", recording)
        return folder


def good_slide() -> SlideByHand:
    """A slide without faults: tissue in the middle, glass around it."""
    return SlideByHand(picture=_tissue().copy(), places=_frames())


@cache
def _tissue() -> Rgb:
    """Tissue as motion leaves it: fine across the lanes, blurred along them."""
    rng = np.random.default_rng(1)
    fine = cv2.GaussianBlur(_noise(rng), (0, 0), 0.9)
    coarse = cv2.GaussianBlur(_noise(rng), (0, 0), 6)
    texture = fine / fine.std() + coarse / coarse.std()
    texture = cv2.blur(texture, (35, 1))
    rows, columns = np.mgrid[: SIZE_PX[0], : SIZE_PX[1]]
    inside = (np.abs(rows - SIZE_PX[0] / 2) < 650) & (np.abs(columns - SIZE_PX[1] / 2) < 1900)
    level = np.where(inside, 150 + 25 * texture, WHITE) + rng.normal(0, 1.2, SIZE_PX)
    grey = to_uint8(np.clip(level, 1, 245))
    return np.repeat(grey[:, :, None], 3, axis=2)


def _noise(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.standard_normal(SIZE_PX, np.float32)


def _frames() -> list[FramePlace]:
    places: list[FramePlace] = []
    time_s = 0.0
    for lane in range(LANES):
        along = np.arange(0, LANE_PX + 1, STEP_PX)
        for x in along if lane % 2 == 0 else along[::-1]:
            places.append(
                FramePlace(
                    frame=len(places), time_s=time_s, state=StageState.MOVING, lane=lane,
                    x_px=float(x + FIELD_PX[1] / 2), y_px=lane * PITCH_PX + FIELD_PX[0] / 2,
                    confidence=0.98,
                )
            )  # fmt: skip
            time_s += 1 / 30
        time_s += 1.1
    return places
