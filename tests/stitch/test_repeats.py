import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.stitch.motion import PairShift
from blurryscope.stitch.repeats import without_repeats


def _shifts(
    along_px: NDArray[np.float64], seen: NDArray[np.float64], still: NDArray[np.float64]
) -> list[PairShift]:
    return [
        PairShift(row_px=0.02 * way, col_px=way, correlation=correlation, stillness=stillness)
        for way, correlation, stillness in np.stack([along_px, seen, still], axis=1).tolist()
    ]


def _moved(along_px: NDArray[np.float64]) -> list[PairShift]:
    return _shifts(along_px, np.full(7, 0.9), np.full(7, 0.9))


_GLASS = _shifts(np.zeros(7), np.zeros(7), np.zeros(7))
_TISSUE = _shifts(np.zeros(7), np.full(7, 0.9), np.full(7, 0.9))


def test_repeated_frames_get_the_time_of_the_one_they_repeat() -> None:
    times_s = np.arange(8) / 30
    changes = np.array([4.0, 5.0, 0.0, 5.0, 4.0, 0.001, 6.0])
    told_s, repeated = without_repeats(times_s, changes, _GLASS)
    assert repeated == (3, 6)
    assert told_s[[3, 6]] == pytest.approx(times_s[[2, 5]])
    others = [0, 1, 2, 4, 5, 7]
    assert told_s[others] == pytest.approx(times_s[others])


def test_a_stage_at_rest_repeats_no_frame() -> None:
    times_s = np.arange(8) / 30
    noise = np.array([0.8, 0.9, 0.85, 0.8, 0.9, 0.8, 0.9])
    assert without_repeats(times_s, noise, _TISSUE)[1] == ()
    coded = np.array([6.0, 8.0, 0.08, 7.0, 6.0, 0.4, 7.0])
    # Only what is coded anew, and not the rest where the stage turns.
    assert without_repeats(times_s, coded, _TISSUE)[1] == (3,)
    # Nor does a still of no noise at all.
    assert without_repeats(times_s, np.zeros(7), _TISSUE)[1] == ()


def test_two_frames_of_the_glass_between_cores_are_no_repeat_where_coding_took_the_noise() -> None:
    times_s = np.arange(8) / 30
    changes = np.array([0.01, 6.0, 0.02, 7.0, 0.01, 0.015, 0.02])
    assert without_repeats(times_s, changes, _GLASS)[1] == ()
    assert without_repeats(times_s, changes, _TISSUE)[1] == (3,)


def test_faint_tissue_that_coding_changed_is_a_repeat_if_the_next_step_is_twice_as_long() -> None:
    times_s = np.arange(8) / 30
    changes = np.array([2.4, 2.5, 0.3, 2.6, 2.4, 2.5, 2.4])
    along_px = np.array([80.0, 81.0, 0.0, 160.0, 80.0, 79.0, 80.0])
    assert without_repeats(times_s, changes, _moved(along_px))[1] == (3,)
    along_px[3] /= 2  # a stage that stuck for a moment
    assert without_repeats(times_s, changes, _moved(along_px))[1] == ()


def test_a_single_still_behind_a_full_step_is_a_repeat_if_the_next_step_is_too_long_to_see() -> (
    None
):
    times_s = np.arange(8) / 30
    changes = np.array([0.01, 4.3, 0.17, 5.1, 0.01, 4.5, 4.4])
    along_px = np.array([210.0, 211.0, 0.0, 0.0, 209.0, 210.0, 208.0])
    seen = np.array([0.8, 0.6, 0.8, 0.2, 0.8, 0.8, 0.8])
    still = np.array([0.1, 0.1, 0.8, 0.0, 0.1, 0.1, 0.1])
    assert without_repeats(times_s, changes, _shifts(along_px, seen, still))[1] == (3,)
    slower_px = along_px * np.array([1, 0.4, 1, 1, 1, 1, 1])  # in the ramp before it turns
    assert without_repeats(times_s, changes, _shifts(slower_px, seen, still))[1] == ()
    rests = still + np.array([0, 0, 0, 0.8, 0, 0, 0])
    assert without_repeats(times_s, changes, _shifts(along_px, seen, rests))[1] == ()
