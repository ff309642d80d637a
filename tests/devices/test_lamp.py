"""The lamp on the controller burns whenever the stage can be used, whatever made it dark."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from blurryscope.devices.grbl_stage import GrblStage
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.grbl_controller import GrblController
from blurryscope.simulator.port import SimulatedPort
from desk.behind_port import FirmwareOnDesk
from tests.devices.conftest import SMALL

LAMP = 0.3
Lamp = Callable[[], int]
"""What the controller gives the lamp, 0 to 1000."""


@pytest.fixture(params=["protocol", "grbl", "firmware"])
def lit(request: pytest.FixtureRequest, clock: FastClock) -> Iterator[tuple[GrblStage, Lamp]]:
    if request.param == "firmware":
        firmware = FirmwareOnDesk()
        with SimulatedPort(firmware, clock) as port:
            stage = GrblStage(port.url, clock=clock, lamp_fraction=LAMP)
            yield stage, lambda: firmware.lamp
        return
    is_ours = request.param == "protocol"
    machine = replace(SMALL, counts_below_zero=not is_ours, watchdog_s=5.0 if is_ours else None)
    controller = GrblController(machine, has_checksums=is_ours, boot_id=lambda: "0000ABCD")
    controller.power_on(0.0)
    with SimulatedPort(controller, clock) as port:
        stage = GrblStage(port.url, clock=clock, lamp_fraction=LAMP)
        yield stage, lambda: controller.machine.lamp


def test_the_lamp_burns_from_homing_to_closing_and_after_every_stop(
    lit: tuple[GrblStage, Lamp],
) -> None:
    stage, lamp = lit
    with stage:
        assert lamp() == 0  # a controller that was not homed takes no such command
        stage.home()
        assert lamp() == 300
        stage.stop()
        assert lamp() == 300
        stage.light(0.5)
        stage.home()
        assert lamp() == 500
    assert lamp() == 0


def test_a_stage_that_was_homed_before_is_lit_when_it_is_opened(
    lit: tuple[GrblStage, Lamp],
) -> None:
    stage, lamp = lit
    with stage:
        stage.home()
    with stage:
        assert lamp() == 300
