from dataclasses import replace

import numpy as np
import pytest

from tests.stitch.zigzags import (
    ALL_LINKED,
    INTERVAL_S,
    REST_S,
    STAGE,
    MadeUpZigzag,
    ToldZigzag,
)


def test_turns_that_agree_by_chance_are_not_taken_for_sure_and_uneven_ones_for_less() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    usual_px = 0.008 * STAGE.speed_px_per_s
    even_px = zigzag.table(ALL_LINKED).turn_sigma_px
    assert even_px == pytest.approx(usual_px, rel=0.05)
    pairs_only = np.array([True, False, True, False, True])
    assert zigzag.table(pairs_only).turn_sigma_px == pytest.approx(usual_px)
    # Two of the five rests are 0.1 s too long: their turns seem to lie 200 px farther out.
    late_s = np.array([0.0, 0.1, 0.1, 0.1, 0.1, 0.2])[zigzag.trajectory.lanes]
    zigzag.trajectory = replace(zigzag.trajectory, times_s=zigzag.trajectory.times_s + late_s)
    assert 60 < zigzag.table(ALL_LINKED).turn_sigma_px < 300


def test_groups_that_show_one_turn_each_lie_right_though_the_rest_is_not_known() -> None:
    """The rest is taken to be 0.4 s longer than it is: turns seem to lie 800 px farther in."""
    film = MadeUpZigzag(slice(8, 25), paused_before=3)
    is_linked = np.array([True, False, True, True, False])  # a right turn, a pause, a left turn
    lefts = film.moved(lane=2, by_px=300.0).table(is_linked, replace(STAGE, rest_s=REST_S + 0.4))
    late_s = lefts.start_s - film.start_s
    assert late_s[:5] == pytest.approx(np.full(5, late_s[0]), abs=0.01)


def test_a_frame_held_twice_over_glass_moves_no_group() -> None:
    """It lies in the rest after the second of nine lanes; the first three hang together."""
    film = MadeUpZigzag(slice(8, 25), lane_count=9)
    is_later = np.arange(9) >= 2
    times_s = film.trajectory.times_s + INTERVAL_S * is_later[film.trajectory.lanes]
    film.trajectory = replace(film.trajectory, times_s=times_s)
    is_linked = np.array([True, True, False, True, True, True, True, True])
    table = film.moved(lane=3, by_px=300.0).table(is_linked)
    assert table.start_s == pytest.approx(film.start_s + INTERVAL_S * is_later, abs=0.005)


def test_places_where_the_stage_told_that_it_set_off_stray_by_less_than_its_turns() -> None:
    zigzag = ToldZigzag(0.0)
    told = zigzag.table(tuple(zigzag.told_s.tolist()))
    assert told.turn_sigma_px == pytest.approx(0.002 * STAGE.speed_px_per_s, rel=0.2)
    assert zigzag.table(()).turn_sigma_px == pytest.approx(0.008 * STAGE.speed_px_per_s, rel=0.2)


def test_a_pause_between_two_rows_of_cores_tells_nothing_of_where_they_lie() -> None:
    film = MadeUpZigzag(slice(8, 25), paused_before=3).moved(lane=3, by_px=300.0)
    table = film.table(np.array([True, True, False, True, True]))
    assert table.start_s == pytest.approx(film.start_s, abs=0.01)
    assert table.end_s == pytest.approx(film.end_s, abs=0.01)
