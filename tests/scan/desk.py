"""A simulated microscope on a fast clock, its drivers opened, for tests that scan."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from blurryscope.devices.contracts import CameraFrame, CameraSettings
from blurryscope.scan.drive import Microscope
from blurryscope.scan.job import ScanJob
from blurryscope.scan.plan import Area, FieldOfView, ScanPlan
from blurryscope.scan.runner import Supervision
from blurryscope.scan.states import Controls, ScanStatus
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.machine_parts import MachineSettings
from blurryscope.simulator.presets import AUTHENTIC, ScanSettings
from blurryscope.simulator.rig import FocusSurface, RigSettings, SimulatedRig
from blurryscope.simulator.slide import Slide, SlideDesign

SCAN = replace(
    AUTHENTIC, camera=replace(AUTHENTIC.camera, rows=240, columns=320, pixel_size_um=1.44)
)
"""The authors' device at a quarter of its pixels."""
COARSE = replace(
    AUTHENTIC, camera=replace(AUTHENTIC.camera, rows=160, columns=212, pixel_size_um=2.16)
)
"""At a ninth of them: for tests that ask what is done, not how exactly."""
MACHINE = MachineSettings(
    start_um=(2_000.0, 2_000.0, -500.0), seek_um_per_s=10_000.0, touch_um_per_s=2_000.0
)
"""Homes in a moment."""
SLIDE = SlideDesign(
    name="TINY", rows=2, columns=3, core_diameter_um=600.0, pitch_um=900.0, margin_um=800.0, seed=3
)
AREA = Area(left_um=8000, top_um=4000, width_um=3400, height_um=2500)
"""All of the slide, where the rig puts it."""
THREE_LANES = ScanPlan(
    area=Area(left_um=8300, top_um=4400, width_um=2400, height_um=1150),
    field=FieldOfView(pixel_size_um=2.16, rows=160, columns=212, turn_deg=94.4),
    backlash_um=14.0,
)


@contextmanager
def rig_of(
    slide: SlideDesign = SLIDE, focus: FocusSurface | None = None, scan: ScanSettings = COARSE
) -> Iterator[SimulatedRig]:
    """The microscope on the table, switched on."""
    settings = RigSettings(scan=scan, machine=MACHINE, focus=focus)
    clock = FastClock(20, bound_lasts_s=60.0)
    with clock, SimulatedRig(slide, clock, settings) as rig:
        rig.slide = _drawn(slide, scan.camera.pixel_size_um)
        yield rig


@cache
def _drawn(slide: SlideDesign, pixel_size_um: float) -> Slide:
    """Its cores are drawn once for all tests."""
    return Slide(slide, pixel_size_um)


@contextmanager
def opened(rig: SimulatedRig) -> Iterator[Microscope]:
    """Its drivers, as after plugging in."""
    with ExitStack() as stack:
        stage = stack.enter_context(rig.stage())
        camera = stack.enter_context(rig.camera())
        camera.configure(CameraSettings(exposure_s=0.0078, gain=1.0, white_balance_k=4600))
        yield Microscope("simulated", stage, camera, rig.clock)


def job_in(folder: Path, plan: ScanPlan = THREE_LANES) -> ScanJob:
    rows, columns = plan.field.rows, plan.field.columns
    flat = np.ones((rows, columns), np.float32)
    core = plan.place(8800.0, 4800.0)
    return ScanJob(
        slide="TINY", repeat=1, plan=plan, folder=folder, flat=flat, landmark_hints=(core,)
    )


@dataclass
class Watcher:
    """Remembers what a scan told, and does something when it comes to a place."""

    controls: Controls = field(default_factory=Controls)
    told: list[ScanStatus] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)

    def __call__(self, status: ScanStatus) -> None:
        self.told.append(status)

    def take(self, frame: CameraFrame) -> None:
        self.frames.append(frame.index)

    def supervision(self) -> Supervision:
        return Supervision(self.controls, self, (self.take,), (self.starts_s.append,))

    @property
    def states(self) -> list[str]:
        """Every state once, in order."""
        names = [status.state.value for status in self.told]
        return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
