from dataclasses import replace

import numpy as np
import pytest

from blurryscope.stitch.lane_times import time_lanes
from blurryscope.stitch.stage_habits import StageHabits
from tests.stitch.zigzag_over_tissue import CRUISE_S, SPEED_PX_PER_S, ZigzagOverTissue
from tests.stitch.zigzags import (
    ALL_LINKED,
    INTERVAL_S,
    LANES,
    REST_S,
    STAGE,
    WIDTH_PX,
    MadeUpZigzag,
    ToldZigzag,
)


def test_turning_points_tell_when_lanes_began_and_ended() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    table = zigzag.table(ALL_LINKED)
    assert table.start_s == pytest.approx(zigzag.start_s, abs=0.01)
    assert table.end_s == pytest.approx(zigzag.end_s, abs=0.01)


def test_lanes_that_stay_where_they_are_tell_where_in_the_mosaic_the_stage_turns() -> None:
    zigzag = MadeUpZigzag(slice(8, 25)).moved(lane=0, by_px=500.0).moved(lane=3, by_px=300.0)
    is_linked = np.array([True, True, False, True, True])
    args = zigzag.trajectory, zigzag.lanes, is_linked, zigzag.is_seen, STAGE
    assert time_lanes(*args, fixed_count=2).left_px == pytest.approx(500.0, abs=5)
    assert time_lanes(*args).left_px == 0


def test_a_lane_over_blank_glass_gets_the_time_that_its_neighbours_leave() -> None:
    zigzag = MadeUpZigzag(slice(8, 25), blank=(3,))
    is_linked = np.array([True, True, False, False, True])
    table = zigzag.table(is_linked)
    assert table.start_s == pytest.approx(zigzag.start_s, abs=INTERVAL_S)
    assert table.end_s == pytest.approx(zigzag.end_s, abs=INTERVAL_S)


def test_a_lane_over_blank_glass_lasts_longer_where_its_neighbours_leave_it_more_time() -> None:
    zigzag = MadeUpZigzag(slice(8, 25), blank=(3,))
    later_s = np.array([0.0, 0.0, 0.0, 0.2, 0.4, 0.4])
    film = zigzag.trajectory
    zigzag.trajectory = replace(film, times_s=film.times_s + later_s[film.lanes])
    table = zigzag.table(np.array([True, True, False, False, True]))
    assert table.start_s[3] == pytest.approx(zigzag.end_s[2] + REST_S, abs=INTERVAL_S)
    assert table.end_s[3] == pytest.approx(zigzag.start_s[4] + 0.4 - REST_S, abs=INTERVAL_S)


@pytest.mark.parametrize("blank", [(0,), (0, 1), (4, 5)])
def test_lanes_over_blank_glass_before_the_first_seen_and_after_the_last_follow_the_rhythm(
    blank: tuple[int, ...],
) -> None:
    zigzag = MadeUpZigzag(slice(8, 25), blank)
    is_linked = ~np.isin(np.arange(LANES - 1), blank) & ~np.isin(np.arange(1, LANES), blank)
    table = zigzag.table(is_linked)
    assert table.is_timed.tolist() == [number not in blank for number in range(LANES)]
    assert table.start_s == pytest.approx(zigzag.start_s, abs=INTERVAL_S)
    assert table.end_s == pytest.approx(zigzag.end_s, abs=INTERVAL_S)


@pytest.mark.parametrize(("seen", "late_s"), [(slice(0, 8), -0.4), (slice(-8, None), 0.4)])
def test_a_lane_that_no_turn_times_keeps_the_time_at_which_it_was_seen_to_move(
    seen: slice, late_s: float
) -> None:
    zigzag = MadeUpZigzag(slice(8, 25), blank=(3,))
    film = zigzag.trajectory
    zigzag.trajectory = replace(film, times_s=film.times_s + late_s * (film.lanes == 3))
    zigzag.is_seen[np.flatnonzero(film.lanes == 3)[seen]] = True
    table = zigzag.table(np.array([True, True, False, False, True]))
    assert not table.is_timed[3]
    assert table.start_s[3] == pytest.approx(zigzag.start_s[3] + late_s, abs=0.05)
    assert table.end_s[3] == pytest.approx(zigzag.end_s[3] + late_s, abs=0.05)


@pytest.mark.parametrize("blank", [(4, 5), (4,), ()])
def test_lanes_after_a_pause_keep_the_time_that_they_have(blank: tuple[int, ...]) -> None:
    """What lies behind the pause is linked to nothing before it, and partly over glass."""
    film = MadeUpZigzag(slice(5, 30), blank, paused_before=4)
    is_linked = np.array([True, True, True, False, False])
    table = film.table(is_linked)
    assert table.start_s == pytest.approx(film.start_s, abs=0.15)
    assert table.end_s == pytest.approx(film.end_s, abs=0.15)
    # The pause tells of no turn, even between lanes that are linked.
    assert film.table(ALL_LINKED).width_px == pytest.approx(WIDTH_PX, rel=0.02)


def test_a_timetable_without_anything_seen_keeps_the_lanes_as_they_are() -> None:
    zigzag = MadeUpZigzag(slice(8, 25), blank=tuple(range(LANES)))
    table = zigzag.table(~ALL_LINKED)
    assert table.start_s == pytest.approx([zigzag.times_s[lane.first] for lane in zigzag.lanes])
    assert table.end_s == pytest.approx([zigzag.times_s[lane.last] for lane in zigzag.lanes])


def test_a_lane_without_tissue_begins_when_the_stage_tells() -> None:
    zigzag = ToldZigzag(0.0)
    zigzag.is_seen[zigzag.film.lanes == 5] = False
    table = zigzag.table(tuple(zigzag.told_s.tolist()))
    assert table.start_s == pytest.approx(zigzag.start_s, abs=0.002)
    assert table.is_timed.tolist() == [True] * 5 + [False]


def test_a_lane_that_was_begun_twice_counts_from_its_last_start() -> None:
    zigzag = ToldZigzag(0.0)
    starts_s = [float(zigzag.told_s[3]) - 0.5, *zigzag.told_s.tolist()]
    assert zigzag.table(tuple(starts_s)).start_s == pytest.approx(zigzag.start_s, abs=0.002)


def test_a_start_told_after_the_last_lane_is_that_of_a_lane_to_come() -> None:
    zigzag = ToldZigzag(0.0)
    starts_s = [*zigzag.told_s.tolist(), float(zigzag.told_s[-1]) + 2.5]
    assert zigzag.table(tuple(starts_s)).told_s == pytest.approx(zigzag.told_s)


def test_a_stage_that_tells_its_starts_is_as_fast_as_its_lanes_until_links_tell() -> None:
    zigzag = ToldZigzag(0.0)
    thought = replace(STAGE, speed_px_per_s=1.04 * STAGE.speed_px_per_s)
    told = replace(thought, starts_s=tuple(zigzag.told_s.tolist()))
    table = time_lanes(zigzag.film, zigzag.lanes, zigzag.is_linked, zigzag.is_seen, told)
    assert not table.keeps_speed
    assert table.width_px == pytest.approx(WIDTH_PX, rel=0.005)


def test_all_lanes_of_a_stage_that_tells_its_starts_go_at_one_speed() -> None:
    zigzag = ToldZigzag(0.0)
    speeds = STAGE.speed_px_per_s * np.array([0.99, 1.0, 1.01, 1.0, np.nan, 1.0])
    stage = replace(STAGE, linked_speeds_px_per_s=tuple(speeds.tolist()))
    told = replace(stage, starts_s=tuple(zigzag.told_s.tolist()))
    args = zigzag.film, zigzag.lanes, zigzag.is_linked, zigzag.is_seen
    of_told, of_silent = time_lanes(*args, told), time_lanes(*args, stage)
    assert of_told.keeps_speed
    assert not of_silent.keeps_speed
    assert of_told.speed_px_per_s == pytest.approx(np.full(LANES, STAGE.speed_px_per_s))
    assert of_silent.speed_px_per_s[:4] == pytest.approx(speeds[:4])


def _known(ramp_s: float, rest_s: float) -> StageHabits:
    """What is known of a stage where nothing needs to be measured any more."""
    return StageHabits(
        speed_px_per_s=SPEED_PX_PER_S,
        rest_s=rest_s,
        ramp_s=ramp_s,
        lane_s=CRUISE_S + ramp_s,
        turn_s=rest_s + ramp_s,
    )


def test_lanes_last_as_long_as_tissue_in_slow_ramps_shows() -> None:
    """Told are the ramps and rests of another stage."""
    zigzag = ZigzagOverTissue(ramp_s=0.33, rest_s=0.64)
    lane_s, rest_s = CRUISE_S + 0.33, 1.1
    stage = StageHabits(
        speed_px_per_s=SPEED_PX_PER_S,
        rest_s=rest_s,
        ramp_s=0.1,
        lane_s=lane_s + 0.33 + 0.64 - rest_s,
        turn_s=rest_s,
    )
    linked = np.ones(len(zigzag.lanes) - 1, np.bool_)
    table = time_lanes(zigzag.trajectory, zigzag.lanes, linked, zigzag.is_seen, stage)
    assert table.start_s == pytest.approx(zigzag.start_s, abs=0.02)
    assert table.end_s == pytest.approx(zigzag.end_s, abs=0.02)
    assert table.width_px == pytest.approx(SPEED_PX_PER_S * lane_s, rel=0.02)
    assert table.ramp_s == pytest.approx(0.33, rel=0.05)


def test_tissue_at_rest_makes_no_lane_longer() -> None:
    """Lanes that were found too long hold frames of the rests around them."""
    zigzag = ZigzagOverTissue(ramp_s=0.01, rest_s=1.1)
    stage = _known(ramp_s=0.01, rest_s=1.1)
    linked, is_seen = (
        np.ones(len(zigzag.lanes) - 1, np.bool_),
        np.ones(len(zigzag.is_seen), np.bool_),
    )
    table = time_lanes(zigzag.trajectory, zigzag.lanes, linked, is_seen, stage)
    assert table.start_s == pytest.approx(zigzag.start_s, abs=0.04)
    assert table.end_s == pytest.approx(zigzag.end_s, abs=0.04)


def test_a_lane_beside_no_other_is_timed_by_its_own_ramps() -> None:
    """Nothing joins the lanes, and the rests before and after the second one were longer."""
    zigzag = ZigzagOverTissue(ramp_s=0.33, rest_s=0.64)
    later_s = np.array([0.0, 0.3, 0.6, 0.6])
    film = zigzag.trajectory
    film = replace(film, times_s=film.times_s + later_s[film.lanes])
    stage = _known(ramp_s=0.33, rest_s=0.64)
    linked = np.array([False, False, True])
    table = time_lanes(film, zigzag.lanes, linked, zigzag.is_seen, stage)
    assert table.start_s == pytest.approx(zigzag.start_s + later_s, abs=0.03)
    assert table.end_s == pytest.approx(zigzag.end_s + later_s, abs=0.03)
    assert table.is_timed.all()
