"""A microscope on the table whose stage runs `firmware/`: its own code, on a board in memory."""

import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from blurryscope.basics.clock import Clock
from blurryscope.devices.contracts import StagePoint
from blurryscope.devices.grbl_stage import GrblStage
from blurryscope.simulator.carriage import Stretch
from blurryscope.simulator.faults import Fault
from blurryscope.simulator.port import SimulatedPort
from blurryscope.simulator.presets import ScanSettings
from blurryscope.simulator.rig_camera import SimulatedCamera
from blurryscope.simulator.slide import Slide, SlideDesign
from blurryscope.simulator.stage import Floats
from blurryscope.simulator.true_stage import TrueStage

sys.path.append(str(Path(__file__).parents[1] / "firmware"))  # flat, as it lies on the board
from desk.behind_port import FirmwareOnDesk, MicroPythonBoard

__all__ = ["FirmwareOnDesk", "FirmwareRig", "MicroPythonBoard"]

PULL_OFF_UM = np.array([1_000.0, 1_000.0, -1_000.0])
"""From its switches to where it counts from."""


class FirmwareRig:
    """As a `SimulatedRig`, but for play and ringing, which its carriage has not."""

    def __init__(
        self,
        design: SlideDesign,
        clock: Clock,
        scan: ScanSettings,
        slide_corner_um: tuple[float, float],
        firmware: FirmwareOnDesk | None = None,
    ) -> None:
        self.clock = clock
        self.firmware = firmware or FirmwareOnDesk()
        self.port = SimulatedPort(self.firmware, clock)
        self._mounting = scan.camera
        self._slide = Slide(design, scan.camera.pixel_size_um)
        self._true_stage = TrueStage(
            _FirmwareWay(self.firmware),
            scan.stage,
            np.random.default_rng(0),
            slide_corner_um=slide_corner_um,
        )

    def __enter__(self) -> Self:
        self.firmware.power_on(self.clock.monotonic_s())
        self.port.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.port.__exit__(kind, error, trace)

    def stage(self) -> GrblStage:
        """The driver of the stage; not yet open."""
        return GrblStage(self.port.url, clock=self.clock)

    def camera(self) -> SimulatedCamera:
        """The driver of the camera; not yet open."""
        return SimulatedCamera(
            mounting=self._mounting,
            slide=self._slide,
            stage=self._true_stage,
            light_at=self._light_at,
            clock=self.clock,
        )

    def fail_stage(self, fault: Fault, rng: np.random.Generator, now_s: float) -> bool:
        """Let the board restart, a switch's wire break, or its carriage not follow the pulses."""
        firmware = self.firmware
        if fault is Fault.RESET:
            firmware.reboot(now_s)
        elif fault is Fault.LIMIT:
            firmware.fail(broken_wires=1 << int(rng.integers(3)))
        elif self.is_moving(now_s):
            firmware.fail(is_stuck=True)
        return fault is not Fault.STALLED or firmware.is_stuck

    def mend_stage(self) -> None:
        """Join the wire, free the carriage."""
        self.firmware.fail()

    def is_moving(self, now_s: float) -> bool:
        """Whether it moved in the last hundredths of a second."""
        self.firmware.place_um(now_s)
        return now_s - self.firmware.moved_s() < _JUST_NOW_S

    def true_position(self, time_s: float) -> StagePoint:
        """Where the carriage really was, as a controller counts that has lost no step."""
        place = _FirmwareWay(self.firmware).positions_um(np.array(time_s))
        x_um, y_um, z_um = place.tolist()
        return StagePoint(x_um=x_um, y_um=y_um, z_um=z_um)

    def misdeeds(self, now_s: float) -> list[str]:
        """What it did since the last look and must never do."""
        self.firmware.place_um(now_s)
        problems, self.firmware.misdeeds = self.firmware.misdeeds, []
        return problems

    def _light_at(self, time_s: float) -> float:  # noqa: ARG002 - the lamp is always on
        self.firmware.place_um(self.clock.monotonic_s())
        return 1.0


_JUST_NOW_S = 0.02


class _FirmwareWay:
    """The way of its pulses, from where it counts after homing."""

    def __init__(self, firmware: FirmwareOnDesk) -> None:
        self._firmware = firmware

    def stretches(self) -> tuple[Stretch, ...]:
        return ()

    def positions_um(self, time_s: Floats) -> Floats:
        times_s, places_um = self._firmware.way_um(float(np.min(time_s)), float(np.max(time_s)))
        axes = np.asarray(places_um).T
        found = [np.interp(time_s, times_s, axis) for axis in axes]
        return np.asarray(np.stack(found, axis=-1) - PULL_OFF_UM)
