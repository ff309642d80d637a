from collections.abc import Sequence

import numpy as np

from blurryscope.stitch.lane_finder import (
    LaneFinder,
    until_the_last_seen,
    with_those_told,
)
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.motion import PairShift

MOVING, RESTING, STEP_PX = 40, 34, 20.0
LEAST_STEP_PX = 3.0


def _film(shows_tissue: Sequence[bool]) -> list[PairShift]:
    """Shifts of a zigzag."""
    rng = np.random.default_rng(4)
    blank = [
        PairShift(row_px=row_px, col_px=col_px, correlation=0.2, stillness=0.3)
        for row_px, col_px in rng.uniform(-40, 40, (RESTING, 2)).tolist()
    ]
    shifts = list(blank)
    for number, shows in enumerate(shows_tissue):
        along_px = -STEP_PX if number % 2 == 0 else STEP_PX
        moves = PairShift(row_px=0.0, col_px=along_px, correlation=0.9, stillness=0.1)
        shifts += [moves if shows else blank[0]] * MOVING + blank
    return shifts


def _found(shifts: Sequence[PairShift]) -> tuple[LaneFinder, list[Lane]]:
    finder = LaneFinder()
    return finder, finder.first(shifts, LEAST_STEP_PX, RESTING)


def test_long_before_the_first_lane_seen_and_after_the_last_the_stage_stood() -> None:
    wait = [PairShift(row_px=9.0, col_px=-4.0, correlation=0.2, stillness=0.3)] * 1500
    lanes = _film([True] * 6)
    shifts = [*wait, *lanes, *wait]
    finder, found = _found(shifts)
    seen = [lane for lane in found if lane.evidence >= 4]
    assert len(seen) == 6
    assert found.index(seen[0]) <= 4
    assert len(until_the_last_seen(found)) - 1 - found.index(seen[-1]) <= 4
    finder.goes_on_after(seen[3])
    later = finder.rest(shifts)
    assert [lane.evidence >= 4 for lane in later[:2]] == [True, True]
    assert len(later) <= 2 + 4


def test_a_film_that_outlasts_its_last_lane_by_a_rest_and_more_ends_in_another() -> None:
    whole = _film([True] * 5)
    blank = whole[:1]
    finder, lanes = _found(whole)
    finder.goes_on_after(lanes[2])

    def until_the_end(blank_count: int) -> list[Lane]:
        shifts = whole + blank_count * blank
        return finder.with_one_cut_off(finder.rest(shifts), len(shifts) + 1)

    assert [lane.is_seen for lane in until_the_end(MOVING // 4)] == [True, True]
    *_, last, cut_off = until_the_end(MOVING * 3 // 4)
    assert not cut_off.is_seen
    assert cut_off.direction == -last.direction
    assert abs(cut_off.first - (last.last + RESTING)) <= 1
    assert cut_off.last == len(whole) + MOVING * 3 // 4


def test_a_stage_that_stood_for_many_lanes_after_the_last_one_began_no_other() -> None:
    finder, lanes = _found(_film([True] * 5 + [False] * 7))
    finder.goes_on_after(lanes[2])
    shifts = _film([True] * 5 + [False] * 7 + [False])
    left = finder.rest(shifts)
    assert finder.with_one_cut_off(left, len(shifts) + 1) == left


def test_tissue_seen_while_the_stage_was_moved_by_hand_is_in_no_lane() -> None:
    rng = np.random.default_rng(6)
    by_hand = [
        PairShift(row_px=slant * along_px, col_px=along_px, correlation=0.9, stillness=0.1)
        for slant, way_px in ((0.1, -25.0), (-0.3, 30.0), (0.2, -15.0))
        for along_px in (way_px * rng.uniform(0.3, 1.0, 20)).tolist()
    ]
    lanes = _film([True] * 5)
    _, found = _found([*by_hand, *lanes])
    seen = [lane for lane in found if lane.is_seen]
    assert len(seen) == 5
    assert seen[0].first >= len(by_hand)


def test_lanes_found_one_by_one_are_those_found_at_once() -> None:
    shifts = _film([True, True, True, False, True, False, False, True, False])
    _, at_once = _found(shifts)
    begun = 3 * (MOVING + RESTING) + RESTING
    finder, lanes = _found(shifts[:begun])
    one_by_one = lanes[:2]
    finder.goes_on_after(one_by_one[-1])
    for count in range(begun, len(shifts) + 1):
        one_by_one += finder.closed(shifts[: count - 1], count)
    one_by_one += finder.rest(shifts)
    assert len(one_by_one) > 7
    for early, late in zip(one_by_one, at_once, strict=True):
        assert early.direction == late.direction
        assert abs(early.first - late.first) <= 1
        assert abs(early.last - late.last) <= 1


def test_a_lane_told_to_be_over_is_found_before_the_next_begins_and_no_lane_that_has_begun() -> (
    None
):
    shifts = _film([True] * 6)
    whole = MOVING + RESTING
    begun = 3 * whole + RESTING
    finder, lanes = _found(shifts[:begun])
    finder.goes_on_after(lanes[1])
    third_is_over, fourth_has_begun = 3 * whole + 6, 3 * whole + RESTING + 5
    (third,) = finder.closed(shifts[: third_is_over - 1], third_is_over, third_is_over)
    assert third.direction == lanes[0].direction
    assert abs(third.first - (2 * whole + RESTING)) <= 1
    assert abs(third.last - 3 * whole) <= 1
    assert finder.closed(shifts[: fourth_has_begun - 1], fourth_has_begun, fourth_has_begun) == []


def test_lanes_over_glass_before_the_first_one_found_are_those_that_the_stage_told() -> None:
    interval_s = 1 / 30
    times_s = np.asarray(np.arange(400) * interval_s, np.float64)
    lanes = [
        Lane(first=148 + n * 74, last=188 + n * 74, direction=1 - n % 2 * 2, evidence=9.0)
        for n in range(3)
    ]
    starts_s = [frame * interval_s for frame in (0, 74, 147, 221, 295)]
    all_lanes = with_those_told(lanes, starts_s, times_s)
    assert all_lanes[2:] == lanes
    assert [(lane.first, lane.last, lane.direction) for lane in all_lanes[:2]] == [
        (0, 40, 1),
        (74, 114, -1),
    ]
    assert not any(lane.is_seen for lane in all_lanes[:2])
    assert with_those_told(lanes, [], times_s) == lanes


def test_no_lane_is_left_of_a_film_that_ends_with_one() -> None:
    shifts = _film([True] * 5)
    finder, lanes = _found(shifts)
    finder.goes_on_after(lanes[-1])
    assert finder.rest(shifts[: lanes[-1].last]) == []
