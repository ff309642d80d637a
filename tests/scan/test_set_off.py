import numpy as np
import pytest

from blurryscope.devices.contracts import StageMode, StagePoint, StageStatus
from blurryscope.scan.plan import Lane, Motion
from blurryscope.scan.set_off import set_off_s

MOTION = Motion(speed_um_per_s=5000.0, acceleration_um_per_s2=50_000.0)


def _lane(*, is_forward: bool) -> Lane:
    ends = (1000.0, 21_000.0) if is_forward else (21_000.0, 1000.0)
    sense = 1 if is_forward else -1
    return Lane(
        index=0,
        start=StagePoint(x_um=ends[0], y_um=2000.0),
        end=StagePoint(x_um=ends[1], y_um=2000.0),
        cruise_from_um=ends[0] + sense * MOTION.ramp_um,
        cruise_to_um=ends[1] - sense * MOTION.ramp_um,
    )


def _place_um(lane: Lane, since_s: float) -> float:
    """By integration of the speed, a trapezoid."""
    steps_s = np.linspace(0, since_s, 20_000)
    total_s = MOTION.travel_s(lane.length_um)
    ramp_s = MOTION.speed_um_per_s / MOTION.acceleration_um_per_s2
    share = np.clip(np.minimum(steps_s, total_s - steps_s) / ramp_s, 0, 1)
    way_um = float(np.trapezoid(share * MOTION.speed_um_per_s, steps_s))
    return lane.start.x_um + (way_um if lane.is_forward else -way_um)


def _answers(lane: Lane, began_s: float, delays_s: np.ndarray) -> list[StageStatus]:
    asked_s = np.linspace(0.01, MOTION.travel_s(lane.length_um) - 0.01, len(delays_s))
    return [
        StageStatus(
            mode=StageMode.MOVING,
            position=StagePoint(x_um=_place_um(lane, float(since_s)), y_um=2000.0),
            is_homed=True,
            time_s=began_s + float(since_s) + float(delay_s),
        )
        for since_s, delay_s in zip(asked_s, delays_s, strict=True)
    ]


@pytest.mark.parametrize("is_forward", [True, False])
def test_the_earliest_answer_tells_when_the_stage_set_off(is_forward: bool) -> None:
    lane = _lane(is_forward=is_forward)
    delays_s = 0.003 + np.random.default_rng(1).exponential(0.02, 30)
    found = set_off_s(_answers(lane, 7.0, delays_s), lane, MOTION)
    assert found == pytest.approx(7.0 + delays_s[1:-1].min(), abs=0.001)


def test_answers_that_came_at_no_full_speed_tell_nothing() -> None:
    lane = _lane(is_forward=True)
    assert set_off_s(_answers(lane, 7.0, np.zeros(30))[:1], lane, MOTION) is None
