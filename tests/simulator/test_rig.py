"""The simulated microscope as a whole: what its camera sees is where its stage is."""

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from blurryscope.devices.contracts import CameraSettings, StagePoint
from blurryscope.devices.errors import CameraFrozenError, DeviceGoneError, SettingsRefusedError
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.machine_parts import MachineSettings
from blurryscope.simulator.presets import PLAIN
from blurryscope.simulator.rig import RigSettings, SimulatedRig
from blurryscope.simulator.slide import SlideDesign
from blurryscope.simulator.true_stage import LostWay

MACHINE = MachineSettings(
    travel_um=(12_000.0, 6_000.0, 2_000.0),
    start_um=(3_000.0, 2_000.0, -500.0),
    seek_um_per_s=10_000.0,
    touch_um_per_s=2_000.0,
)
DESIGN = SlideDesign(rows=1, columns=1, core_diameter_um=600, pitch_um=900, margin_um=700, seed=1)
CORNER_UM = (2_000.0, 2_000.0)
CORE = StagePoint(x_um=CORNER_UM[0] + 700.0, y_um=CORNER_UM[1] + 700.0, z_um=-500.0)


@pytest.fixture
def rig() -> Iterator[SimulatedRig]:
    small = replace(PLAIN, camera=replace(PLAIN.camera, rows=120, columns=160))
    settings = RigSettings(
        scan=small, machine=MACHINE, slide_corner_um=CORNER_UM, lamp_fraction=0.0
    )
    with FastClock(150) as clock, SimulatedRig(DESIGN, clock, settings) as rig:
        yield rig


def test_the_camera_sees_tissue_only_where_the_core_lies(rig: SimulatedRig) -> None:
    with rig.stage() as stage, rig.camera() as camera:
        stage.home()
        stage.light(1.0)
        stage.move_to(CORE)
        stage.wait_until_rest()
        tissue = camera.grab().luma()
        stage.move_to(replace(CORE, x_um=CORE.x_um + 2_000.0))
        stage.wait_until_rest()
        glass = camera.grab().luma()
    assert glass.mean() > 200
    assert tissue.mean() < glass.mean() - 5
    assert tissue.std() > 2 * glass.std()


def test_a_lane_is_filmed_at_the_speed_that_was_ordered(rig: SimulatedRig) -> None:
    with rig.stage() as stage, rig.camera() as camera:
        stage.home()
        stage.move_to(replace(CORE, x_um=2_000.0))
        stage.wait_until_rest()
        stage.move_to(replace(CORE, x_um=9_000.0), 5_000.0)
        rig.clock.sleep(0.2)
        with closing(camera.frames()) as frames:
            times_s = np.array([frame.time_s for frame in islice(frames, 20)])
    x_um, _ = rig.true_stage.position_um(times_s)
    steps_um_per_s = np.diff(x_um) / np.diff(times_s)
    assert np.allclose(steps_um_per_s, 5_000.0, rtol=0.01)


@pytest.mark.parametrize("is_dead", [True, False])
def test_way_that_the_carriage_lost_is_unknown_to_the_controller(
    rig: SimulatedRig, is_dead: bool
) -> None:
    with rig.stage() as stage:
        stage.home()
        stage.move_to(StagePoint(x_um=2_000.0, y_um=2_000.0), 5_000.0)
        stage.wait_until_rest()
        stage.move_to(StagePoint(x_um=6_000.0, y_um=2_000.0), 5_000.0)
        from_s = rig.controller.machine.path.end_s - 0.4
        until_s = math.inf if is_dead else from_s + 0.1
        rig.true_stage.lost.append(LostWay(axis=0, from_s=from_s, until_s=until_s))
        rested = stage.wait_until_rest()
    then_um, now_um = rig.true_stage.position_um(np.array([from_s, rested.time_s + 1.0]))[0]
    assert rested.position.x_um == pytest.approx(6_000.0, abs=1.0)
    told_um = 6_000.0 - CORNER_UM[0]
    assert now_um == pytest.approx(then_um if is_dead else told_um - 500.0, abs=20.0)
    assert now_um < told_um - 400.0


def test_the_lamp_is_the_controllers(rig: SimulatedRig) -> None:
    with rig.stage() as stage, rig.camera() as camera:
        assert camera.grab().luma().mean() < 2
        stage.home()
        stage.light(0.5)
        half = camera.grab().luma().mean()
        stage.light(1.0)
        assert camera.grab().luma().mean() == pytest.approx(2 * half, rel=0.05)


def test_a_longer_exposure_is_brighter_and_read_back_as_kept(rig: SimulatedRig) -> None:
    with rig.stage() as stage, rig.camera() as camera:
        stage.home()
        stage.light(1.0)
        before = camera.grab().luma().mean()
        has = camera.configure(CameraSettings(exposure_s=0.00391))
        assert has.exposure_s == 0.0039
        assert camera.grab().luma().mean() == pytest.approx(before / 2, rel=0.05)


def test_a_camera_that_does_not_keep_its_exposure_is_refused(rig: SimulatedRig) -> None:
    with rig.camera() as camera:
        camera.faults.keeps_exposure = False
        with pytest.raises(SettingsRefusedError, match="exposure_s"):
            camera.configure(CameraSettings(exposure_s=0.002))


def test_a_frozen_camera_and_one_that_is_gone_are_told_apart(rig: SimulatedRig) -> None:
    with rig.camera() as camera, closing(camera.frames()) as frames:
        next(frames)
        camera.faults.is_frozen = True
        with pytest.raises(CameraFrozenError, match="no picture for 2 s"):
            next(frames)
    with rig.camera() as camera:
        camera.faults.is_gone = True
        with pytest.raises(DeviceGoneError, match="is gone"):
            camera.grab()


def test_an_unplugged_stage_keeps_its_boot_id_and_its_place(rig: SimulatedRig) -> None:
    with rig.stage() as stage:
        before = stage.home()
        stage.move_to(CORE)
        stage.wait_until_rest()
        rig.port.unplug()
        with pytest.raises(DeviceGoneError, match="gone"):
            stage.status()
    rig.port.plug_in()
    with rig.stage() as stage:
        after = stage.status()
    assert after.boot_id == before.boot_id
    assert after.is_homed
    assert after.position.distance_um(CORE) < 3.0
