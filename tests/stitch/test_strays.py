"""Lanes that cross the same glass tell how long it is, whatever befell the stage and the camera."""

from dataclasses import replace

import numpy as np
import pytest

from blurryscope.stitch.expectations import Expectations
from blurryscope.stitch.links import gathered
from blurryscope.stitch.solve import solve
from blurryscope.stitch.strays import Ways, likeliest_ways
from blurryscope.stitch.trajectory import Trajectory
from tests.stitch.lanes_over_glass import FRAMES, GLASS, STEP_PX, STILL, solved, ways_px


def _told(
    mishaps: list[float], bent: float, *, is_linked: bool = True, fixed_count: int = 0
) -> Ways:
    """What is told where the ways across the glass were found `bent` steps too long.

    Each lane is expected to go less far than it went by its mishap, in steps: 1 is a lost frame,
    what is below 0 a stage that stuck.
    """
    along_px = ways_px([-mishap for mishap in mishaps])
    turn_px = (FRAMES - 1 + bent) * STEP_PX
    solution, links = solved(ways_px([bent] * len(mishaps)), turn_px)
    linked = [is_linked] * (len(mishaps) - 1)
    return likeliest_ways(solution, links, along_px, STEP_PX, linked, fixed_count)


@pytest.mark.parametrize(
    ("mishaps", "bent"),
    [
        ([-0.9, -0.6, 0.0], 0.7),  # the stage stuck on two of three
        ([0.0, 0.0], 0.7),  # two lanes are enough where nothing befell either
        ([1.0, -0.6, 0.0, 0.0], -0.3),  # and a frame was lost
        ([-1.0, 0.0, -0.6], 0.55),  # or came twice
    ],
)
def test_the_way_that_needs_the_fewest_mishaps_is_told(mishaps: list[float], bent: float) -> None:
    told = _told(mishaps, bent)
    assert len(told) == len(mishaps)
    for number, ((before, behind), way_px) in enumerate(told.items()):
        assert (before, behind) == (number * FRAMES + GLASS.start - 1, number * FRAMES + GLASS.stop)
        direction = 1 if number % 2 == 0 else -1
        assert way_px == pytest.approx(direction * STEP_PX * (behind - before))


@pytest.mark.parametrize("mishaps", [[0.0, 0.0], [0.02, -0.03, 0.0], [-0.8, -1.4, 0.0], [1.0, 0.0]])
def test_ways_that_are_found_right_stay(mishaps: list[float]) -> None:
    assert _told(mishaps, bent=0.0) == {}


@pytest.mark.parametrize(
    ("mishaps", "bent"),
    [
        ([0.0, -0.7], 0.35),  # the stage stuck on one, or the other lost a frame and stuck
        ([1.0, 0.0], -0.5),
        ([1.0, 1.0, 0.0, 0.0], -0.5),  # or two hold a frame twice
    ],
)
def test_lanes_that_may_be_right_either_way_tell_nothing(mishaps: list[float], bent: float) -> None:
    assert _told(mishaps, bent) == {}


def test_a_stage_that_stuck_where_a_frame_was_lost_does_not_outvote_two_lanes() -> None:
    assert _told([0.0, 0.45, 0.0], bent=0.0) == {}


def test_lanes_that_share_no_tissue_cross_other_glass() -> None:
    assert _told([0.0, -0.7], bent=0.35, is_linked=False) == {}


def test_ways_that_a_fixed_lane_shares_stay() -> None:
    assert _told([0.0, -0.7, 0.0], bent=0.35, fixed_count=1) == {}


def test_a_way_that_is_told_holds_where_no_link_says_otherwise() -> None:
    count = 10
    start = Trajectory(
        frames=np.arange(100, 100 + count),
        lanes=np.zeros(count, np.int64),
        times_s=np.arange(count) / 30,
        positions=np.stack([np.zeros(count), STEP_PX * np.arange(count)], axis=1),
        camera=STILL,
    )
    even = Expectations(
        along_px=start.positions[:, 1],
        is_ramp=np.zeros(count, np.bool_),
        pitch_px=200.0,
        turn_sigma_px=20.0,
    )
    told = replace(even, ways_px={(102, 107): 3.2 * STEP_PX, (7, 9): 1.0})
    found = solve(start, gathered([]), told, fit_camera=False).trajectory.positions[:, 1]
    assert found[7] - found[2] == pytest.approx(3.2 * STEP_PX, abs=0.15 * STEP_PX)
    assert np.diff(found)[:2] == pytest.approx(STEP_PX, abs=0.1 * STEP_PX)
