import numpy as np
import pytest

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.lane_strips import step_px_of
from blurryscope.stitch.trajectory import Trajectory


def test_a_step_is_one_at_full_speed_however_much_of_a_lane_is_ramps_and_rests() -> None:
    ramp = np.linspace(0, 110, 14)
    steps = np.concatenate([np.zeros(20), ramp, np.full(30, 116.0), ramp[::-1], np.zeros(20)])
    forth = np.cumsum(steps)
    x_px = np.concatenate([forth, forth[::-1]])
    count = len(x_px)
    film = Trajectory(
        frames=np.arange(count),
        lanes=np.repeat([0, 1], count // 2),
        times_s=np.arange(count) / 30,
        positions=np.stack([np.zeros(count), x_px], axis=1),
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
    )
    assert step_px_of(film) == pytest.approx(116.0)
