"""Scans whose camera or disk fails: the stage rests, the film is kept, the user is told."""

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
from blurryscope.devices.errors import CameraFrozenError, DeviceError, DeviceGoneError
from blurryscope.scan.journal import read_journal
from blurryscope.scan.runner import run_scan
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


ERRORS: dict[Fault, type[BlurryScopeError]] = {
    Fault.FROZEN: CameraFrozenError,
    Fault.GONE: DeviceGoneError,
    Fault.FULL: OutputError,
}


@dataclass
class StrikeAt:
    """Takes frames, and lets the fault happen at one of them."""

    frame: int
    strike: Callable[[], None]

    def __call__(self, frame: CameraFrame) -> None:
        if frame.index == self.frame:
            self.strike()


@contextmanager
def _files_of_any_size() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


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
        strikes: dict[Fault, Callable[[], None]] = {
            Fault.FROZEN: lambda: setattr(camera.faults, "is_frozen", True),
            Fault.GONE: lambda: setattr(camera.faults, "is_gone", True),
            Fault.FULL: _fill_disk(part),
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
def test_a_scan_whose_camera_or_disk_fails_is_interrupted_and_kept(
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
    assert sum(told.values()) == 24
    assert len(told) == 3
