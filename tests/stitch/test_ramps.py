from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.ramps import seen_habits
from blurryscope.stitch.trajectory import Trajectory
from blurryscope.stitch.turning_points import StageHabits
from blurryscope.stitch.turns import timetable

RATE_HZ, SPEED_PX_PER_S, LANES = 30.0, 3500.0, 4
CRUISE_S = 0.6
TOLD_RAMP_S = 0.1
JITTER_S = 0.001


class ZigzagOverTissue:
    """Lanes whose tissue reaches into the turns, filmed with frame times that jitter."""

    def __init__(self, ramp_s: float, rest_s: float, *, stuck: bool = False) -> None:
        lane_s = CRUISE_S + 2 * ramp_s
        self.start_s = 0.4 + np.arange(LANES) * (lane_s + rest_s)
        self.end_s = self.start_s + lane_s
        film_s = np.arange(0.0, float(self.end_s[-1]) + 0.4, 1 / RATE_HZ)
        taken_s = film_s + np.random.default_rng(3).normal(0, JITTER_S, len(film_s))
        lane_of = np.clip(np.searchsorted(self.start_s - rest_s / 2, film_s) - 1, 0, LANES - 1)
        since_s = taken_s - self.start_s[lane_of]
        if stuck:  # it goes at two fifths of its speed for six frames, then on
            since_s = since_s - 0.6 * np.clip(since_s - ramp_s - 0.2, 0, 0.2)
        way_px = _way_px(since_s, ramp_s)
        width_px = SPEED_PX_PER_S * (CRUISE_S + ramp_s)
        x_px = np.where(lane_of % 2 == 0, way_px, width_px - way_px)
        self.trajectory = Trajectory(
            frames=np.arange(len(film_s)),
            lanes=lane_of,
            times_s=film_s,
            positions=np.stack([400.0 * lane_of, x_px], axis=1),
            camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
        )
        self.lanes = [
            Lane(first=0, last=1, direction=1 if number % 2 == 0 else -1, evidence=9.0)
            for number in range(LANES)
        ]
        self.is_seen = (since_s > 0) & (film_s < self.end_s[lane_of])


def _way_px(since_s: NDArray[np.float64], ramp_s: float) -> NDArray[np.float64]:
    """Even ramps on both sides of an even speed."""
    gained = np.clip(since_s, 0, ramp_s) ** 2 / (2 * ramp_s)
    even = np.clip(since_s - ramp_s, 0, CRUISE_S)
    left_s = ramp_s - np.clip(since_s - ramp_s - CRUISE_S, 0, ramp_s)
    return np.asarray(SPEED_PX_PER_S * (gained + even + (ramp_s - left_s**2 / ramp_s) / 2))


def _known(ramp_s: float, rest_s: float) -> StageHabits:
    """What is known of a stage where nothing needs to be measured any more."""
    return StageHabits(
        speed_px_per_s=SPEED_PX_PER_S,
        rest_s=rest_s,
        ramp_s=ramp_s,
        lane_s=CRUISE_S + ramp_s,
        turn_s=rest_s + ramp_s,
    )


@pytest.mark.parametrize(("ramp_s", "rest_s"), [(0.2, 1.1), (0.33, 0.64), (0.6, 1.4)])
def test_ramps_and_rests_are_told_by_tissue_at_the_turns(ramp_s: float, rest_s: float) -> None:
    zigzag = ZigzagOverTissue(ramp_s, rest_s)
    told = seen_habits(zigzag.trajectory, zigzag.lanes, zigzag.is_seen, SPEED_PX_PER_S, TOLD_RAMP_S)
    assert told.ramp_s == pytest.approx(ramp_s, rel=0.05)
    assert told.rest_s == pytest.approx(rest_s, abs=0.02)


@pytest.mark.parametrize("rest_s", [0.4, 1.1, 1.8])
def test_rests_are_told_by_tissue_at_the_turns_whose_ramps_are_too_short_to_be_measured(
    rest_s: float,
) -> None:
    zigzag = ZigzagOverTissue(0.04, rest_s)
    is_seen = np.ones(len(zigzag.is_seen), np.bool_)  # at rest too
    told = seen_habits(zigzag.trajectory, zigzag.lanes, is_seen, SPEED_PX_PER_S, TOLD_RAMP_S)
    assert np.isnan(told.ramp_s)
    assert told.rest_s == pytest.approx(rest_s, abs=0.07)  # how steep it was nobody knows


def test_glass_at_the_turns_tells_nothing_of_them() -> None:
    zigzag = ZigzagOverTissue(ramp_s=0.33, rest_s=0.64)
    times_s, lanes = zigzag.trajectory.times_s, zigzag.trajectory.lanes
    is_seen = times_s > zigzag.start_s[lanes] + 0.33
    is_seen &= times_s < zigzag.end_s[lanes] - 0.33
    told = seen_habits(zigzag.trajectory, zigzag.lanes, is_seen, SPEED_PX_PER_S, TOLD_RAMP_S)
    assert np.isnan(told.ramp_s)
    assert np.isnan(told.rest_s)


def test_a_stage_that_sticks_within_its_lanes_makes_no_ramps() -> None:
    zigzag = ZigzagOverTissue(ramp_s=0.05, rest_s=1.1, stuck=True)
    told = seen_habits(zigzag.trajectory, zigzag.lanes, zigzag.is_seen, SPEED_PX_PER_S, TOLD_RAMP_S)
    assert np.isnan(told.ramp_s)


def test_lanes_last_as_long_as_tissue_in_slow_ramps_shows() -> None:
    """Told are the ramps and rests of another stage."""
    zigzag = ZigzagOverTissue(ramp_s=0.33, rest_s=0.64)
    lane_s, rest_s = CRUISE_S + 0.33, 1.1
    stage = StageHabits(
        speed_px_per_s=SPEED_PX_PER_S,
        rest_s=rest_s,
        ramp_s=0.1,
        lane_s=lane_s + 0.33 + 0.64 - rest_s,
        turn_s=rest_s,
    )
    linked = np.ones(LANES - 1, np.bool_)
    table = timetable(zigzag.trajectory, zigzag.lanes, linked, zigzag.is_seen, stage)
    assert table.start_s == pytest.approx(zigzag.start_s, abs=0.02)
    assert table.end_s == pytest.approx(zigzag.end_s, abs=0.02)
    assert table.width_px == pytest.approx(SPEED_PX_PER_S * lane_s, rel=0.02)


def test_tissue_at_rest_makes_no_lane_longer() -> None:
    """Lanes that were found too long hold frames of the rests around them."""
    zigzag = ZigzagOverTissue(ramp_s=0.01, rest_s=1.1)
    stage = _known(ramp_s=0.01, rest_s=1.1)
    linked, is_seen = np.ones(LANES - 1, np.bool_), np.ones(len(zigzag.is_seen), np.bool_)
    table = timetable(zigzag.trajectory, zigzag.lanes, linked, is_seen, stage)
    assert table.start_s == pytest.approx(zigzag.start_s, abs=0.04)
    assert table.end_s == pytest.approx(zigzag.end_s, abs=0.04)


def test_a_lane_beside_no_other_is_timed_by_its_own_ramps() -> None:
    """Nothing joins the lanes, and the rests before and after the second one were longer."""
    zigzag = ZigzagOverTissue(ramp_s=0.33, rest_s=0.64)
    later_s = np.array([0.0, 0.3, 0.6, 0.6])
    film = zigzag.trajectory
    film = replace(film, times_s=film.times_s + later_s[film.lanes])
    stage = _known(ramp_s=0.33, rest_s=0.64)
    linked = np.array([False, False, True])
    table = timetable(film, zigzag.lanes, linked, zigzag.is_seen, stage)
    assert table.start_s == pytest.approx(zigzag.start_s + later_s, abs=0.03)
    assert table.end_s == pytest.approx(zigzag.end_s + later_s, abs=0.03)
    assert table.is_seen.all()
