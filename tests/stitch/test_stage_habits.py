from dataclasses import replace

import numpy as np
import pytest

from blurryscope.stitch.stage_habits import StageHabits

SPANS_S = np.array([[1.0, 2.5], [4.0, 5.5], [7.0, 8.4], [9.9, 11.5]])
"""When lanes were first and last seen to move."""
STAGE = StageHabits.by_rhythm(SPANS_S, speed_px_per_s=4000.0, rest_s=1.1, ramp_s=0.1, skew_deg=0.5)


def test_lanes_and_turns_usually_last_as_long_as_the_rhythm_tells() -> None:
    assert STAGE.lane_s == pytest.approx(1.5)
    assert STAGE.turn_s == pytest.approx(1.5)
    assert STAGE.width_px == pytest.approx(6000.0)


def test_with_more_than_a_right_angle_between_its_axes_the_way_down_leads_back_along_x() -> None:
    assert STAGE.lean == pytest.approx(-np.tan(np.deg2rad(0.5)))


def test_a_stage_driven_by_steps_goes_at_the_speed_agreed_on_or_at_the_median_of_its_lanes() -> (
    None
):
    linked = replace(STAGE, linked_speeds_px_per_s=(3990.0, np.nan, 4004.0, 4002.0))
    assert linked.with_one_speed(5).linked_speeds_px_per_s == (4002.0,) * 5
    assert linked.with_one_speed(5).speed_px_per_s == 4002.0
    agreed = replace(linked, agreed_speed_px_per_s=4000.5).with_one_speed(2)
    assert (agreed.speed_px_per_s, agreed.linked_speeds_px_per_s) == (4000.5, (4000.5,) * 2)
    assert STAGE.with_one_speed(5) == STAGE


def test_speeds_go_with_the_lanes_that_are_counted_anew() -> None:
    linked = replace(STAGE, linked_speeds_px_per_s=(1.0, 2.0, 3.0))
    assert linked.since(1).linked_speeds_px_per_s == (2.0, 3.0)
    assert linked.before(1).linked_speeds_px_per_s == (1.0,)
    assert linked.linked_speed_px_per_s(2) == 3.0
    assert np.isnan(linked.linked_speed_px_per_s(3))
