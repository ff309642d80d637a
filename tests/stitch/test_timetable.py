from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.stitch.stage_habits import StageHabits
from tests.stitch.zigzags import (
    STAGE,
    WIDTH_PX,
    MadeUpZigzag,
    even_table,
)


@given(st.floats(0, 5000))
def test_the_way_to_a_stop_takes_as_long_as_the_timetable_says(way_px: float) -> None:
    table = even_table(np.array([0.0]), np.array([2.0]))
    whole_px = table.travelled_px(0, np.array([2.0]))
    before_s = STAGE.time_to_stop_s(way_px, STAGE.speed_px_per_s)
    assert whole_px - table.travelled_px(0, np.array([2.0 - before_s])) == pytest.approx(
        way_px, abs=1e-6
    )


def test_a_lane_begins_and_ends_with_even_ramps() -> None:
    stage = StageHabits(speed_px_per_s=100.0, rest_s=1.0, ramp_s=0.5, lane_s=2.0, turn_s=1.0)
    table = even_table(np.array([1.0]), np.array([3.0]), stage)
    times_s = np.array([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
    assert table.travelled_px(0, times_s) == pytest.approx([0, 0, 25, 75, 125, 150, 150])


def test_a_lane_whose_times_nothing_seen_tells_goes_the_whole_width_in_them() -> None:
    table = replace(even_table(np.array([0.0]), np.array([1.4])), is_timed=np.array([False]))
    assert table.travelled_px(0, np.array([0.0, 1.4])) == pytest.approx([0, WIDTH_PX])


def test_a_lane_that_stalls_ends_where_the_others_do() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    stalled = replace(zigzag.truth, end_s=zigzag.end_s + np.array([0, 0, 0.2, 0, 0, 0]))
    ways_px = [
        table.ends_px(2, 1, zigzag.start_s[2] + 0.3, table.end_s[2] - 0.3)
        for table in (zigzag.truth, stalled)
    ]
    assert ways_px[1] == pytest.approx(ways_px[0])
