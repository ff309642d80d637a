"""Which of the shifts between frames are taken for steps of the stage."""

import numpy as np
import pytest

from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.motion import PairShift
from blurryscope.stitch.steps import Motion, UsualSteps, seen_steps, usual_steps

STEP_PX, INTERVAL_S = 100.0, 1 / 30
USUAL = UsualSteps(
    forward_px=np.array([0.0, STEP_PX]),
    backward_px=np.array([0.0, -STEP_PX]),
    interval_s=INTERVAL_S,
    row_count=120,
)


def _is_seen(
    step_px: float, correlation: float, stillness: float = 0.1, lasted_s: float = INTERVAL_S
) -> bool:
    """Of one pair in a lane."""
    shift = PairShift(row_px=0.0, col_px=-step_px, correlation=correlation, stillness=stillness)
    motion = Motion(
        times_s=np.array([0.0, lasted_s]),
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


def test_the_sensor_s_own_pattern_over_glass_does_not_pass_for_a_frame_held_twice() -> None:
    assert not _is_seen(0.0, correlation=0.53, stillness=0.53)
    # Unless the frame is known to be one by its grey levels.
    assert _is_seen(0.0, correlation=0.53, stillness=0.53, lasted_s=0.0)


def test_a_step_of_the_usual_length_counts_though_little_tissue_shows_it() -> None:
    assert _is_seen(STEP_PX, correlation=0.45)
    assert _is_seen(0.9 * STEP_PX, correlation=0.35)
    assert not _is_seen(0.8 * STEP_PX, correlation=0.35)


def test_frames_that_agree_by_chance_tell_no_usual_step() -> None:
    """Those of lanes along -x share nothing: what correlates there lies anywhere."""
    by_chance_px = [(-341.0, -180.0), (418.0, -97.0), (-402.0, 40.0), (-430.0, 0.0), (-301.0, 71.0)]
    alike_px = [(-430.0, 0.0), (-426.0, 1.0), (-402.0, 40.0)]
    assert usual_steps(_one_lane_each_way(by_chance_px)) is None
    assert usual_steps(_one_lane_each_way(alike_px)) is None  # but for a single step
    usual = usual_steps(_one_lane_each_way([*alike_px, (-429.0, 0.0)]))
    assert usual is not None
    assert usual.backward_px == pytest.approx([430.0, 0.0], abs=3)


def _one_lane_each_way(backward_px: list[tuple[float, float]]) -> Motion:
    """Shifts, (row, col), of a lane along +x at a steady 188 px, and of one along -x."""
    forward_px = [(188.0, 0.0)] * len(backward_px)
    count = len(backward_px)
    return Motion(
        times_s=np.asarray(np.arange(2 * count + 1) * INTERVAL_S, np.float64),
        shifts=[
            PairShift(row_px=row, col_px=column, correlation=0.7, stillness=0.1)
            for row, column in [*forward_px, *backward_px]
        ],
        lanes=[
            Lane(first=0, last=count, direction=1, evidence=9.0),
            Lane(first=count, last=2 * count, direction=-1, evidence=0.0),
        ],
        frame_shape=(480, 640),
    )


def test_a_stage_that_gains_its_speed_slowly_is_not_taken_for_slower() -> None:
    rng = np.random.default_rng(5)
    ramp = np.arange(1, 16) / 16
    lane_px = STEP_PX * np.concatenate([ramp, np.ones(6), ramp[::-1]])
    lane_px = np.concatenate([lane_px, -lane_px] * 3)
    lane_px *= 1 + 0.02 * rng.standard_normal(len(lane_px))  # frame times jitter
    count = len(lane_px) // 6
    motion = Motion(
        times_s=np.asarray(np.arange(len(lane_px) + 1) * INTERVAL_S, np.float64),
        shifts=[
            PairShift(row_px=0.0, col_px=-px, correlation=0.9, stillness=0.1)
            for px in lane_px.tolist()
        ],
        lanes=[
            Lane(first=n * count, last=(n + 1) * count, direction=1 - 2 * (n % 2), evidence=9.0)
            for n in range(6)
        ],
        frame_shape=(120, 160),
    )
    usual = usual_steps(motion)
    assert usual is not None
    assert usual.forward_px[1] == pytest.approx(STEP_PX, rel=0.03)
    assert usual.backward_px[1] == pytest.approx(-STEP_PX, rel=0.03)
