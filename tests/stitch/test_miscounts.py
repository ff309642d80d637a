"""Lanes that cross the same glass tell who of them has a frame too few or too many."""

import numpy as np
import pytest

from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.miscounts import Miscounts, lost_way_px, miscounts
from blurryscope.stitch.trajectory import Trajectory
from tests.stitch.lanes_over_glass import FRAMES, GLASS, STEP_PX, STILL, solved, ways_px

TURN_PX = 15 * STEP_PX


def _told(lost: list[int], bent: float, fixed_count: int = 0) -> Miscounts:
    """What lanes tell that lost so many frames over the glass, if it is solved `bent` steps wide.

    Between the cores lies as much glass for all lanes: those that lost a frame expect less.
    """
    along_px = ways_px([0.0] * len(lost))
    solution, links = solved(ways_px([each + bent for each in lost]), TURN_PX)
    return miscounts(solution, links, along_px, STEP_PX, fixed_count)


@pytest.mark.parametrize(("lost", "count"), [([1, 0, 0], 1), ([0, 2, 0], 2), ([0, 0, -1], -1)])
def test_of_three_lanes_the_one_that_differs_has_frames_too_few_or_too_many(
    lost: list[int], count: int
) -> None:
    lane = int(np.flatnonzero(lost)[0])
    told = _told(lost, bent=-count / 3)
    assert told == Miscounts(lost={lane * FRAMES + GLASS.stop: count}, is_open=False)


def test_two_lanes_cannot_tell_and_wait_for_the_next() -> None:
    assert _told([1, 0], bent=-0.5) == Miscounts(lost={}, is_open=True)


def test_lanes_that_agree_have_nothing_to_tell() -> None:
    assert _told([0, 0, 0], bent=0.0) == Miscounts(lost={}, is_open=False)


def test_where_most_lanes_lie_right_nothing_is_put_right() -> None:
    assert _told([1, 0, 0], bent=0.0).lost == {}


def test_a_lane_that_is_fixed_has_a_say_but_stays() -> None:
    assert _told([1, 0, 0], bent=-1 / 3, fixed_count=1).lost == {}
    told = _told([0, 0, 1], bent=-1 / 3, fixed_count=1)
    assert told.lost == {2 * FRAMES + GLASS.stop: 1}
    assert not told.is_open


def test_lanes_that_differ_by_part_of_a_step_did_not_lose_frames() -> None:
    told = _told([0, 0, 0], bent=0.4)
    assert told == Miscounts(lost={}, is_open=False)


def test_frames_behind_a_lost_one_are_expected_a_step_farther_on() -> None:
    frames = np.arange(2 * FRAMES)
    trajectory = Trajectory(
        frames=frames,
        lanes=frames // FRAMES,
        times_s=frames / 30,
        positions=np.zeros((2 * FRAMES, 2)),
        camera=STILL,
    )
    lanes = [
        Lane(first=0, last=FRAMES - 1, direction=1, evidence=9.0),
        Lane(first=FRAMES, last=2 * FRAMES - 1, direction=-1, evidence=9.0),
    ]
    way_px = lost_way_px(trajectory, lanes, {FRAMES + 4: 2, 500: 1}, STEP_PX)
    assert not way_px[: FRAMES + 4].any()
    assert (way_px[FRAMES + 4 :] == -2 * STEP_PX).all()
