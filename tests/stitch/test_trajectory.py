"""How fast the stage went while each frame was read out follows from where the frames lay."""

from dataclasses import replace

import numpy as np
import pytest

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.trajectory import Trajectory

_INTERVAL_S = 1 / 30


def _steps_in(steps_px: list[float]) -> Trajectory:
    """One lane with these steps from frame to frame."""
    x_px = np.concatenate([[0.0], np.cumsum(steps_px)])
    count = len(x_px)
    return Trajectory(
        frames=np.arange(count),
        lanes=np.zeros(count, np.int64),
        times_s=np.arange(count, dtype=np.float64) * _INTERVAL_S,
        positions=np.stack([np.zeros(count), x_px], axis=1),
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=3e-5),
    )


def _told(trajectory: Trajectory) -> list[float]:
    """Velocities along the lane as way per frame."""
    return [float(velocity) * _INTERVAL_S for velocity in trajectory.velocities[:, 1]]


@pytest.mark.parametrize("way", [1.0, -1.0])
def test_beside_a_sudden_change_a_frame_moves_with_the_side_that_goes_on_evenly(way: float) -> None:
    steps_px = [*[235.0] * 8, 135.0, *[100.0] * 4, 140.0, *[235.0] * 8]
    told = np.array(_told(_steps_in((way * np.array(steps_px)).tolist()))) * way
    assert told[8] == pytest.approx(235)  # the last frame before it
    assert told[9] == pytest.approx(100, abs=4)  # the first one after it
    assert told[11] == pytest.approx(100)
    assert told[14] == pytest.approx(235)


def test_in_a_ramp_a_frame_has_the_mean_speed_of_the_steps_around_it() -> None:
    told = _told(_steps_in([30, 80, 130, 180, *[230.0] * 10, 180, 130, 80, 30]))
    assert told[1:4] == pytest.approx([55, 105, 155])
    assert told[-4:-1] == pytest.approx([155, 105, 55])


def test_a_step_over_a_lost_frame_says_nothing_of_the_speed() -> None:
    told = _told(_steps_in([*[230.0] * 6, 460.0, *[230.0] * 6]))
    assert told == pytest.approx([230] * len(told))


@pytest.mark.parametrize("is_counted_on", [True, False])
def test_a_repeated_frame_moves_as_what_it_repeats_and_slows_nothing_down(
    is_counted_on: bool,
) -> None:
    """Whether the film's times go on as if it were a frame more, or know better."""
    even = _steps_in([*[230.0] * 6, 0.0, *[230.0] * 6])
    times_s = even.times_s.copy()
    times_s[7] = times_s[6]
    if not is_counted_on:
        times_s[8:] -= _INTERVAL_S
    told = _told(replace(even, times_s=times_s))
    assert told == pytest.approx([230] * len(told))


def test_in_a_jerk_a_repeated_frame_is_as_slow_as_what_it_repeats() -> None:
    jerk = _steps_in([*[230.0] * 4, *[110.0] * 3, 0.0, *[110.0] * 3, *[230.0] * 4])
    times_s = jerk.times_s.copy()
    times_s[8] = times_s[7]
    told = _told(replace(jerk, times_s=times_s))
    assert told[6:10] == pytest.approx([110] * 4)


def test_a_lane_has_the_same_speeds_among_others_as_alone() -> None:
    lanes = [
        [30.0, 80, 130, 180, *[230.0] * 10, 180, 130, 80, 30],
        [*[-235.0] * 8, -135.0, *[-100.0] * 4, -140.0, *[-235.0] * 8],
        [],  # of a single frame
        [*[230.0] * 6, 460.0, *[230.0] * 6],
    ]
    parts = [
        replace(_steps_in(steps), lanes=np.full(len(steps) + 1, number))
        for number, steps in enumerate(lanes)
    ]
    slide = parts[0]
    for part in parts[1:]:
        later_s = slide.times_s[-1] + 1.0
        slide = slide.followed_by(replace(part, times_s=part.times_s + later_s))
    for number, part in enumerate(parts):
        among = slide.velocities[slide.lanes == number]
        assert among == pytest.approx(part.velocities, rel=1e-9)


def test_frames_take_the_places_of_a_part_but_for_lanes_that_are_to_stay() -> None:
    steps = _steps_in([230.0] * 8)
    slide = replace(steps, lanes=np.array([0, 0, 0, 1, 1, 1, 2, 2, 2]))
    part = replace(slide, positions=slide.positions + 5.0, halves=np.ones((9, 2)))
    moved = slide.moved_to(part.between_lanes(0, 1), first_lane=1)
    assert (moved.positions - slide.positions)[:, 1].tolist() == [0] * 3 + [5] * 3 + [0] * 3
    assert (
        np.isfinite(moved.known_halves).all(axis=1).tolist()
        == [False] * 3 + [True] * 3 + [False] * 3
    )
    assert slide.halves is None
