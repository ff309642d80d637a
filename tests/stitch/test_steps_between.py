"""What is expected of a step that no link holds, between two that links hold."""

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.stitch.steps_between import StepsBetween

STEP_PX, SIGMA_PX = 100.0, 3.0
UNSEEN = 2
"""Of four steps."""


def _among(
    *, unseen: tuple[int, ...] = (UNSEEN,), in_ramp: int = -1, repeated: int = -1
) -> StepsBetween:
    steps = np.arange(4)
    return StepsBetween.among(
        first=steps,
        ways_px=np.full(4, -STEP_PX),
        sigmas_px=np.full(4, SIGMA_PX),
        intervals=np.where(steps == repeated, 0.05, 1.0),
        is_held=~np.isin(steps, unseen),
        in_ramp=steps == in_ramp,
    )


def _positions_px(*steps_px: float) -> NDArray[np.float64]:
    return np.cumsum([500.0, *steps_px])


def test_a_stage_that_was_seen_to_stop_went_half_a_step_meanwhile() -> None:
    ways_px, sigmas_px = _among().expected(_positions_px(-99, -100, -70, 0))
    assert ways_px == pytest.approx([-STEP_PX / 2], abs=1)
    # Anywhere between a whole step and none.
    assert sigmas_px == pytest.approx([STEP_PX / np.sqrt(12)], rel=0.02)


def test_a_stage_that_lets_go_slowly_is_expected_to_gain_speed() -> None:
    ways_px, sigmas_px = _among().expected(_positions_px(-100, -40, -100, -60))
    assert ways_px == pytest.approx([-50])
    assert sigmas_px == pytest.approx([np.hypot(SIGMA_PX, 20 / np.sqrt(12))])


@pytest.mark.parametrize("around_px", [(-92.0, -108.0), (-100.0, -200.0)])
def test_neither_jitter_nor_a_lost_frame_tells_of_the_step_between(
    around_px: tuple[float, float],
) -> None:
    before_px, after_px = around_px
    ways_px, sigmas_px = _among().expected(_positions_px(-100, before_px, -30, after_px))
    assert ways_px == pytest.approx([-STEP_PX])
    assert sigmas_px == pytest.approx([SIGMA_PX])


def test_nothing_is_told_of_steps_in_a_row_in_ramps_or_beside_repeats() -> None:
    assert list(_among().which) == [UNSEEN]
    assert not len(_among(unseen=(1, 2)).which)
    assert not len(_among(unseen=(3,)).which)
    assert not len(_among(in_ramp=UNSEEN - 1).which)
    assert not len(_among(repeated=UNSEEN + 1).which)
