from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.stitch.evidence import evidence_of, scan_axis
from blurryscope.stitch.motion import PairShift


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def _shift(moved: Iterable[float], correlation: float, stillness: float = 0.0) -> PairShift:
    row_px, col_px = moved
    return PairShift(row_px=row_px, col_px=col_px, correlation=correlation, stillness=stillness)


def _zigzag_shifts(angle_rad: float, rng: np.random.Generator) -> list[PairShift]:
    axis = np.array([np.sin(angle_rad), np.cos(angle_rad)])
    across = np.array([axis[1], -axis[0]])
    moves = [*([35 * axis] * 30), *([-28 * axis] * 30), *([30 * across] * 8)]
    noisy = [_shift(move + rng.normal(0, 0.3, 2), 0.9) for move in moves]
    return [*noisy, *(_shift(rng.uniform(-50, 50, 2), 0.2) for _ in range(60))]


@pytest.mark.parametrize("angle_deg", [0, 1.5, 47, 94.4, 170])
def test_the_scan_axis_is_the_line_along_which_most_pairs_move(
    angle_deg: float, rng: np.random.Generator
) -> None:
    axis = scan_axis(_zigzag_shifts(np.deg2rad(angle_deg), rng), least_step_px=3)
    assert axis is not None
    along = axis @ np.array([np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))])
    assert abs(along) > np.cos(np.deg2rad(0.5))


def test_a_film_that_stands_still_has_no_scan_axis(rng: np.random.Generator) -> None:
    still = [_shift(rng.normal(0, 0.2, 2), 0.99) for _ in range(50)]
    unsure = [_shift(rng.uniform(-40, 40, 2), 0.3) for _ in range(50)]
    assert scan_axis(still + unsure, least_step_px=3) is None


def test_pairs_are_sorted_by_what_they_show() -> None:
    axis: NDArray[np.float64] = np.array([0.0, 1.0])
    evidence = evidence_of(
        [
            _shift((0.5, -30), 0.9),  # the content goes left: the stage goes right
            _shift((-0.5, 30), 0.8),
            _shift((25, 2), 0.7),  # across the lanes
            _shift((0, 0.2), 0.99, stillness=0.99),
            _shift((10, -40), 0.2),  # a guess
            _shift((20, 22), 0.9),  # neither along nor across
            _shift((3, -30), 0.9),  # nearly along, as no stage goes
        ],
        axis,
        least_step_px=3,
    )
    assert evidence.forward.tolist() == [0.9, 0, 0, 0, 0, 0, 0]
    assert evidence.backward.tolist() == [0, 0.8, 0, 0, 0, 0, 0]
    assert evidence.still.tolist() == [0, 0, 0.7, 0.99, 0, 0, 0]


def test_a_weak_vote_that_no_pair_around_shares_is_chance() -> None:
    shifts = [_shift((0, 0), 0.0)] * 60
    shifts[10] = _shift((0.3, -30), 0.53)
    shifts[30] = _shift((0.3, -30), 0.9)  # a grain of dust tells it beyond doubt
    shifts[48] = shifts[50] = _shift((0.3, 30), 0.53)
    evidence = evidence_of(shifts, np.array([0.0, 1.0]), least_step_px=3)
    assert np.flatnonzero(evidence.forward).tolist() == [30]
    assert np.flatnonzero(evidence.backward).tolist() == [48, 50]
