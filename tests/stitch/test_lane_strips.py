from dataclasses import replace

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


def test_pieces_are_sought_no_nearer_where_frames_come_faster() -> None:
    """A jerk over glass moves what comes after it by so much, however often it is filmed."""
    count = 80
    film = Trajectory(
        frames=np.arange(count),
        lanes=np.zeros(count, np.int64),
        times_s=np.arange(count) / 30,
        positions=np.stack([np.zeros(count), 116.0 * np.arange(count)], axis=1),
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
    )
    faster = replace(film, times_s=film.times_s / 4, positions=film.positions / 4)
    slower = replace(film, times_s=film.times_s * 2, positions=film.positions * 2)
    assert step_px_of(faster) == pytest.approx(step_px_of(film))
    assert step_px_of(slower) == pytest.approx(2 * step_px_of(film))
