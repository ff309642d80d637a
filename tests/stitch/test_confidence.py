import numpy as np
import pytest

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.confidence import place_confidence
from blurryscope.stitch.links import Link, gathered
from blurryscope.stitch.solve import Solution
from blurryscope.stitch.trajectory import Trajectory

TRAJECTORY = Trajectory(
    frames=np.arange(5, 9),
    lanes=np.array([0, 0, 1, 1]),
    times_s=np.arange(4) / 30,
    positions=np.zeros((4, 2)),
    camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
)


def _confidence(pairs: list[tuple[int, int, float]], weight: float = 1.0) -> list[float]:
    links: list[Link] = [(first, second, (0.0, 0.0), (0.0, 0.0), r) for first, second, r in pairs]
    solution = Solution(
        trajectory=TRAJECTORY,
        residuals=np.zeros((len(links), 2)),
        weights=np.full(len(links), weight),
    )
    return [float(value) for value in place_confidence(solution, gathered(links))]


def test_frames_without_links_have_no_confidence() -> None:
    assert _confidence([]) == [0, 0, 0, 0]
    assert _confidence([(5, 6, 0.8)])[2:] == [0, 0]


def test_many_patches_of_one_pair_of_frames_count_as_one() -> None:
    assert _confidence([(5, 6, 0.8)] * 6) == pytest.approx(_confidence([(5, 6, 0.8)]))


def test_more_frames_that_agree_make_a_place_surer() -> None:
    one, two, three = (
        _confidence([(5, 6, 0.8), (5, 7, 0.8), (5, 8, 0.8)][:count])[0] for count in (1, 2, 3)
    )
    assert (one, two, three) == pytest.approx((0.4, 0.64, 0.784))


def test_links_that_others_contradict_or_that_fit_badly_tell_less() -> None:
    good = _confidence([(5, 6, 0.9)])[0]
    assert _confidence([(5, 6, 0.9)], weight=0.3)[0] == pytest.approx(0.3 * good)
    assert _confidence([(5, 6, 0.6)])[0] < good
