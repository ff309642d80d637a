import numpy as np
import pytest

from blurryscope.basics.image import to_uint8
from blurryscope.stitch.brightness import lane_brightness, shrunk_gain
from blurryscope.stitch.placed_lane import PlacedLane
from blurryscope.testing import smooth_picture

ROWS, COLUMNS, STEP_PX, FRAMES = 60, 80, 20, 30


def test_jumps_of_exposure_and_white_balance_are_found() -> None:
    """Glass, then tissue, then glass again, under a camera that thinks again twice."""
    slide = np.full((ROWS, COLUMNS + STEP_PX * FRAMES, 3), 230.0)
    slide[:, 200:500] = smooth_picture(np.random.default_rng(81), (ROWS, 300), 15) * 0.7
    factors = np.ones((FRAMES, 3))
    factors[10:] *= (0.95, 0.93, 0.97)
    factors[18:] *= (1.02, 1.04, 0.98)
    smalls = [
        to_uint8(np.asarray(slide[:, row * STEP_PX : row * STEP_PX + COLUMNS] * factors[row]))
        for row in range(FRAMES)
    ]
    lane = PlacedLane(
        number=0,
        indices=tuple(range(FRAMES)),
        frames=[],
        positions=np.stack([np.zeros(FRAMES), np.arange(FRAMES) * float(STEP_PX)], axis=1),
        matrices=np.broadcast_to(np.eye(2), (FRAMES, 2, 2)),
        frame_shape=(ROWS, COLUMNS),
        is_sure=np.ones(FRAMES, np.bool_),
    )
    gain = np.ones((ROWS, COLUMNS, 3), np.float32)
    evened = lane_brightness(lane, smalls, gain, np.full(3, 230.0)) * factors
    assert evened / evened.mean(axis=0) == pytest.approx(np.ones((FRAMES, 3)), abs=0.02)
    assert evened[:8] == pytest.approx(np.ones((8, 3)), abs=0.01)


def test_a_flat_field_shrinks_as_frames_do() -> None:
    gain = np.random.default_rng(82).uniform(1, 2, (7, 9, 3)).astype(np.float32)
    blocks = gain[:6, :9].reshape(2, 3, 3, 3, 3).mean(axis=(1, 3))
    assert shrunk_gain(gain, 3) == pytest.approx(blocks, abs=1e-5)
