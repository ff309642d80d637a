"""Frames of a simulated camera over a slide, with the stage wherever a test wants it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb
from blurryscope.simulator.camera import Camera, CameraSettings
from blurryscope.simulator.presets import AUTHENTIC
from blurryscope.simulator.slide import Slide, SlideDesign
from blurryscope.simulator.stage import Floats, StagePath, StageSettings, Zigzag

CALM = replace(
    AUTHENTIC.camera,
    exposure_jumps_per_minute=0.0,
    white_balance_jumps_per_minute=0.0,
    rows=240,
    columns=320,
    pixel_size_um=1.44,
)
"""The authors' camera at a quarter of its pixels, its automatics locked."""


class Way(StagePath):
    """A way given as a function of time."""

    def __init__(self, position_um: Callable[[Floats], tuple[Floats, Floats]]) -> None:
        zigzag = Zigzag(
            start_x_um=0.0, start_y_um=0.0, lane_length_um=1.0, lane_pitch_um=1.0, lane_count=1
        )
        super().__init__(zigzag, StageSettings(), np.random.default_rng(0))
        self._position_um = position_um

    def position_um(self, time_s: Floats) -> tuple[Floats, Floats]:
        return self._position_um(np.asarray(time_s, np.float64))


@dataclass(frozen=True)
class Bench:
    """A slide with one row of cores, under a camera."""

    slide: Slide
    camera: CameraSettings

    def lumas(self, way: Way, times_s: list[float], seed: int = 0) -> list[NDArray[np.uint8]]:
        weights = np.array([0.299, 0.587, 0.114])
        pictures = self.pictures(way, times_s, seed)
        return [np.rint(picture @ weights).astype(np.uint8) for picture in pictures]

    def pictures(self, way: Way, times_s: list[float], seed: int = 0) -> list[Rgb]:
        camera = Camera(self.camera, self.slide, way, np.random.default_rng(7))
        noise = np.random.default_rng(seed)
        return [camera.frame(time_s, noise) for time_s in times_s]


def straight(
    from_um: tuple[float, float], speed_um_per_s: float, screw_error_um: float = 0.0
) -> Way:
    """Along x, from a place at time 0, by a screw of 2 mm that is not perfect."""

    def position_um(time_s: Floats) -> tuple[Floats, Floats]:
        x_um = from_um[0] + speed_um_per_s * time_s
        off_um = screw_error_um * np.sin(2 * math.pi * x_um / 2000.0)
        return x_um + off_um, np.full_like(time_s, from_um[1])

    return Way(position_um)


@pytest.fixture(scope="session")
def bench() -> Bench:
    design = SlideDesign(
        name="BENCH", rows=1, columns=3, core_diameter_um=1000, pitch_um=1300, margin_um=1100,
        placement_um=0.0, seed=5,
    )  # fmt: skip
    return Bench(Slide(design, CALM.pixel_size_um), CALM)
