"""GRBL 1.1 as it is: struck dumb by a limit, and deaf while it homes."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from blurryscope.basics.clock import Clock
from blurryscope.devices.contracts import StageMode, StagePoint
from blurryscope.devices.errors import HomingFailedError, LimitHitError, StageError, StageHeldError
from blurryscope.devices.grbl_stage import GrblStage
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.grbl_controller import GrblController
from blurryscope.simulator.machine_parts import MachineState
from blurryscope.simulator.port import SimulatedPort
from tests.devices.conftest import SMALL
from tests.devices.interrupted_clock import see_ctrl_c_stop_homing

PLACE = StagePoint(x_um=-4_000.0, y_um=-2_000.0, z_um=-1_500.0)
FAR = StagePoint(x_um=-9_000.0, y_um=-2_000.0, z_um=-1_500.0)


class Board(GrblController):
    """GRBL 1.1 with a safety door."""

    is_open = False

    def _status(self, now_s: float) -> str:
        told = super()._status(now_s)
        return re.sub(r"^<Hold:\d", "<Door:1", told) if self.is_open else told


@contextmanager
def _board(clock: FastClock) -> Iterator[tuple[Board, SimulatedPort]]:
    machine = replace(
        SMALL,
        counts_below_zero=True,
        watchdog_s=None,
        seek_um_per_s=1_000.0,
        touch_um_per_s=500.0,
    )
    controller = Board(machine, has_checksums=False, boot_id=lambda: "0000ABCD")
    controller.power_on(0.0)
    with SimulatedPort(controller, clock) as port:
        yield controller, port


@contextmanager
def _in_a_lane(clock: FastClock) -> Iterator[tuple[Board, GrblStage]]:
    """A homed stage on its way from `PLACE` to `FAR`."""
    with (
        _board(clock) as (controller, port),
        GrblStage(port.url, clock=clock) as stage,
    ):
        stage.home()
        stage.move_to(PLACE)
        stage.wait_until_rest()
        stage.move_to(FAR, 1_000.0)
        clock.sleep(1.0)
        yield controller, stage


def _close_a_switch(controller: GrblController, clock: Clock) -> None:
    with controller.machine.lock:
        controller.machine.close_switch(clock.monotonic_s())


def _until(is_so: Callable[[], bool], clock: Clock) -> None:
    for _ in range(2_000):
        if is_so():
            return
        clock.sleep(0.05)
    raise AssertionError("it never came to that")


def test_a_limit_in_a_lane_is_told_at_once_and_homing_takes_it_back(clock: FastClock) -> None:
    with _in_a_lane(clock) as (controller, stage):
        _close_a_switch(controller, clock)
        struck_s = clock.monotonic_s()
        with pytest.raises(LimitHitError, match="limit switch closed"):
            stage.wait_until_rest()
        assert clock.monotonic_s() - struck_s < 1.0
        assert stage.status().mode is StageMode.ALARMED
        with pytest.raises(LimitHitError):
            stage.move_to(PLACE)
        assert stage.home().mode is StageMode.RESTING
        stage.move_to(PLACE)
        assert stage.wait_until_rest().position.distance_um(PLACE) < 3.0


def test_a_board_that_a_limit_struck_dumb_can_be_opened_and_homed(clock: FastClock) -> None:
    with _board(clock) as (controller, port):
        _close_a_switch(controller, clock)
        with GrblStage(port.url, clock=clock) as stage:
            assert stage.status().mode is StageMode.UNHOMED
            assert stage.home().mode is StageMode.RESTING


def test_a_board_that_homes_can_be_opened(clock: FastClock) -> None:
    with _board(clock) as (controller, port):
        controller.feed(b"$H\n", clock.monotonic_s())
        with GrblStage(port.url, clock=clock) as stage:
            assert stage.status().mode is StageMode.UNHOMED
            assert controller.machine.state is MachineState.ALARM


@pytest.mark.parametrize("way", ["hold", "stop"])
def test_homing_can_be_stopped_by_another_thread(way: str) -> None:
    ended: list[BaseException] = []

    def home() -> None:
        try:
            stage.home()
        except StageError as error:
            ended.append(error)

    with (
        FastClock(20) as clock,
        _board(clock) as (controller, port),
        GrblStage(port.url, clock=clock) as stage,
    ):
        homing = threading.Thread(target=home)
        homing.start()
        _until(lambda: controller.machine.state is MachineState.HOMING, clock)
        clock.sleep(0.5)
        getattr(stage, way)()
        _until(lambda: controller.machine.state is not MachineState.HOMING, clock)
        stopped_s = clock.monotonic_s()
        homing.join()
        assert clock.monotonic_s() - stopped_s < 2.0
        assert [type(error) for error in ended] == [HomingFailedError]
        assert not stage.status().is_homed
        assert stage.home().is_homed


def test_ctrl_c_stops_homing() -> None:
    with FastClock(20) as clock, _board(clock) as (controller, port):
        see_ctrl_c_stop_homing(
            controller.machine, clock, lambda hands: GrblStage(port.url, clock=hands)
        )


def test_a_door_that_was_opened_is_told_as_such(clock: FastClock) -> None:
    with _in_a_lane(clock) as (controller, stage):
        with controller.machine.lock:
            controller.is_open = True
            controller.machine.hold(clock.monotonic_s())
        with pytest.raises(StageHeldError, match="safety door"):
            stage.wait_until_rest()
        controller.is_open = False
        stage.resume()
        assert stage.wait_until_rest().position.distance_um(FAR) < 3.0
