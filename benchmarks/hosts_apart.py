"""Hosts in a process of their own, really killed; disks of their own, really full.

The scan is the one that `blurryscope scan` drives, and its stage hangs on a pseudo-terminal of this
process, so that it lives on when the host is gone. The camera's frames go to the host through a
socket. All run in real time, or a little faster.
"""

import contextlib
import json
import math
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from benchmarks.faulty_scans import LOCKED, ControllerKind, FaultyScan, Told, told_of
from blurryscope.devices.contracts import CameraFrame, CameraSettings
from blurryscope.devices.errors import CameraFrozenError
from blurryscope.devices.grbl_stage import GrblStage
from blurryscope.scan.drive import Microscope
from blurryscope.scan.job import ScanJob
from blurryscope.scan.runner import Supervision, run_scan
from blurryscope.scan.states import Controls, OnStatus, ScanState, ScanStatus
from blurryscope.simulator.faults import Fault
from blurryscope.simulator.rig_camera import SimulatedCamera

DISK_BYTES = 16 * 2**20
"""Room for a scan of 2 MB while its parts are joined, and soon filled."""
HOST_LASTS_S = 300.0
"""Of real time; one that has not ended then hangs."""
PACE = 2.0
"""How much faster than the world: what a busy computer is late with counts so many times."""
HERE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class PacedClock:
    """The machine's clock, running faster; the same in every process that is told its pace."""

    pace: float

    def monotonic_s(self) -> float:
        return time.monotonic() * self.pace

    def utc_now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, for_s: float) -> None:
        time.sleep(max(for_s, 0.0) / self.pace)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOrder:
    """What a host has to know."""

    port: str
    camera: str
    """Path of the socket on which the frames come."""
    job: ScanJob
    pace: float


class ScanApart(FaultyScan):
    """The host is another process: it can be killed, or its disk filled."""

    def __init__(
        self,
        folder: Path,
        controller: ControllerKind,
        fault: Fault,
        rng: np.random.Generator,
    ) -> None:
        if fault not in {Fault.KILLED, Fault.FULL}:
            raise ValueError(f"fault must be {Fault.KILLED} or {Fault.FULL}, got {fault}")
        super().__init__(folder, controller, fault, rng, PacedClock(PACE))
        self._when_struck_s = math.inf
        self._host: subprocess.Popen[str] | None = None
        self._disk: SmallDisk | None = None

    def _switch_on(self, stack: ExitStack) -> None:
        if self.fault is Fault.FULL:
            self._disk = stack.enter_context(SmallDisk(self._folder))
            kept, self._folder = self._folder / "kept", self._disk.folder
            stack.callback(self._keep, kept)
        stack.enter_context(self._rig)
        # Names of sockets are short (108 bytes): a scan's folder may lie too deep for one.
        own = stack.enter_context(tempfile.TemporaryDirectory(prefix="camera-"))
        self._socket = str(Path(own) / "socket")
        stack.enter_context(_served_camera(self._rig.camera(), self._socket))

    def _keep(self, target: Path) -> None:
        """Its disk goes with its holder; what broke a promise is to be looked at."""
        if self.problems:
            shutil.copytree(self._folder, target)

    @property
    def _struck_s(self) -> float:
        return self._when_struck_s

    def _first_attempt(self) -> Told:
        told = Told()
        with self._scanning() as lines:
            for line in lines:
                told = self._heard(line, told)
                self._strike_if_due(line)
        return told

    def _attempt(self) -> Told:
        told = Told(name="silent", words="the host ended without a word", is_clear=False)
        with self._scanning() as lines:
            for line in lines:
                told = self._heard(line, told)
        return told

    def _repair(self) -> None:
        if self._disk is not None:
            self._disk.free()

    @contextmanager
    def _scanning(self) -> Iterator[Iterator[dict[str, object]]]:
        """A host that scans, and what it says line by line until it is no more."""
        order = HostOrder(port=self._rig.port.url, camera=self._socket, job=self._job, pace=PACE)
        command = [sys.executable, "-m", "benchmarks.hosts_apart"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE
        ) as host:
            self._host = host
            hangs = threading.Timer(HOST_LASTS_S, host.kill)
            hangs.start()
            assert host.stdin is not None
            assert host.stdout is not None
            host.stdin.write(pickle.dumps(order).hex())
            host.stdin.close()
            yield (json.loads(line) for line in host.stdout if line.endswith("\n"))
            hangs.cancel()

    def _heard(self, line: dict[str, object], told: Told) -> Told:
        match line:
            case {"frames": int(count)}:
                self._filmed_count = count
            case {"state": str(state)}:
                self._states.append(ScanState(state))
            case {"name": str(name), "words": str(words), "is_clear": bool(is_clear)}:
                return Told(name=name, words=words, is_clear=is_clear)
        return told

    def _strike_if_due(self, line: dict[str, object]) -> None:
        moment = self._strike_at
        if line == {"state": moment}:
            self._strike()
        elif "ready" in line and not isinstance(moment, ScanState):
            timer = threading.Timer(moment / PACE, self._strike)
            timer.daemon = True
            timer.start()

    def _strike(self) -> None:
        """Only a host that lives can be killed, and a disk that is written to be filled."""
        if self._host is None or self._host.poll() is not None or self._struck_s < math.inf:
            return
        self._when_struck_s = self._clock.monotonic_s()
        if self._disk is None:
            self._host.kill()
        else:
            self._disk.fill()


class SmallDisk:
    """A file system of a few MB while in `with`, for anybody: mounted in a namespace of its own.

    Linux only, where users may make namespaces; elsewhere it says so. Others reach it through the
    process that holds it. No other way to a full disk needs neither root nor an image that must be
    formatted: a limit on the size of files refuses one file that grows, not all of them.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    def __enter__(self) -> Self:
        self._place.mkdir(parents=True)
        mount = f'mount -t tmpfs -o size={DISK_BYTES} none "$0" && echo mounted && exec sleep 3600'
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(self._place)]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "mounted\n":
            raise OSError(f"no file system of its own for {self._place}: see what unshare says")
        self.folder = Path(f"/proc/{self._holder.pid}/root{self._place.absolute()}/scan")
        self.folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.kill()
        self._holder.communicate()

    def fill(self) -> None:
        """Leave no room at all."""
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(2**16))

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.folder.with_name("filler")


@contextmanager
def _served_camera(camera: SimulatedCamera, address: str) -> Iterator[None]:
    """Film for whoever asks, one at a time, as a camera on a cable does."""
    Path(address).unlink(missing_ok=True)
    with Listener(address) as listener:
        server = threading.Thread(target=_serve, args=(listener, camera), daemon=True)
        server.start()
        yield
        with Client(address) as goodbye:
            goodbye.send("goodbye")
        server.join()
    Path(address).unlink(missing_ok=True)


def _serve(listener: Listener, camera: SimulatedCamera) -> None:
    camera.__enter__()
    while True:
        with listener.accept() as line, contextlib.suppress(OSError, EOFError):
            asked = line.recv()
            if asked == "goodbye":
                break
            if isinstance(asked, CameraSettings):
                line.send(camera.configure(asked))
            elif asked == "grab":
                line.send(camera.grab())
            else:
                _film(camera, line)
    camera.__exit__(None, None, None)


def _film(camera: SimulatedCamera, line: Connection) -> None:
    with contextlib.closing(camera.frames()) as frames:
        for frame in frames:
            line.send(frame)


class DistantCamera:
    """A `Camera` whose frames come through a socket; each request is a connection of its own."""

    name = "simulated camera"

    def __init__(self, address: str) -> None:
        self._address = address
        self.settings = LOCKED

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open between requests."""

    def configure(self, wanted: CameraSettings) -> CameraSettings:
        with Client(self._address) as line:
            line.send(wanted)
            self.settings = line.recv()
        return self.settings

    def frames(self) -> Generator[CameraFrame, None, None]:
        with Client(self._address) as line:
            line.send("film")
            while True:
                yield self._taken(line)

    def grab(self) -> CameraFrame:
        with Client(self._address) as line:
            line.send("grab")
            return self._taken(line)

    def _taken(self, line: Connection) -> CameraFrame:
        try:
            frame: CameraFrame = line.recv()
        except (EOFError, OSError) as error:
            raise CameraFrozenError(
                self.name, "sends no more pictures", "Plug the camera in again"
            ) from error
        return frame


def main() -> None:
    """Be a host: read an order, scan, and say how it goes, one JSON object a line."""
    order: HostOrder = pickle.loads(bytes.fromhex(sys.stdin.read()))
    clock, count = PacedClock(order.pace), 0
    _say(ready=True)

    def counted(frame: CameraFrame) -> None:  # noqa: ARG001 - as every taker
        nonlocal count
        count += 1
        _say(frames=count)

    told = Told()
    try:
        with (
            GrblStage(order.port, clock=clock) as stage,
            DistantCamera(order.camera) as camera,
        ):
            camera.configure(LOCKED)
            scope = Microscope("simulated", stage, camera, clock)
            run_scan(scope, order.job, Supervision(Controls(), _new_states_said(), (counted,)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user is told
        told = told_of(error)
    _say(name=told.name, words=told.words, is_clear=told.is_clear)


def _new_states_said() -> OnStatus:
    last: ScanState | None = None

    def hear(status: ScanStatus) -> None:
        nonlocal last
        if status.state is not last:
            last = status.state
            _say(state=status.state)

    return hear


def _say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
