"""Lets one thing go wrong with a simulated microscope and what it writes, and mends it again."""

import contextlib
import math
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.faults import WIRE_FAULTS, Fault, noisy_wires
from blurryscope.simulator.port import SimulatedPort, clean
from blurryscope.simulator.rig_camera import SimulatedCamera


class FaultyRig(Protocol):
    """A microscope whose cable and stage can fail, such as a `SimulatedRig`."""

    port: SimulatedPort

    def fail_stage(self, fault: Fault, rng: np.random.Generator, now_s: float) -> bool:
        """Let its controller restart, hit a limit or stall; False where that cannot be yet."""
        ...

    def mend_stage(self) -> None:
        """Take back what lasts of it."""
        ...


class Striker:
    """Lets a fault happen once, and takes it away again.

    A host that is killed says nothing more to the stage, and its files stay as they were: its
    threads go on here, unheard, until they notice; `leave_as_killed` then takes back what they
    wrote. A full disk is one on which no file of this process may grow. Not on Windows, where the
    size of files cannot be limited.

    Parameters
    ----------
    rig, clock
        The microscope and what it runs on.
    rng
        What the fault is like where faults of its kind differ.
    folder
        Where the host writes; it need not exist.
    """

    def __init__(
        self,
        rig: FaultyRig,
        clock: FastClock,
        fault: Fault,
        rng: np.random.Generator,
        folder: Path,
    ) -> None:
        self.fault = fault
        self.struck_s = math.inf
        """When it happened."""
        self.camera: SimulatedCamera | None = None
        """Whoever opens one tells it here; without one, cameras do not fail."""
        self._rig, self._clock, self._rng, self._folder = rig, clock, rng, folder
        self._as_killed = folder.with_name(f"as-killed-{folder.name}")
        self._file_size = resource.getrlimit(resource.RLIMIT_FSIZE)

    @property
    def has_struck(self) -> bool:
        return self.struck_s < math.inf

    @property
    def is_killed(self) -> bool:
        """Whether the host is no more."""
        return self.has_struck and self.fault is Fault.KILLED

    @contextmanager
    def striking_at(self, time_s: float) -> Iterator[None]:
        """Strike at this time of the clock, or as soon after as it can happen; mend at the end."""

        def look(now_s: float) -> None:
            if now_s >= time_s:
                self.strike()

        self._clock.follow(self, look)
        try:
            yield
        finally:
            self._clock.let_go(self)
            self._mend()

    def strike(self) -> None:
        """Let it happen now, if it can: an axis stalls in a move, a camera fails once open."""
        if not self.has_struck and self._strike(now_s := self._clock.monotonic_s()):
            self.struck_s = now_s

    def _mend(self) -> None:
        """Cameras come anew."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._file_size)
        self._rig.mend_stage()
        port = self._rig.port
        port.to_controller = port.to_host = clean
        port.unplug()
        port.plug_in()

    def leave_as_killed(self) -> None:
        """Once the host's threads are over: leave the files that a killed host would have left."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._as_killed.exists():
            self._as_killed.rename(self._folder)

    def _strike(self, now_s: float) -> bool:
        """False where it cannot happen yet."""
        port = self._rig.port
        if self.fault in WIRE_FAULTS:
            port.to_controller, port.to_host = noisy_wires(self.fault, self._rng, now_s)
        elif self.fault is Fault.UNPLUGGED:
            port.unplug()
        elif self.fault is Fault.KILLED:
            port.to_controller = port.to_host = _cut
            _copy_as_it_lies(self._folder, self._as_killed)
        elif self.fault is Fault.FULL:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._file_size[1]))
        elif self.fault in {Fault.FROZEN, Fault.GONE}:
            return self._fail_camera()
        else:
            return self._rig.fail_stage(self.fault, self._rng, now_s)
        return True

    def _fail_camera(self) -> bool:
        if self.camera is None:
            return False
        self.camera.faults.is_frozen = self.fault is Fault.FROZEN
        self.camera.faults.is_gone = self.fault is Fault.GONE
        return True


def _cut(sent: bytes, now_s: float) -> bytes:  # noqa: ARG001 - a cable that leads nowhere
    return b""


def _copy_as_it_lies(folder: Path, target: Path) -> None:
    """Copy what is on the disk; files that go meanwhile are gone."""
    if folder.exists():
        with contextlib.suppress(shutil.Error):
            shutil.copytree(folder, target)
