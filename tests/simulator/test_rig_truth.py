"""What is told as true of a scan of the rig is what its stage did."""

from dataclasses import replace

import numpy as np
import pytest

from blurryscope.devices.contracts import StagePoint
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.presets import PLAIN
from blurryscope.simulator.rig import RigSettings, SimulatedRig
from blurryscope.simulator.rig_truth import rig_truth, true_lanes
from tests.devices.conftest import DESIGN, SMALL

SPEED_UM_PER_S = 5_000.0
REST_S = 0.5


def test_lanes_and_frames_are_told_as_the_stage_ran() -> None:
    stiff = replace(PLAIN, stage=replace(PLAIN.stage, backlash_um=0.0, wander_um=0.0))
    settings = RigSettings(scan=stiff, machine=SMALL, slide_corner_um=(2_000.0, 2_000.0))
    windows_s = []
    with FastClock(100) as clock, SimulatedRig(DESIGN, clock, settings) as rig:
        with rig.stage() as stage:
            stage.home()
            for y_um, ends_um in ((2_500.0, (3_000.0, 8_000.0)), (2_800.0, (8_000.0, 3_000.0))):
                start, end = (StagePoint(x_um=x, y_um=y_um, z_um=-500.0) for x in ends_um)
                stage.move_to(start)
                stage.wait_until_rest()
                clock.sleep(REST_S)
                began_s = clock.monotonic_s()
                stage.move_to(end, SPEED_UM_PER_S)
                stage.wait_until_rest()
                windows_s.append((began_s, clock.monotonic_s()))
        lanes = true_lanes(rig, windows_s)
        times_s = np.arange(windows_s[0][0] - 0.3, windows_s[1][1] + 0.3, 1 / 30)
        truth = rig_truth(rig, times_s, lanes)
    assert [lane.cruise_um_per_s for lane in lanes] == pytest.approx([SPEED_UM_PER_S] * 2)
    assert [lane.y_um for lane in lanes] == pytest.approx([2_500.0, 2_800.0], abs=2.0)
    assert min(lane.rested_s for lane in lanes) >= REST_S
    rows = np.array(truth["frames"])
    assert len(rows) == len(times_s)
    for number, sign in ((0, 1), (1, -1)):
        steps_um = np.diff(rows[rows[:, 2] == number, 0])
        assert np.median(steps_um) == pytest.approx(sign * SPEED_UM_PER_S / 30, rel=0.01)
    outside = rows[rows[:, 2] == -1]
    assert len(outside) > 10


def test_frames_are_told_when_they_were_taken_and_not_as_a_film_rounds_it() -> None:
    settings = RigSettings(scan=PLAIN, machine=SMALL, slide_corner_um=(2_000.0, 2_000.0))
    with FastClock(100) as clock, SimulatedRig(DESIGN, clock, settings) as rig:
        start, end = (StagePoint(x_um=x, y_um=2_500.0, z_um=-500.0) for x in (3_000.0, 8_000.0))
        with rig.stage() as stage, rig.camera() as camera:
            stage.home()
            stage.move_to(start)
            stage.wait_until_rest()
            began_s = clock.monotonic_s()
            stage.move_to(end, SPEED_UM_PER_S)
            frames = camera.frames()
            taken_s = np.array([next(frames).time_s for _ in range(20)])
            frames.close()
            stage.wait_until_rest()
        lanes = true_lanes(rig, [(began_s, clock.monotonic_s())])
        exact, rounded, off = (
            np.array(rig_truth(rig, times_s, lanes)["frames"], np.float64)
            for times_s in (taken_s, np.round(taken_s, 3), taken_s + 0.01)
        )
    is_moving = exact[:, 2] == 0
    assert is_moving.sum() > 10
    assert np.array_equal(rounded, exact)
    moved_um = np.abs(off - exact)[is_moving, 0]
    assert np.median(moved_um) == pytest.approx(0.01 * SPEED_UM_PER_S, rel=0.05)
