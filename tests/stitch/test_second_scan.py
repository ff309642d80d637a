from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from blurryscope.basics.image import Grey
from blurryscope.stitch.motion import OverlapCorrelator, PairShift
from blurryscope.stitch.second_scan import SecondScanWatch, first_scan_end

ROWS, COLUMNS = 120, 160
STEP_PX, FRAMES, REST = 50, 14, 12
PITCH_PX = 96
"""Neighbouring lanes share a fifth of the field."""


@pytest.fixture(scope="module")
def slide() -> Grey:
    noise = np.random.default_rng(41).normal(size=(700, 1100)).astype(np.float32)
    detail = cv2.blur(cv2.GaussianBlur(noise, (0, 0), 3), (15, 1))
    return np.asarray(0.06 * detail / detail.std(), np.float32)


def _lane(slide: Grey, number: int, late_px: int = 0) -> Iterator[Grey]:
    """The frames of a lane, and of the rest after it; `late_px` is where between two steps."""
    lefts = [20 + late_px + STEP_PX * n for n in range(FRAMES)]
    if number % 2:
        lefts.reverse()
    top = 10 + PITCH_PX * number
    for left in [*lefts, *[lefts[-1]] * REST]:
        yield slide[top : top + ROWS, left : left + COLUMNS]


def _told(frames: list[Grey]) -> tuple[int, int] | None:
    """Frame at which a second scan is told, and the lag."""
    rng = np.random.default_rng(42)
    correlator = OverlapCorrelator((ROWS, COLUMNS))
    watch = SecondScanWatch()
    for number, frame in enumerate(frames):
        noisy = frame + rng.normal(0, 0.003, frame.shape).astype(np.float32)
        lag = watch.push(number, noisy, correlator.push(noisy))
        if lag is not None:
            return number, lag
    return None


@pytest.mark.parametrize("late_px", [0, 12, -20])
@pytest.mark.parametrize("lanes", [4, 5])
def test_a_second_scan_is_noticed_in_its_first_lane(slide: Grey, lanes: int, late_px: int) -> None:
    first = [frame for number in range(lanes) for frame in _lane(slide, number)]
    second = [frame for number in range(2) for frame in _lane(slide, number, late_px)]
    told = _told([*first, *second])
    assert told is not None
    assert len(first) < told[0] < len(first) + FRAMES
    assert told[1] == pytest.approx(len(first), abs=1)


def test_lanes_that_overlap_and_stages_that_stand_still_are_no_second_scan(slide: Grey) -> None:
    frames = [frame for number in range(6) for frame in _lane(slide, number)]
    assert _told([*frames, *[frames[-1]] * 200]) is None
    assert _told([*[frames[3]] * 200, *frames[4:]]) is None


def test_one_look_alike_of_where_the_stage_turned_is_no_second_scan(slide: Grey) -> None:
    turned = [slide[10 + down : 10 + down + ROWS, :COLUMNS] for down in range(0, 96, 8)]
    elsewhere = [frame for number in range(2, 6) for frame in _lane(slide, number)]
    assert _told([*turned, *elsewhere, *[turned[3]] * REST]) is None


def test_specks_of_dust_that_look_alike_are_no_second_scan() -> None:
    glass = np.zeros((700, 1100), np.float32)
    for lane in (0, 4):
        for column in (300, 500, 700):
            cv2.circle(glass, (column, 70 + PITCH_PX * lane), 4, 1.5, -1)
    assert _told([frame for number in range(6) for frame in _lane(glass, number)]) is None


def test_blank_glass_is_no_second_scan() -> None:
    assert _told([np.zeros((ROWS, COLUMNS), np.float32)] * 200) is None


def _steps(*stretches: tuple[int, float]) -> list[PairShift]:
    """So many pairs in a row that moved by so much."""
    return [
        PairShift(row_px=0.0, col_px=step_px, correlation=0.9, stillness=0.0)
        for count, step_px in stretches
        for _ in range(count)
    ]


def test_a_first_scan_ends_in_the_rest_before_the_second_moves() -> None:
    scan = (8, 0.2), (FRAMES, STEP_PX), (REST, 0.2), (FRAMES, -STEP_PX)
    shifts = _steps(*scan, *scan)
    lag = len(shifts) // 2
    assert first_scan_end(shifts, lag, least_step_px=3.0) == lag + 1
    assert first_scan_end(shifts, lag - 3, least_step_px=3.0) == lag + 1


def test_what_moves_on_where_the_second_scan_should_rest_is_of_the_first() -> None:
    """The stage may have rested longer before its first scan than before the second."""
    shifts = _steps((20, 0.2), (60, STEP_PX), (15, 0.2), (60, STEP_PX))
    assert first_scan_end(shifts, lag=75, least_step_px=3.0) == 81


def test_a_scan_that_began_in_mid_lane_ends_where_the_film_begins_again() -> None:
    shifts = _steps((80, STEP_PX), (80, STEP_PX))
    assert first_scan_end(shifts, lag=80, least_step_px=3.0) == 80
