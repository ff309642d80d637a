"""Which of the shifts between frames are taken for steps of the stage."""

import numpy as np
import pytest

from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.motion import PairShift
from blurryscope.stitch.steps import Motion, UsualSteps, seen_steps

STEP_PX, INTERVAL_S = 100.0, 1 / 30
USUAL = UsualSteps(
    forward_px=np.array([0.0, STEP_PX]),
    backward_px=np.array([0.0, -STEP_PX]),
    interval_s=INTERVAL_S,
)


def _is_seen(step_px: float, correlation: float, stillness: float = 0.1) -> bool:
    """Of one pair in a lane."""
    shift = PairShift(row_px=0.0, col_px=-step_px, correlation=correlation, stillness=stillness)
    motion = Motion(
        times_s=np.array([0.0, INTERVAL_S]),
        shifts=[shift],
        lanes=[Lane(first=0, last=1, direction=1, evidence=9.0)],
        frame_shape=(120, 160),
    )
    return bool(seen_steps(motion, USUAL))


@pytest.mark.parametrize("step_px", [0.0, 2.0])
def test_two_grains_a_step_apart_do_not_pass_for_a_stage_that_sticks(step_px: float) -> None:
    assert not _is_seen(step_px, correlation=0.6)
    assert _is_seen(step_px, correlation=0.9)


def test_a_frame_held_twice_over_faint_tissue_is_known_by_not_having_moved_at_all() -> None:
    assert _is_seen(0.0, correlation=0.6, stillness=0.6)


def test_a_step_of_the_usual_length_counts_though_little_tissue_shows_it() -> None:
    assert _is_seen(STEP_PX, correlation=0.45)
