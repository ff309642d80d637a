"""Scans whose camera, disk or stage fails: the stage rests, the film is kept, the user is told."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.video import Video
from blurryscope.basics.errors import BlurryScopeError, OutputError
from blurryscope.devices.contracts import CameraFrame
from blurryscope.devices.errors import (
    CameraFrozenError,
    DeviceError,
    DeviceGoneError,
    StageStalledError,
)
from blurryscope.scan.journal import read_journal
from blurryscope.scan.runner import run_scan
from blurryscope.simulator.machine_parts import MachineState
from blurryscope.simulator.rig import SimulatedRig
from blurryscope.simulator.rig_camera import SimulatedCamera
from tests.scan.desk import Watcher, job_in, opened, rig_of

if sys.platform == "win32":
    pytest.skip("the size of files cannot be limited here", allow_module_level=True)
import resource


class Fault(StrEnum):
    """What goes wrong."""

    FROZEN = "camera frozen"
    GONE = "camera gone"
    FULL = "disk full"
    STALLED = "axis stalled"


ERRORS: dict[Fault, type[BlurryScopeError]] = {
    Fault.FROZEN: CameraFrozenError,
    Fault.GONE: DeviceGoneError,
    Fault.FULL: OutputError,
    Fault.STALLED: StageStalledError,
}


@dataclass
class StrikeAt:
    """Takes frames, and lets the fault happen at one of them, or as soon after as it can."""

    frame: int
    strike: Callable[[], bool | None]
    """False where it could not happen yet."""
    is_struck: bool = False

    def __call__(self, frame: CameraFrame) -> None:
        if frame.index >= self.frame and not self.is_struck:
            self.is_struck = self.strike() is not False


@contextmanager
def _files_of_any_size() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def _stall(rig: SimulatedRig) -> Callable[[], bool | None]:
    """The pulses stop in mid-move, and the controller goes on saying that it runs."""

    def stall() -> bool:
        machine = rig.controller.machine
        with machine.lock:
            machine.stall(rig.clock.monotonic_s())
            return machine.state is MachineState.RUN

    return stall


def _fill_disk(film: Path) -> Callable[[], None]:
    """From now on no file grows beyond what the film has now: a disk without room."""

    def fill() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (film.stat().st_size + 1_000, hard))

    return fill


def _ends_well(folder: Path, fault: Fault, seed: int) -> str:
    """Scan into `folder` with a fault at a random frame; the name of what the user is told."""
    frame = int(np.random.default_rng((seed, list(Fault).index(fault))).integers(5, 70))
    part = folder / "parts" / "part-001.mkv"
    with rig_of() as rig, _files_of_any_size(), opened(rig) as scope:
        camera = scope.camera
        assert isinstance(camera, SimulatedCamera)
        strikes: dict[Fault, Callable[[], bool | None]] = {
            Fault.FROZEN: lambda: setattr(camera.faults, "is_frozen", True),
            Fault.GONE: lambda: setattr(camera.faults, "is_gone", True),
            Fault.FULL: _fill_disk(part),
            Fault.STALLED: _stall(rig),
        }
        watcher = Watcher()
        supervision = watcher.supervision()
        striking = StrikeAt(frame, strikes[fault])
        supervised = type(supervision)(
            controls=supervision.controls, on_status=supervision.on_status, takers=(striking,)
        )
        with pytest.raises(ERRORS[fault]) as told:
            run_scan(scope, job_in(folder), supervised)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        machine = rig.controller.machine
        assert machine.path.speed_at(rig.clock.monotonic_s()) == 0
        assert all(move.is_homing or move.is_homed for move in machine.ordered)
    assert str(told.value).endswith(".")
    if isinstance(told.value, DeviceError):
        assert told.value.remedy
    assert watcher.states[-1] == "interrupted"
    assert read_journal(folder / "journal.jsonl")[-1].facts["state"] == "interrupted"
    with Video(part) as film:
        assert len(list(film)) >= frame - 2
    return type(told.value).__name__


@pytest.mark.parametrize("fault", list(Fault))
def test_a_scan_whose_camera_disk_or_stage_fails_is_interrupted_and_kept(
    tmp_path: Path, fault: Fault
) -> None:
    _ends_well(tmp_path, fault, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_so_are_scans_that_fail_at_any_moment(tmp_path: Path) -> None:
    told = Counter(
        (fault, _ends_well(tmp_path / f"{fault.name}-{seed}", fault, seed))
        for seed in range(1, 9)
        for fault in Fault
    )
    assert sum(told.values()) == 8 * len(Fault)
    assert len(told) == len(Fault)
