import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.simulator.presets import AUTHENTIC
from blurryscope.simulator.stage import StagePath, StageSettings, Zigzag, travel_time_s

ZIGZAG = Zigzag(
    start_x_um=300.0, start_y_um=200.0, lane_length_um=4000.0, lane_pitch_um=350.0, lane_count=4
)


def _path(settings: StageSettings, seed: int = 0) -> StagePath:
    return StagePath(ZIGZAG, settings, np.random.default_rng(seed))


def _times(path: StagePath, step_s: float = 0.001) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.arange(0.0, path.duration_s, step_s)


def test_a_faultless_stage_runs_each_lane_from_end_to_end_at_its_height() -> None:
    path = _path(StageSettings())
    time_s = _times(path)
    x_um, y_um = path.position_um(time_s)
    lane = path.lane_at(time_s)
    for number in range(4):
        here = lane == number
        ends = (300.0, 4300.0) if number % 2 == 0 else (4300.0, 300.0)
        assert x_um[here][[0, -1]] == pytest.approx(ends, abs=1.0)
        assert y_um[here] == pytest.approx(200.0 + 350.0 * number)


def test_the_speed_of_a_lane_is_the_one_set_and_its_ramps_take_speed_over_acceleration() -> None:
    path = _path(StageSettings())
    time_s = _times(path)
    x_um, _ = path.position_um(time_s)
    speed = np.abs(np.diff(x_um)) / 0.001
    assert speed.max() == pytest.approx(5000.0, rel=1e-6)
    first_lane = path.lane_at(time_s)[1:] == 0
    slower = (speed < 4999.0) & first_lane
    assert slower.sum() * 0.001 == pytest.approx(2 * 5000.0 / 100_000.0, abs=0.004)


def test_the_stage_rests_half_a_second_before_and_after_each_step() -> None:
    path = _path(StageSettings())
    time_s = _times(path)
    x_um, y_um = path.position_um(time_s)
    moving = (np.abs(np.diff(x_um)) + np.abs(np.diff(y_um))) > 1e-9
    starts = np.flatnonzero(np.diff(moving.astype(int)) == 1)
    stops = np.flatnonzero(np.diff(moving.astype(int)) == -1)
    assert len(starts) == 4 + 3  # four lanes, three steps between them
    assert (starts[1:] - stops[:-1]) * 0.001 == pytest.approx(0.5, abs=0.004)


@given(
    distance_um=st.floats(1.0, 50_000.0),
    speed=st.floats(100.0, 20_000.0),
    acceleration=st.floats(1_000.0, 1e6),
)
def test_no_move_is_faster_than_speed_and_acceleration_allow(
    distance_um: float, speed: float, acceleration: float
) -> None:
    settings = StageSettings(speed_um_per_s=speed, acceleration_um_per_s2=acceleration)
    taken_s = travel_time_s(distance_um, settings)
    assert taken_s >= distance_um / speed - 1e-9
    assert taken_s >= 2 * np.sqrt(distance_um / acceleration) - 1e-9


@given(seed=st.integers(0, 50))
def test_the_authentic_stage_never_leaps(seed: int) -> None:
    path = _path(AUTHENTIC.stage, seed)
    x_um, y_um = path.position_um(_times(path))
    assert np.abs(np.diff(x_um)).max() < 1.1 * 5.0
    assert np.abs(np.diff(y_um)).max() < 1.1 * 5.0


def test_backlash_shifts_the_way_back_against_the_way_forth() -> None:
    slack = _path(StageSettings(backlash_um=20.0))
    exact = _path(StageSettings())
    middle_s = 0.5 + travel_time_s(4000.0, StageSettings()) / 2
    period_s = exact.duration_s / 4
    for lane, shift_um in ((0, 0.0), (1, 20.0), (2, 0.0), (3, 20.0)):
        time_s = np.array([middle_s + lane * period_s])
        gained = slack.position_um(time_s)[0] - exact.position_um(time_s)[0]
        assert gained[0] == pytest.approx(shift_um, abs=1e-6)


def test_a_jerk_loses_speed_for_a_few_frames_and_then_the_lane_goes_on() -> None:
    settings = StageSettings(jerks_per_lane=3.0, jerk_depth=0.8)
    path = _path(settings, seed=4)
    time_s = _times(path)
    x_um, _ = path.position_um(time_s)
    lane = path.lane_at(time_s)
    assert path.duration_s > _path(StageSettings()).duration_s
    cruising = (lane == 0) & (np.abs(x_um - 2300.0) < 1700.0)
    speed = np.abs(np.gradient(x_um, 0.001))[cruising]
    stuck = speed < 3500.0
    assert 0.05 < stuck.sum() * 0.001 < 1.0
    assert speed.min() > 0.15 * 5000.0
    assert x_um[lane == 0][-1] == pytest.approx(4300.0, abs=1.0)


def test_skewed_lanes_climb_by_the_tangent_of_the_angle() -> None:
    path = _path(StageSettings(skew_deg=1.0))
    time_s = _times(path)
    x_um, y_um = path.position_um(time_s)
    here = path.lane_at(time_s) == 0
    climb = np.polyfit(x_um[here], y_um[here], 1)[0]
    assert np.rad2deg(np.arctan(climb)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("field", ["speed_um_per_s", "acceleration_um_per_s2"])
def test_a_stage_that_cannot_move_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(StageSettings(), **{field: 0.0})
