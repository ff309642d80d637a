"""The way of the carriage: ramps, braking, and what inertia and play make of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.simulator.carriage import CarriagePath
from blurryscope.simulator.stage import StageSettings
from blurryscope.simulator.true_stage import Inertia, TrueStage

SPEED, ACCELERATION = 5_000.0, 100_000.0
places = st.tuples(*(st.floats(-20_000, 20_000, allow_nan=False) for _ in range(3)))


def _path() -> CarriagePath:
    return CarriagePath(np.zeros(3))


def _stage(path: CarriagePath, settings: StageSettings, inertia: Inertia) -> TrueStage:
    return TrueStage(path, settings, np.random.default_rng(0), inertia=inertia)


@given(st.lists(places, min_size=1, max_size=5))
def test_every_move_ends_at_its_target_and_never_runs_too_fast(
    targets: list[tuple[float, float, float]],
) -> None:
    path = _path()
    for target in targets:
        end_s = path.move(0.0, np.array(target), SPEED, ACCELERATION)
        assert path.position_at(end_s) == pytest.approx(target, abs=1e-6)
    times_s = np.linspace(0, path.end_s, 500)
    assert max(path.speed_at(float(time_s)) for time_s in times_s) <= SPEED + 1e-6
    steps_um = np.linalg.norm(np.diff(path.positions_um(times_s), axis=0), axis=1)
    assert steps_um.max() <= SPEED * (times_s[1] - times_s[0]) + 1e-6


@given(st.floats(0.0, 4.2), st.floats(500, 15_000))
def test_braking_keeps_to_the_line_and_stops_before_the_target(
    at_s: float, length_um: float
) -> None:
    path = _path()
    path.move(0.0, np.array([length_um, 0.0, 0.0]), SPEED, ACCELERATION)
    rests_s = path.brake(at_s, ACCELERATION)
    assert rests_s <= at_s + SPEED / ACCELERATION + 1e-9
    x_um, y_um, z_um = path.position_at(math.inf)
    assert 0.0 <= x_um <= length_um + 1e-6
    assert (y_um, z_um) == (0.0, 0.0)


def test_many_times_at_once_give_what_each_alone_gives() -> None:
    path = _path()
    path.move(0.5, np.array([3_000.0, 1_000.0, 0.0]), SPEED, ACCELERATION)
    path.move(2.0, np.array([0.0, 1_300.0, -50.0]), SPEED, ACCELERATION)
    times_s = np.linspace(0.0, 4.0, 200)
    one_by_one = np.array([path.position_at(float(time_s)) for time_s in times_s])
    assert np.allclose(path.positions_um(times_s), one_by_one)


def test_inertia_lags_while_speeding_up_and_has_died_away_after_the_rest() -> None:
    path = _path()
    inertia = Inertia(resonance_hz=40.0, damping=0.2)
    end_s = path.move(0.0, np.array([3_000.0, 0.0, 0.0]), SPEED, ACCELERATION)
    stage = _stage(path, StageSettings(), inertia)
    times_s = np.array([0.04, 0.3, end_s + 0.002, end_s + 0.5])
    x_um, _ = stage.position_um(times_s)
    behind_um = path.positions_um(times_s)[:, 0] - x_um
    assert 0.5 < behind_um[0] < 5.0  # a / (2 pi f)^2 is 1.6 um
    assert abs(behind_um[1]) < 0.01  # at constant speed it follows
    assert abs(behind_um[2]) > 0.2  # it rings after the ramp
    assert abs(behind_um[3]) < 1e-3  # a rest of half a second is ample


def test_after_a_turn_the_slide_lies_behind_by_the_play() -> None:
    path = _path()
    path.move(0.0, np.array([2_000.0, 0.0, 0.0]), SPEED, ACCELERATION)
    path.move(2.0, np.array([1_000.0, 0.0, 0.0]), SPEED, ACCELERATION)
    path.move(4.0, np.array([1_500.0, 0.0, 0.0]), SPEED, ACCELERATION)
    stage = _stage(path, StageSettings(backlash_um=14.0), Inertia())
    x_um, _ = stage.position_um(np.array([1.8, 3.8, 5.8]))
    assert x_um == pytest.approx([2_000.0, 1_014.0, 1_500.0], abs=0.01)
