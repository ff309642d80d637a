"""A whole microscope without one: a controller behind a port, a stage, a camera over a slide."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from blurryscope.basics.clock import Clock
from blurryscope.devices.grbl_stage import GrblStage
from blurryscope.simulator.faults import Fault
from blurryscope.simulator.grbl_controller import GrblController
from blurryscope.simulator.machine_parts import MachineSettings, MachineState
from blurryscope.simulator.port import SimulatedPort, Wire, clean
from blurryscope.simulator.presets import AUTHENTIC, ScanSettings
from blurryscope.simulator.rig_camera import SimulatedCamera
from blurryscope.simulator.slide import Slide, SlideDesign
from blurryscope.simulator.true_stage import Inertia, TrueStage


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusSurface:
    """Where the slide is in focus: a plane in the stage's coordinates, which may creep."""

    z_um: float
    """At x = y = 0, as the microscope is switched on."""
    slope_x: float = 0.0
    slope_y: float = 0.0
    """By how much it rises per way; a slide that lies on a crumb may rise 2 µm in a millimetre."""
    drift_um_per_s: float = 0.0
    """By how much it rises with time: a stand that warms up, an objective that slips."""

    def z_at_um(self, x_um: float, y_um: float, on_for_s: float = 0.0) -> float:
        """The z of the focus at a place, so long after the microscope was switched on."""
        level_um = self.z_um + self.drift_um_per_s * on_for_s
        return level_um + self.slope_x * x_um + self.slope_y * y_um


@dataclass(frozen=True, slots=True, kw_only=True)
class RigSettings:
    """What the simulated microscope is made of."""

    scan: ScanSettings = AUTHENTIC
    """Its camera as it is mounted; of its stage the errors of screws, play, skew and vibration."""
    machine: MachineSettings = field(default_factory=MachineSettings)
    inertia: Inertia = field(default_factory=Inertia)
    slide_corner_um: tuple[float, float] = (8_000.0, 4_000.0)
    """Where the stage stands when the optical axis is over the corner of the slide."""
    has_checksums: bool = True
    """False simulates plain GRBL."""
    lamp_fraction: float | None = None
    """How bright the driver has the controller's lamp; None shines by itself, all the time."""
    focus: FocusSurface | None = None
    """None is a lens without a focus: z makes no difference."""
    seed: int = 0
    """Of this rig's own faults."""


class SimulatedRig:
    """Stands on the table, switched on, while in `with`.

    `stage()` and `camera()` give drivers that open like real ones; the stage's is the very driver
    that real stages have, on the other side of a pseudo-terminal.
    """

    def __init__(
        self,
        design: SlideDesign,
        clock: Clock,
        settings: RigSettings | None = None,
        *,
        to_controller: Wire = clean,
        to_host: Wire = clean,
    ) -> None:
        self.clock = clock
        self.settings = settings or RigSettings()
        scan = self.settings.scan
        self._rng = np.random.default_rng(self.settings.seed)
        self.slide = Slide(design, scan.camera.pixel_size_um)
        self.controller = GrblController(
            self.settings.machine,
            has_checksums=self.settings.has_checksums,
            boot_id=lambda: f"{self._rng.integers(2**32):08X}",
        )
        self.port = SimulatedPort(
            self.controller, clock, to_controller=to_controller, to_host=to_host
        )
        self.true_stage = TrueStage(
            self.controller.machine.path,
            scan.stage,
            self._rng,
            slide_corner_um=self.settings.slide_corner_um,
            inertia=self.settings.inertia,
        )
        self._on_since_s = 0.0
        self.pictures_began_s: list[float] = []
        """When the exposure of each picture that its cameras took began."""

    def __enter__(self) -> Self:
        self._on_since_s = self.clock.monotonic_s()
        self.controller.power_on(self._on_since_s)
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
        """The driver of the stage; not yet open. After plugging in again take a new one."""
        lamp_fraction = self.settings.lamp_fraction or 0.0
        return GrblStage(self.port.url, clock=self.clock, lamp_fraction=lamp_fraction)

    def camera(self) -> SimulatedCamera:
        """The driver of the camera; not yet open."""
        return SimulatedCamera(
            mounting=self.settings.scan.camera,
            slide=self.slide,
            stage=self.true_stage,
            light_at=self._light_at,
            out_of_focus_um=self._out_of_focus_um,
            note_began=self.pictures_began_s.append,
            clock=self.clock,
            seed=self.settings.seed,
        )

    def fail_stage(self, fault: Fault, rng: np.random.Generator, now_s: float) -> bool:
        """Let its controller restart, hit a limit or stall; False where that cannot be yet.

        An axis can only stall in a move.
        """
        if fault is Fault.RESET:
            self.controller.power_on(now_s)
            return True
        machine = self.controller.machine
        with machine.lock:
            machine.advance(now_s)
            if fault is Fault.LIMIT:
                machine.close_switch(now_s, axis=int(rng.integers(3)))
                return True
            machine.stall(now_s)
            return machine.state is MachineState.RUN

    def mend_stage(self) -> None:
        """Nothing: a switch that closed and an axis that hung did so for a moment."""

    def _out_of_focus_um(self, time_s: float) -> float:
        if self.settings.focus is None:
            return 0.0
        x_um, y_um, z_um = self.controller.machine.path.positions_um(np.array(time_s)).tolist()
        focus_um = self.settings.focus.z_at_um(x_um, y_um, time_s - self._on_since_s)
        return float(z_um - focus_um)

    def _light_at(self, time_s: float) -> float:
        machine = self.controller.machine
        with machine.lock:
            # A move that is due by now must be on its way before anybody looks.
            machine.advance(self.clock.monotonic_s())
            is_switched = self.settings.lamp_fraction is not None
            return machine.lamp_at(time_s) / 1000 if is_switched else 1.0
