"""Boards as labs really have them: set, built or used otherwise than ours."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from blurryscope.devices.contracts import StageMode, StagePoint
from blurryscope.devices.errors import (
    DeviceError,
    NotHomedError,
    SettingsRefusedError,
    StageHeldError,
)
from blurryscope.devices.grbl_stage import GrblStage
from blurryscope.devices.marlin_stage import MarlinStage
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.grbl_controller import NO_SETTINGS, GrblController
from blurryscope.simulator.marlin_controller import MarlinController
from blurryscope.simulator.port import SimulatedPort
from tests.devices.conftest import SMALL
from tests.devices.interrupted_clock import see_ctrl_c_stop_homing

PLACE = StagePoint(x_um=-4_000.0, y_um=-2_000.0, z_um=-1_500.0)


@contextmanager
def _plain_grbl(
    clock: FastClock,
    more_settings: Mapping[int, float] = NO_SETTINGS,
    work_offset_um: tuple[float, float, float] = (0.0, 0.0, 0.0),
    board: type[GrblController] = GrblController,
) -> Iterator[tuple[GrblController, SimulatedPort]]:
    machine = replace(SMALL, counts_below_zero=True, watchdog_s=None)
    controller = board(
        machine,
        has_checksums=False,
        boot_id=lambda: "0000ABCD",
        more_settings=more_settings,
        work_offset_um=work_offset_um,
    )
    controller.power_on(0.0)
    with SimulatedPort(controller, clock) as port:
        yield controller, port


def test_an_offset_for_workpieces_moves_the_stage_nowhere_else(clock: FastClock) -> None:
    with (
        _plain_grbl(clock, work_offset_um=(-3_000.0, 0.0, 0.0)) as (controller, port),
        GrblStage(port.url, clock=clock) as stage,
    ):
        stage.home()
        stage.move_to(PLACE, 2_000.0)
        assert stage.wait_until_rest().position.distance_um(PLACE) < 3.0
        there_um = controller.machine.position_um(clock.monotonic_s())
    assert np.allclose(there_um, (PLACE.x_um, PLACE.y_um, PLACE.z_um), atol=3.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({13: 1.0}, r"\$13 is 1 instead of 0"),
        ({10: 2.0}, r"\$10=1"),
        ({1: 25.0}, r"frees its motors 25 ms after each move.* Set \$1=255"),
        ({20: 0.0}, r"\$20 is 0 instead of 1"),
        ({22: 4.0}, r"\$22 is 0 instead of 1"),
        ({27: 50.0}, r"no stage can move: lowest must lie below highest"),
    ],
    ids=["inches", "workpiece", "motors free", "no soft limits", "no homing", "no room"],
)
def test_a_board_that_is_set_so_that_places_are_wrong_is_refused(
    clock: FastClock, settings: dict[int, float], words: str
) -> None:
    with (
        _plain_grbl(clock, settings) as (_, port),
        pytest.raises(SettingsRefusedError, match=words),
        GrblStage(port.url, clock=clock),
    ):
        pass


class _GrblHal(GrblController):
    """As grblHAL writes: four axes, a state with its alarm, homing flags with their bits."""

    def _greet(self) -> None:
        self._push("")
        self._push("GrblHAL 1.1f ['$' or '$HELP' for help]")
        if not self.machine.is_homed:
            self._push("ALARM:11")
            self._push("[MSG:Homing cycle required, $H to continue]")

    def _status(self, now_s: float) -> str:
        state, place, *others = super()._status(now_s).strip("<>").split("|")
        state = "Alarm:11" if state == "Alarm" else state
        flags = "H:1,7" if self.machine.is_homed else "H:0,0"
        return f"<{'|'.join([state, f'{place},0.000', *others, flags])}>"

    def _identity(self) -> list[str]:
        return [
            "[VER:1.1f.20260101:]",
            "[OPT:VNMSL,35,1024,4,0]",
            "[AXS:4:XYZA]",
            "[NEWOPT:ENUMS,RT+,HOME,SED,ES]",
            "[FIRMWARE:grblHAL]",
            "[BOARD:Pico CNC]",
        ]


class _FluidNc(GrblController):
    """As FluidNC writes: what its own file has on homing is in no setting."""

    def _greet(self) -> None:
        self._push("")
        self._push("Grbl 3.7 [FluidNC v3.7.10 (wifi) '$' for help]")
        if not self.machine.is_homed:
            self._push("[MSG:INFO: '$H'|'$X' to unlock]")

    def _settings(self) -> dict[int, float]:
        has = {
            20,
            21,
            22,
            23,
            30,
            32,
            *(first + axis for first in range(100, 140, 10) for axis in range(3)),
        }
        told = super()._settings() | {32: 0.0}
        return {number: value for number, value in told.items() if number in has}


@pytest.mark.parametrize(
    ("board", "settings"), [(_GrblHal, {22: 5.0}), (_FluidNc, {})], ids=["grblHAL", "FluidNC"]
)
def test_relatives_of_grbl_are_opened_homed_and_moved(
    clock: FastClock, board: type[GrblController], settings: dict[int, float]
) -> None:
    with (
        _plain_grbl(clock, settings, board=board) as (_, port),
        GrblStage(port.url, clock=clock) as stage,
    ):
        assert stage.status().mode is StageMode.UNHOMED
        assert stage.home().is_homed
        assert stage.limits.lowest.y_um in {-6_000.0, -5_000.0}
        stage.move_to(PLACE, 2_000.0)
        assert stage.wait_until_rest().position.distance_um(PLACE) < 3.0


def test_a_board_that_counts_from_another_zero_is_refused_after_homing(clock: FastClock) -> None:
    controller = GrblController(  # as GRBL that was built to set its zero where it homes
        replace(SMALL, watchdog_s=None), has_checksums=False, boot_id=lambda: "0000ABCD"
    )
    controller.power_on(0.0)
    with SimulatedPort(controller, clock) as port, GrblStage(port.url, clock=clock) as stage:
        with pytest.raises(SettingsRefusedError, match="zero is not where GRBL has it"):
            stage.home()
        with pytest.raises(NotHomedError):
            stage.move_to(stage.limits.lowest)


def _marlin(
    *,
    tells_target: bool = False,
    has_emergency_parser: bool = True,
    board: type[MarlinController] = MarlinController,
) -> MarlinController:
    machine = replace(
        SMALL,
        homes_low=(True, True, True),
        watchdog_s=None,
        start_um=(3_000.0, 2_000.0, 500.0),
    )
    controller = board(
        machine, tells_target=tells_target, has_emergency_parser=has_emergency_parser
    )
    controller.power_on(0.0)
    return controller


def test_a_long_move_of_a_marlin_that_only_tells_its_target_is_waited_for() -> None:
    controller, target = _marlin(tells_target=True), StagePoint(x_um=4_500.0, y_um=0.0)
    with (
        FastClock(5) as clock,
        SimulatedPort(controller, clock) as port,
        MarlinStage(port.url, clock=clock) as stage,
    ):
        stage.home()
        begun_s = clock.monotonic_s()
        stage.move_to(target, 500.0)
        assert stage.wait_until_rest().position.distance_um(target) < 11.0
        lasted_s = clock.monotonic_s() - begun_s
        there_um = controller.machine.position_um(clock.monotonic_s())
    assert lasted_s > 8.0
    assert np.allclose(there_um[:2], (4_500.0, 0.0), atol=11.0)


@pytest.mark.parametrize("way", ["hold", "stop"])
def test_a_marlin_that_only_tells_its_target_stops_at_once_in_a_long_move(way: str) -> None:
    controller, target = _marlin(tells_target=True), StagePoint(x_um=4_500.0, y_um=0.0)
    with (
        FastClock(20) as clock,
        SimulatedPort(controller, clock) as port,
        MarlinStage(port.url, clock=clock) as stage,
    ):
        stage.home()
        stage.move_to(target, 500.0)
        told: list[DeviceError] = []
        waiting = threading.Thread(target=_note_error, args=(stage.wait_until_rest, told))
        waiting.start()
        clock.sleep(1.0)
        getattr(stage, way)()
        waiting.join()
        stopped_um = controller.machine.position_um(clock.monotonic_s())[0]
        assert stopped_um < 2_000.0  # it would take nine seconds to 4,500
        assert [type(error) for error in told] == [StageHeldError]
        stage.resume()
        if way == "stop":
            stage.move_to(target, 10_000.0)
        assert stage.wait_until_rest().position.distance_um(target) < 11.0


def _note_error(act: Callable[[], object], told: list[DeviceError]) -> None:
    try:
        act()
    except DeviceError as error:
        told.append(error)


def test_the_lamp_is_scaled_by_what_the_board_calls_full(clock: FastClock) -> None:
    with (
        _plain_grbl(clock, {30: 255.0}) as (controller, port),
        GrblStage(port.url, clock=clock, lamp_fraction=0.2) as stage,
    ):
        stage.home()
        assert controller.machine.lamp == 200
        stage.light(1.0)
        assert controller.machine.lamp == 1000


def test_ctrl_c_stops_the_homing_of_a_marlin() -> None:
    controller = _marlin()
    with FastClock(20) as clock, SimulatedPort(controller, clock) as port:
        see_ctrl_c_stop_homing(
            controller.machine, clock, lambda hands: MarlinStage(port.url, clock=hands)
        )


def test_a_marlin_is_told_to_keep_its_motors_on(clock: FastClock) -> None:
    controller = _marlin()
    with SimulatedPort(controller, clock) as port, MarlinStage(port.url, clock=clock):
        assert controller.frees_motors_s == 0


@pytest.mark.parametrize("speaks", ["checksums", "grbl", "marlin"])
def test_a_slow_focus_is_waited_for(clock: FastClock, speaks: str) -> None:
    slow = replace(SMALL, speed_um_per_s=(10_000.0, 10_000.0, 50.0), seek_um_per_s=5_000.0)
    controller: GrblController | MarlinController
    if speaks == "marlin":
        slow = replace(slow, homes_low=(True, True, True), start_um=(3_000.0, 2_000.0, 50.0))
        controller = MarlinController(replace(slow, watchdog_s=None))
    else:
        is_plain = speaks == "grbl"
        slow = replace(slow, counts_below_zero=is_plain, start_um=(3_000.0, 2_000.0, -50.0))
        slow = replace(slow, watchdog_s=None if is_plain else 5.0)
        controller = GrblController(slow, has_checksums=not is_plain, boot_id=lambda: "0000ABCD")
    controller.power_on(0.0)
    stages = MarlinStage if speaks == "marlin" else GrblStage
    with SimulatedPort(controller, clock) as port, stages(port.url, clock=clock) as stage:
        home = stage.home().position
        z_um = home.z_um + (900.0 if speaks == "marlin" else -900.0)
        target = replace(home, z_um=z_um)
        stage.move_to(target)
        begun_s = clock.monotonic_s()
        assert stage.wait_until_rest().position.distance_um(target) < 11.0
        assert clock.monotonic_s() - begun_s > 17.0


class _NoisyMarlin(MarlinController):
    """Of its places every other one is damaged on its way; Marlin's replies carry no checksum."""

    is_damaged = False

    def _push(self, line: str) -> None:
        if line.startswith("X:"):
            self.is_damaged = not self.is_damaged
            line = line.replace("Y:", "Y:1.", 1) if self.is_damaged else line
        super()._push(line)


def test_a_place_that_was_damaged_on_its_way_is_asked_for_again(clock: FastClock) -> None:
    controller = _marlin(board=_NoisyMarlin)
    with SimulatedPort(controller, clock) as port, MarlinStage(port.url, clock=clock) as stage:
        home = stage.home().position
        target = replace(home, x_um=home.x_um + 1_000.0)
        stage.move_to(target, 5_000.0)
        assert stage.wait_until_rest().position.distance_um(target) < 11.0


class _UnsetMarlin(MarlinController):
    """As somebody left it: its soft endstops enclose nothing, or an axis has no speed."""

    told, instead = (
        "Soft endstops",
        "echo:Soft endstops: On  Min: X0.00 Y0.00 Z0.00  Max: X0.00 Y0.00 Z0.00",
    )

    def _push(self, line: str) -> None:
        super()._push(self.instead if self.told in line else line)


class _StillMarlin(_UnsetMarlin):
    told, instead = "M203", "echo:  M203 X0.00 Y150.00 Z5.00"


@pytest.mark.parametrize("board", [_UnsetMarlin, _StillMarlin])
def test_a_marlin_that_can_go_nowhere_is_refused(
    clock: FastClock, board: type[MarlinController]
) -> None:
    with (
        SimulatedPort(_marlin(board=board), clock) as port,
        pytest.raises(SettingsRefusedError, match=r"must (be positive|lie below highest)"),
        MarlinStage(port.url, clock=clock),
    ):
        pass


def test_a_marlin_whose_homing_could_not_be_stopped_is_refused(clock: FastClock) -> None:
    with (
        SimulatedPort(_marlin(has_emergency_parser=False), clock) as port,
        pytest.raises(SettingsRefusedError, match="EMERGENCY_PARSER"),
        MarlinStage(port.url, clock=clock),
    ):
        pass


def test_a_board_that_speaks_the_other_language_is_told_so(clock: FastClock) -> None:
    ours = GrblController(SMALL, boot_id=lambda: "0000ABCD")
    ours.power_on(0.0)
    with (
        SimulatedPort(ours, clock) as port,
        pytest.raises(SettingsRefusedError, match=r"as a Marlin .* needs speaks = \"grbl\""),
        MarlinStage(port.url, clock=clock),
    ):
        pass
    with (
        SimulatedPort(_marlin(), clock) as port,
        pytest.raises(DeviceError, match=r"speaks GRBL \(rig\.toml: speaks\)"),
        GrblStage(port.url, clock=clock),
    ):
        pass
