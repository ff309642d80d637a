from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from blurryscope.stitch.lane_frames import (
    later_lanes_retimed,
    later_lanes_timed,
    retimed,
    timed_lanes,
)
from tests.stitch.zigzags import (
    INTERVAL_S,
    LANE_S,
    LANES,
    REST_S,
    STAGE,
    MadeUpZigzag,
    even_table,
)


def test_timed_lanes_hold_the_frames_that_moved_and_hardly_more() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    timed = timed_lanes(zigzag.lanes, zigzag.truth, zigzag.times_s)
    for lane, start_s, end_s in zip(timed, zigzag.start_s, zigzag.end_s, strict=True):
        assert start_s - 3 * INTERVAL_S < zigzag.times_s[lane.first] <= start_s
        assert end_s <= zigzag.times_s[lane.last] < end_s + 3.5 * INTERVAL_S


def test_lanes_hold_what_rests_may_be_shorter_however_many_frames_come_a_second() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    twice_s = np.arange(0, zigzag.times_s[-1], INTERVAL_S / 2)
    timed = timed_lanes(zigzag.lanes, zigzag.truth, twice_s)
    for lane, start_s, end_s in zip(timed, zigzag.start_s, zigzag.end_s, strict=True):
        assert twice_s[lane.first] <= start_s - 0.058
        assert twice_s[lane.last] >= end_s + 0.058


def test_a_lane_has_no_frames_of_the_next_however_short_the_rest_between_them() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    start_s = zigzag.start_s[0] + np.arange(LANES) * (LANE_S + 0.05)
    hurried = even_table(start_s, start_s + LANE_S)
    timed = timed_lanes(zigzag.lanes, hurried, zigzag.times_s)
    for lane, next_s in zip(timed[:-1], start_s[1:], strict=True):
        assert zigzag.times_s[lane.last] <= next_s


def test_a_lane_whose_times_nothing_seen_tells_gets_the_frames_of_a_ramp_more() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    is_timed = np.arange(LANES) != 3
    slow = replace(zigzag.truth, ramp_s=0.2)
    timed = timed_lanes(zigzag.lanes, replace(slow, is_timed=is_timed), zigzag.times_s)
    usual = timed_lanes(zigzag.lanes, slow, zigzag.times_s)
    more = round(slow.ramp_s / INTERVAL_S) - 2
    for number, (lane, other) in enumerate(zip(timed, usual, strict=True)):
        margin = 0 if is_timed[number] else more
        assert abs(other.first - lane.first - margin) <= (margin > 0)
        assert abs(lane.last - other.last - margin) <= (margin > 0)
    assert timed[3] != usual[3]


def test_lanes_that_would_begin_after_the_film_has_ended_share_its_last_frames() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    late = even_table(zigzag.start_s + 2 * REST_S, zigzag.end_s + 2 * REST_S)
    times_s = zigzag.times_s[: zigzag.lanes[-1].first]
    timed = timed_lanes(zigzag.lanes, late, times_s)
    assert all(before.last < after.first for before, after in pairwise(timed))
    assert all(lane.first < lane.last < len(times_s) for lane in timed)


def test_a_lane_that_is_given_more_frames_goes_on_beyond_those_it_had_as_the_stage_does() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    known, lane = zigzag.trajectory.between_lanes(3, 3), zigzag.lanes[3]
    longer = retimed(
        known,
        3,
        replace(lane, first=lane.first - 2, last=lane.last + 3),
        zigzag.truth,
        zigzag.times_s,
    )
    assert longer.frames.tolist() == list(range(lane.first - 2, lane.last + 4))
    assert longer.times_s.tolist() == zigzag.times_s[longer.frames].tolist()
    assert longer.positions[2:-3].tolist() == known.positions.tolist()
    step_px = lane.direction * STAGE.speed_px_per_s * INTERVAL_S
    assert np.diff(longer.positions[:4, 1]) == pytest.approx(np.full(3, step_px))


def test_a_lane_that_is_given_fewer_frames_keeps_the_places_of_those_that_are_left() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    known, lane = zigzag.trajectory.between_lanes(3, 3), zigzag.lanes[3]
    shorter = retimed(
        known,
        3,
        replace(lane, first=lane.first + 4, last=lane.last - 1),
        zigzag.truth,
        zigzag.times_s,
    )
    assert shorter.positions.tolist() == known.positions[4:-1].tolist()


def test_lanes_that_are_fixed_keep_their_frames_and_later_ones_take_none_of_them() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    late = replace(zigzag.lanes[2], last=zigzag.lanes[3].first + 2)
    lanes = [*zigzag.lanes[:2], late, *zigzag.lanes[3:]]
    timed = later_lanes_timed(lanes, 3, zigzag.truth, zigzag.times_s)
    assert timed[:3] == lanes[:3]
    assert timed[3].first == late.last + 1
    all_timed = timed_lanes(lanes, zigzag.truth, zigzag.times_s)
    assert timed[4:] == all_timed[4:]
    assert later_lanes_timed(lanes, 0, zigzag.truth, zigzag.times_s) == all_timed


def test_a_slide_is_given_the_frames_of_its_lanes_that_are_not_fixed() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    lanes = [replace(lane, last=lane.last - 2) for lane in zigzag.lanes]
    known = zigzag.trajectory
    slide = later_lanes_retimed(known, lanes, 2, zigzag.truth, zigzag.times_s)
    for number, lane in enumerate(lanes):
        last = lane.last if number >= 2 else zigzag.lanes[number].last
        is_here = slide.lanes == number
        assert slide.frames[is_here].tolist() == list(range(lane.first, last + 1))
    assert slide.positions.tolist() == known.positions[known.rows_of(slide.frames)].tolist()
