"""A small simulated stage whose homing takes little time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from blurryscope.devices.contracts import CameraFrame
from blurryscope.devices.jpeg import JpegFilm, JpegPicture, to_jpeg
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.machine_parts import MachineSettings
from blurryscope.simulator.presets import PLAIN
from blurryscope.simulator.rig import RigSettings, SimulatedRig
from blurryscope.simulator.slide import SlideDesign
from blurryscope.testing import smooth_picture

SMALL = MachineSettings(
    travel_um=(12_000.0, 6_000.0, 2_000.0),
    start_um=(3_000.0, 2_000.0, -500.0),
    seek_um_per_s=10_000.0,
    touch_um_per_s=2_000.0,
)
DESIGN = SlideDesign(rows=1, columns=1, core_diameter_um=600, pitch_um=900, margin_um=700, seed=1)


@pytest.fixture
def jpeg_film(tmp_path: Path) -> Path:
    """Twelve different pictures, 30 a second, as JPEGs."""
    rng = np.random.default_rng(0)
    path = tmp_path / "lane.mkv"
    with JpegFilm(path, (96, 128), 30.0) as film:
        for index in range(12):
            time_s = 5.0 + index / 30
            jpeg = to_jpeg(smooth_picture(rng, (96, 128)))
            picture = JpegPicture(index, time_s, jpeg)
            film.write(CameraFrame(index=index, time_s=time_s, picture=picture, jpeg=jpeg))
    return path


@pytest.fixture
def clock() -> Iterator[FastClock]:
    with FastClock(200) as clock:
        yield clock


@pytest.fixture
def rig(clock: FastClock) -> Iterator[SimulatedRig]:
    settings = RigSettings(scan=PLAIN, machine=SMALL, slide_corner_um=(2_000.0, 2_000.0))
    with SimulatedRig(DESIGN, clock, settings) as rig:
        yield rig
