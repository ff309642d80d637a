from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.stitch.expectations import cruise_ends
from blurryscope.stitch.expected_motion import expected_motion
from blurryscope.stitch.lane_times import time_lanes
from blurryscope.stitch.timetable import Timetable
from blurryscope.stitch.trajectory import lane_rows
from tests.stitch.zigzags import (
    LANES,
    STAGE,
    MadeUpZigzag,
    ToldZigzag,
)


def test_what_is_expected_is_the_way_of_the_stage_with_its_ramps() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    expected = expected_motion(zigzag.trajectory, zigzag.lanes, zigzag.truth, pitch_px=400.0)
    for number in range(LANES):
        rows = zigzag.trajectory.lanes == number
        apart = expected.along_px[rows] - zigzag.trajectory.positions[rows, 1]
        assert apart == pytest.approx(np.full(rows.sum(), apart[0]))
    times_s = zigzag.trajectory.times_s
    lane = zigzag.trajectory.lanes
    slow = replace(zigzag.truth, ramp_s=0.2)
    is_ramp = expected_motion(zigzag.trajectory, zigzag.lanes, slow, pitch_px=400.0).is_ramp
    near_turn = (times_s < zigzag.start_s[lane] + 0.3) | (times_s > zigzag.end_s[lane] - 0.3)
    np.testing.assert_array_equal(is_ramp, near_turn)


@pytest.mark.parametrize("late_s", [0.0, 0.006])
def test_starts_that_the_stage_tells_join_rows_of_cores_however_long_it_rested(
    late_s: float,
) -> None:
    zigzag = ToldZigzag(late_s)
    told = zigzag.table(tuple(zigzag.told_s.tolist()))
    guessed = zigzag.table(())
    assert np.ptp(zigzag.off_px(told)) < 2
    assert np.ptp(zigzag.off_px(guessed)) > 100


def test_told_lanes_are_expected_where_they_were_however_fast_the_stage_gains_its_speed() -> None:
    """Tissue of one row reaches into what is thought to be the ramps."""
    zigzag = ToldZigzag(0.0)
    zigzag.is_seen[np.isin(zigzag.film.lanes, (2, 3))] = True
    stage = replace(STAGE, ramp_s=0.3, starts_s=tuple(zigzag.told_s.tolist()))
    table = time_lanes(zigzag.film, zigzag.lanes, zigzag.is_linked, zigzag.is_seen, stage)
    expected = expected_motion(zigzag.film, zigzag.lanes, table, pitch_px=400.0)
    assert expected.ends_px is not None
    ends = np.array([cruise_ends(rows, expected.is_ramp) for rows in lane_rows(zigzag.film)])
    true_px = zigzag.film.positions[ends, 1] - zigzag.moved_px[:, None]
    assert np.ptp((expected.ends_px - true_px).mean(axis=1)) < 2


def test_lanes_of_a_stage_whose_axes_lean_begin_farther_along_the_lower_they_lie() -> None:
    zigzag = ToldZigzag(0.0)
    lean, positions = 0.02, zigzag.film.positions.copy()
    positions[:, 1] += lean * positions[:, 0]
    zigzag.film = replace(zigzag.film, positions=positions)
    starts_s = tuple(zigzag.told_s.tolist())
    told, upright = zigzag.table(starts_s, lean), zigzag.table(starts_s)

    def ends_off_px(table: Timetable) -> NDArray[np.float64]:
        expected = expected_motion(zigzag.film, zigzag.lanes, table, pitch_px=400.0)
        assert expected.ends_px is not None
        first = np.flatnonzero(np.diff(zigzag.film.lanes, prepend=-1))
        return np.asarray(expected.ends_px[:, 0] + zigzag.moved_px - positions[first, 1])

    assert np.ptp(ends_off_px(told)) < 2
    assert np.ptp(ends_off_px(upright)) > 20
