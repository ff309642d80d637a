import numpy as np
import pytest

from blurryscope.basics.image import to_uint8
from blurryscope.stitch.brightness import Brightness, shrunk_gain
from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.solve import Trajectory
from blurryscope.testing import smooth_picture

ROWS, COLUMNS, STEP_PX, FRAMES = 60, 80, 20, 30


def test_jumps_of_exposure_and_white_balance_are_found() -> None:
    """Glass, then tissue, then glass again, under a camera that thinks again twice."""
    slide = np.full((ROWS, COLUMNS + STEP_PX * FRAMES, 3), 230.0)
    slide[:, 200:500] = smooth_picture(np.random.default_rng(81), (ROWS, 300), 15) * 0.7
    factors = np.ones((FRAMES, 3))
    factors[10:] *= (0.95, 0.93, 0.97)
    factors[18:] *= (1.02, 1.04, 0.98)
    number = np.arange(FRAMES)
    trajectory = Trajectory(
        frames=number,
        lanes=np.zeros(FRAMES, np.int64),
        times_s=np.asarray(number / 30, np.float64),
        positions=np.stack([np.zeros(FRAMES), number * float(STEP_PX)], axis=1),
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
    )
    brightness = Brightness(trajectory, np.ones((ROWS, COLUMNS, 3), np.float32), reduction=1)
    for row in range(FRAMES):
        seen = slide[:, row * STEP_PX : row * STEP_PX + COLUMNS] * factors[row]
        brightness.add(row, to_uint8(np.asarray(seen)))
    evened = brightness.solve() * factors
    assert evened / evened.mean(axis=0) == pytest.approx(np.ones((FRAMES, 3)), abs=0.02)


def test_a_flat_field_shrinks_as_frames_do() -> None:
    gain = np.random.default_rng(82).uniform(1, 2, (7, 9, 3)).astype(np.float32)
    blocks = gain[:6, :9].reshape(2, 3, 3, 3, 3).mean(axis=(1, 3))
    assert shrunk_gain(gain, 3) == pytest.approx(blocks, abs=1e-5)
