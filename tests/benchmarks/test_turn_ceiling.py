"""What rests that differ leave of the distance between rows of cores, on scans made to be known."""

import numpy as np
import pytest

from benchmarks.turn_ceiling import over_slide_px, row_errors_px, turns_of
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.evaluate.placement import TrueCore, Truth

STEP_PX, LANE_FRAMES, PITCH_PX, REST_FRAMES = 50.0, 41, 200.0, 10
ROWS = {0: (0, 1, 2), 1: (4, 5, 6), 2: (8, 9, 10)}
"""The lanes that show each row of cores; lanes 3 and 7 show glass."""
LANE_COUNT = 11
FROM_GLASS = 3
"""The turn after the lane over glass, before the second row."""


def scan(longer_frames: dict[int, int], shifted_px: dict[int, float] | None = None) -> Truth:
    """Lanes to and fro at an even speed; after some the stage rests longer, some rows lie askew."""
    askew_px = {lane: px for row, px in (shifted_px or {}).items() for lane in ROWS[row]}
    centres: list[tuple[float, float]] = []
    lanes: list[int] = []
    for lane in range(LANE_COUNT):
        x_px = STEP_PX * np.arange(LANE_FRAMES)[:: 1 if lane % 2 == 0 else -1]
        rest_frames = REST_FRAMES + longer_frames.get(lane, 0)
        x_px = np.append(x_px, np.full(rest_frames, x_px[-1]))
        centres += [(float(x) + askew_px.get(lane, 0), lane * PITCH_PX) for x in x_px]
        lanes += [lane] * LANE_FRAMES + [-1] * rest_frames
    return Truth(
        pixel_size_um=1.0,
        centres_px=np.array(centres),
        lanes=np.array(lanes),
        field_px=(320.0, 240.0),
        cores=tuple(
            TrueCore(
                name=CoreName(row, column),
                centre_px=np.array([x_px, shown[1] * PITCH_PX]),
                score=Score.ZERO,
                is_missing=False,
            )
            for row, shown in ROWS.items()
            for column, x_px in enumerate((500.0, 1500.0))
        ),
        core_diameter_px=400.0,
    )


def test_lanes_their_speed_and_the_rows_they_show_are_read() -> None:
    turns = turns_of(scan({FROM_GLASS: 2}))
    assert turns.speed == STEP_PX
    assert turns.senses.tolist() == [1, -1] * 5 + [1]
    assert turns.rows.tolist() == [0, 0, 0, -1, 1, 1, 1, -1, 2, 2, 2]
    right, left = turns.lasted[0::2], turns.lasted[1::2]
    # From the last frame of a lane on: a rest and a step, and the way to x = 0 and back.
    assert right == pytest.approx(REST_FRAMES + 1 + 2 * (LANE_FRAMES - 1))
    assert left == pytest.approx([REST_FRAMES + 1, REST_FRAMES + 3, *[REST_FRAMES + 1] * 3])


@pytest.mark.parametrize("longer_frames", [{}, dict.fromkeys(range(1, LANE_COUNT, 2), 3)])
def test_rests_that_all_turns_of_a_side_share_cost_nothing(longer_frames: dict[int, int]) -> None:
    truth = scan(longer_frames)
    turns = turns_of(truth)
    assert over_slide_px(truth, turns, turns.deviations) == pytest.approx(0, abs=1e-6)


def test_a_row_shifted_against_where_the_stage_turns_is_put_back_by_as_much() -> None:
    truth = scan({}, shifted_px={1: 70.0})
    turns = turns_of(truth)
    assert row_errors_px(turns, turns.deviations) == pytest.approx([0, -70, 0], abs=1e-6)
    # One rigid fit takes a part of it.
    assert 20 < over_slide_px(truth, turns, turns.deviations) < 70


def test_one_longer_rest_over_glass_is_outvoted_by_the_turns_of_the_rows() -> None:
    turns = turns_of(scan({FROM_GLASS: 1}))
    errors_px = row_errors_px(turns, turns.deviations)
    assert 0 < np.abs(errors_px).max() < 0.2 * STEP_PX
