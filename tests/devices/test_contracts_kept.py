"""Every stage and every camera keeps its contract."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from blurryscope.devices.contracts import Camera, Stage
from blurryscope.devices.film_camera import FilmCamera
from blurryscope.devices.grbl_stage import GrblStage
from blurryscope.devices.marlin_stage import MarlinStage
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.grbl_controller import GrblController
from blurryscope.simulator.marlin_controller import MarlinController
from blurryscope.simulator.port import SimulatedPort
from blurryscope.simulator.presets import AUTHENTIC, PLAIN
from blurryscope.simulator.rig import RigSettings, SimulatedRig
from blurryscope.testing import CameraContract, FakeClock, StageContract
from desk.behind_port import FirmwareOnDesk
from tests.devices.conftest import DESIGN, SMALL
from tests.devices.usb_on_desk import usb_camera


class TestStageWithChecksums(StageContract):
    """Our protocol, over a pseudo-terminal, against the simulated controller."""

    @pytest.fixture
    def stage(self, rig: SimulatedRig) -> Iterator[Stage]:
        with rig.stage() as stage:
            yield stage


class TestStageOnPlainGrbl(StageContract):
    """GRBL 1.1 as on an Arduino: no checksums, no watchdog, positions below zero."""

    @pytest.fixture
    def stage(self, clock: FastClock) -> Iterator[Stage]:
        machine = replace(SMALL, counts_below_zero=True, watchdog_s=None)
        settings = RigSettings(scan=PLAIN, machine=machine, has_checksums=False)
        with SimulatedRig(DESIGN, clock, settings) as rig, rig.stage() as stage:
            yield stage


class TestStageOnOurFirmware(StageContract):
    """The code that runs on the board, over a pseudo-terminal."""

    @pytest.fixture
    def stage(self, clock: FastClock) -> Iterator[Stage]:
        firmware = FirmwareOnDesk()
        with SimulatedPort(firmware, clock) as port, GrblStage(port.url, clock=clock) as stage:
            yield stage


class TestStageOverASocket(StageContract):
    """As the simulated rig is reached where there are no pseudo-terminals."""

    @pytest.fixture
    def stage(self, clock: FastClock) -> Iterator[Stage]:
        controller = GrblController(SMALL, boot_id=lambda: "0000ABCD")
        controller.power_on(0.0)
        with (
            SimulatedPort(controller, clock, over_socket=True) as port,
            GrblStage(port.url, clock=clock) as stage,
        ):
            yield stage


class TestStageOnMarlin(StageContract):
    """A 3D printer's controller: numbered lines, no hold in the middle of a move."""

    @pytest.fixture
    def stage(self, clock: FastClock) -> Iterator[Stage]:
        machine = replace(SMALL, homes_low=(True, True, True), watchdog_s=None)
        controller = MarlinController(replace(machine, start_um=(3_000.0, 2_000.0, 500.0)))
        controller.power_on(0.0)
        with SimulatedPort(controller, clock) as port, MarlinStage(port.url, clock=clock) as stage:
            yield stage


class TestSimulatedCamera(CameraContract):
    @pytest.fixture(params=["plain", "authentic"])
    def camera(self, request: pytest.FixtureRequest, clock: FastClock) -> Iterator[Camera]:
        scan = PLAIN if request.param == "plain" else AUTHENTIC
        settings = RigSettings(scan=scan, machine=SMALL)
        with SimulatedRig(DESIGN, clock, settings) as rig, rig.camera() as camera:
            yield camera


class TestFilmAsCamera(CameraContract):
    @pytest.fixture
    def camera(self, jpeg_film: Path) -> Iterator[Camera]:
        with FilmCamera(jpeg_film, clock=FakeClock()) as camera:
            yield camera


class TestUsbCamera(CameraContract):
    """The code for USB cameras, with a film in the place of the device and knobs in memory."""

    @pytest.fixture
    def camera(self, jpeg_film: Path) -> Iterator[Camera]:
        with usb_camera(jpeg_film) as camera:
            yield camera
