import numpy as np
import pytest

from blurryscope.stitch.ramps import seen_ramps
from tests.stitch.zigzag_over_tissue import SPEED_PX_PER_S, ZigzagOverTissue

TOLD_RAMP_S = 0.1


@pytest.mark.parametrize(("ramp_s", "rest_s"), [(0.2, 1.1), (0.33, 0.64), (0.6, 1.4)])
def test_ramps_and_rests_are_told_by_tissue_at_the_turns(ramp_s: float, rest_s: float) -> None:
    zigzag = ZigzagOverTissue(ramp_s, rest_s)
    told = seen_ramps(zigzag.trajectory, zigzag.lanes, zigzag.is_seen, SPEED_PX_PER_S, TOLD_RAMP_S)
    assert told.ramp_s == pytest.approx(ramp_s, rel=0.05)
    assert told.rest_s == pytest.approx(rest_s, abs=0.02)


@pytest.mark.parametrize("rest_s", [0.4, 1.1, 1.8])
def test_rests_are_told_by_tissue_at_the_turns_whose_ramps_are_too_short_to_be_measured(
    rest_s: float,
) -> None:
    zigzag = ZigzagOverTissue(0.04, rest_s)
    is_seen = np.ones(len(zigzag.is_seen), np.bool_)  # at rest too
    told = seen_ramps(zigzag.trajectory, zigzag.lanes, is_seen, SPEED_PX_PER_S, TOLD_RAMP_S)
    assert np.isnan(told.ramp_s)
    assert told.rest_s == pytest.approx(rest_s, abs=0.07)  # how steep it was nobody knows


def test_glass_at_the_turns_tells_nothing_of_them() -> None:
    zigzag = ZigzagOverTissue(ramp_s=0.33, rest_s=0.64)
    times_s, lanes = zigzag.trajectory.times_s, zigzag.trajectory.lanes
    is_seen = times_s > zigzag.start_s[lanes] + 0.33
    is_seen &= times_s < zigzag.end_s[lanes] - 0.33
    told = seen_ramps(zigzag.trajectory, zigzag.lanes, is_seen, SPEED_PX_PER_S, TOLD_RAMP_S)
    assert np.isnan(told.ramp_s)
    assert np.isnan(told.rest_s)


def test_a_stage_that_sticks_within_its_lanes_makes_no_ramps() -> None:
    zigzag = ZigzagOverTissue(ramp_s=0.05, rest_s=1.1, stuck=True)
    told = seen_ramps(zigzag.trajectory, zigzag.lanes, zigzag.is_seen, SPEED_PX_PER_S, TOLD_RAMP_S)
    assert np.isnan(told.ramp_s)
