from dataclasses import replace

import numpy as np
import pytest

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.links import Links, gathered
from blurryscope.stitch.solve import Solution
from blurryscope.stitch.ties import held_frames, tied_lanes
from blurryscope.stitch.trajectory import Trajectory

LANES, FRAMES = 3, 10


@pytest.fixture
def solution() -> Solution:
    """Three lanes of ten frames; six links, which the rest agrees with."""
    count = LANES * FRAMES
    trajectory = Trajectory(
        frames=np.arange(count) + 50,
        lanes=np.repeat(np.arange(LANES), FRAMES),
        times_s=np.arange(count) / 30,
        positions=np.zeros((count, 2)),
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
    )
    return Solution(trajectory=trajectory, residuals=np.zeros((6, 2)), weights=np.ones(6))


def _links(*frames: tuple[int, int]) -> Links:
    return gathered((50 + a, 50 + b, (0.0, 0.0), (0.0, 0.0), 0.9) for a, b in frames)


WITHIN = [(0, 1), (1, 2), (12, 13)]


def test_lanes_are_tied_by_three_pairs_of_frames(solution: Solution) -> None:
    links = _links(*WITHIN, (7, 13), (8, 12), (9, 11))
    assert tied_lanes(solution, links, LANES).tolist() == [True, False]


def test_patches_of_one_pair_of_frames_tie_nothing(solution: Solution) -> None:
    links = _links(*WITHIN, (9, 11), (9, 11), (9, 11))
    assert not tied_lanes(solution, links, LANES).any()


def test_links_that_were_rejected_tie_nothing(solution: Solution) -> None:
    links = _links(*WITHIN, (17, 23), (18, 22), (19, 21))
    assert tied_lanes(solution, links, LANES).tolist() == [False, True]
    doubtful = replace(solution, weights=np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.1]))
    assert not tied_lanes(doubtful, links, LANES).any()


def test_a_frame_is_held_by_links_that_were_not_rejected_only(solution: Solution) -> None:
    links = _links((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (20, 21))
    judged = replace(solution, weights=np.array([1.0, 1.0, 0.1, 0.2, 0.9, 0.4]))
    assert (held_frames(judged, links) - 50).tolist() == [0, 1, 2, 4, 5]
