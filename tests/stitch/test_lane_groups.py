"""Each list tells of neighbouring lanes whether they share tissue; there is one lane more."""

from blurryscope.stitch.lane_groups import settled_count


def test_lanes_that_hang_on_fixed_ones_are_settled_but_for_the_last() -> None:
    assert settled_count([True, True, True], 1, is_open=False) == 3


def test_two_lanes_that_hang_on_nothing_before_wait_for_a_third() -> None:
    assert settled_count([True, True, False, True], 3, is_open=False) == 3
    assert settled_count([True, True, False, True, True], 3, is_open=False) == 5


def test_a_group_that_another_lane_has_ended_is_settled_however_few_its_lanes_are() -> None:
    assert settled_count([True, True, False, False], 3, is_open=False) == 4
    assert settled_count([False, False], 0, is_open=False) == 2


def test_the_last_two_lanes_wait_where_they_disagree() -> None:
    assert settled_count([True, True, True], 1, is_open=True) == 2
    assert settled_count([True, True, True], 3, is_open=True) == 3


def test_first_lanes_that_have_turns_enough_are_settled() -> None:
    assert settled_count([True], 0, is_open=False) == 0
    assert settled_count([True, True], 0, is_open=False) == 2
