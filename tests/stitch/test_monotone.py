import numpy as np
import pytest

from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.monotone import never_backwards
from blurryscope.stitch.trajectory import Trajectory
from tests.stitch.zigzags import (
    INTERVAL_S,
    STILL,
)


@pytest.mark.parametrize("direction", [1, -1])
def test_blank_frames_after_the_tissue_stand_rather_than_run_back(direction: int) -> None:
    way = np.array([30.0, 10.0, 20.0, 40.0, 60.0, 50.0, 55.0, 70.0])
    frames = np.arange(8) + 100
    film = Trajectory(
        frames=frames,
        lanes=np.zeros(8, np.int64),
        times_s=np.asarray(frames * INTERVAL_S, np.float64),
        positions=np.stack([np.zeros(8), direction * way], axis=1),
        camera=STILL,
    )
    lane = Lane(first=100, last=107, direction=direction, evidence=3.0)
    held = never_backwards(film, [lane], np.array([102, 103, 104]))
    wanted = [10.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 70.0]
    assert (direction * held.positions[:, 1]).tolist() == wanted
    assert never_backwards(film, [lane], np.array([], np.int64)).positions.tolist() == (
        film.positions.tolist()
    )


@pytest.mark.parametrize("direction", [1, -1])
def test_frames_that_false_links_hold_beyond_the_next_ones_go_back_to_them(direction: int) -> None:
    x_px = np.array([1100.0, 1100.0, 1096.0, 357.0, 590.0, 820.0, 1050.0, 1280.0, 1510.0, 700.0])
    count = len(x_px)
    film = Trajectory(
        frames=np.arange(count),
        lanes=np.zeros(count, np.int64),
        times_s=np.asarray(np.arange(count) * INTERVAL_S, np.float64),
        positions=np.stack([np.zeros(count), direction * x_px], axis=1),
        camera=STILL,
    )
    lane = Lane(first=0, last=count - 1, direction=direction, evidence=9.0)
    held = never_backwards(film, [lane], np.arange(count))
    wanted = [357.0, 357.0, 357.0, *x_px[3:9].tolist(), 1510.0]
    assert (direction * held.positions[:, 1]).tolist() == wanted


def test_a_lane_whose_links_all_lead_backwards_stays_as_it_is() -> None:
    x_px = np.array([700.0, 600.0, 500.0, 400.0, 300.0, 200.0, 100.0])
    count = len(x_px)
    film = Trajectory(
        frames=np.arange(count),
        lanes=np.zeros(count, np.int64),
        times_s=np.asarray(np.arange(count) * INTERVAL_S, np.float64),
        positions=np.stack([np.zeros(count), x_px], axis=1),
        camera=STILL,
    )
    lane = Lane(first=0, last=count - 1, direction=1, evidence=9.0)
    assert never_backwards(film, [lane], np.arange(1, 6)).positions[:, 1].tolist() == x_px.tolist()
