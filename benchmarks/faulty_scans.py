"""Scans on a simulated microscope with one fault to come, and the promises that they must keep."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, Self

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.firmware_rig import FirmwareOnDesk, FirmwareRig, MicroPythonBoard
from blurryscope.basics.clock import Clock
from blurryscope.basics.errors import BlurryScopeError, InputError
from blurryscope.devices.contracts import CameraFrame, CameraSettings
from blurryscope.devices.errors import DeviceError
from blurryscope.scan.drive import Microscope
from blurryscope.scan.film_parts import PARTS
from blurryscope.scan.filming import Taker
from blurryscope.scan.focus import FocusPlane
from blurryscope.scan.job import JOURNAL, ScanJob
from blurryscope.scan.journal import Entry, read_journal
from blurryscope.scan.past import read_past
from blurryscope.scan.plan import Area, FieldOfView, Motion, ScanPlan
from blurryscope.scan.runner import Supervision, run_scan
from blurryscope.scan.states import Controls, ScanState, ScanStatus
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.faults import WIRE_FAULTS, Fault
from blurryscope.simulator.machine_parts import MachineSettings
from blurryscope.simulator.misdeeds import MisdeedsWatch
from blurryscope.simulator.presets import AUTHENTIC
from blurryscope.simulator.rig import RigSettings, SimulatedRig
from blurryscope.simulator.slide import SlideDesign
from blurryscope.simulator.striker import Striker

ControllerKind = Literal["protocol", "grbl", "firmware", "micropython"]
"""Our protocol and plain GRBL, simulated; or the firmware's own code, in this process or in
MicroPython."""
OWN_CODE: tuple[ControllerKind, ...] = ("firmware", "micropython")
AT_A_STATE_SHARE = 0.25
"""Of the faults strike as the scan enters a state, some of which last next to no time."""
CAMERA = replace(AUTHENTIC.camera, rows=160, columns=212, pixel_size_um=2.16)
"""The authors' device at a ninth of its pixels."""
SCAN = replace(AUTHENTIC, camera=CAMERA)
LOCKED = CameraSettings(exposure_s=0.0078, gain=1.0, white_balance_k=4600)
FLAT_FRAMES = 16
SLIDE = SlideDesign(
    name="TINY", rows=1, columns=2, core_diameter_um=600.0, pitch_um=900.0, margin_um=500.0, seed=3
)
CORNER_UM = (2_500.0, 2_000.0)
PLAN = ScanPlan(
    area=Area(left_um=2_700, top_um=2_000, width_um=1_500, height_um=1_100),
    field=FieldOfView(pixel_size_um=2.16, rows=160, columns=212, turn_deg=94.4),
    motion=Motion(rest_s=0.3),
    backlash_um=14.0,
)
MACHINE = MachineSettings(
    travel_um=(8_000.0, 6_000.0, 2_000.0),
    start_um=(1_500.0, 1_200.0, -300.0),
    seek_um_per_s=10_000.0,
    touch_um_per_s=2_000.0,
)
BELOW_SWITCH_UM = 500.0
"""Where the focus is, from where homing leaves z."""
SPEED = 80.0
"""Of the clock, at most."""
LASTS_S = 11.0
"""A scan from opening to its end takes 11.3 to 12.0 s, whatever controls it; faults strike within.
"""
PATIENCE_S = 60.0
"""From the fault to the end of the attempt: homing, twice a link that is asked again and again."""
TRIES = 3
"""With all mended, until the scan is done."""
OFF_UM: dict[ControllerKind, float] = {
    "protocol": 5.0, "grbl": 5.0, "firmware": 45.0, "micropython": 45.0
}  # fmt: skip
"""How far a lane may lie from its plan: two steps, and what plain GRBL's zero is off. The firmware
waits for its switches to settle while it homes, here four times as fast as usual."""
LEAST_FRAMES = 0.8
"""Of those that a lane should have; the journal must tell where there are fewer."""
TIMED_S = 0.1
"""By so much the host may be off in what it saw of a lane's beginning and end."""
TOO_LATE = "nothing, it came too late"
KILLED = "killed"
UNWRITTEN_FRAMES = 3
"""What a killed program, or a full disk, may leave out at the end of a film, where the stage rests:
a Matroska file takes its frames in clusters of 4 kB at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the user was told at the end of an attempt; of one that went well only empty texts."""

    name: str = ""
    words: str = ""
    is_clear: bool = True
    """Whether it says where, what and what to do, and is no fault of the program."""


def told_of(error: BaseException) -> Told:
    """What the command line says of an error."""
    match error:
        case DeviceError() | InputError():
            is_clear = bool(error.where and error.problem and error.remedy)
        case BlurryScopeError():
            is_clear = str(error).endswith(".")
        case OSError():  # the command line adds what to check
            is_clear = bool(error.filename)
        case _:
            is_clear = False
    return Told(name=type(error).__name__, words=str(error), is_clear=is_clear)


class FaultyScan(ABC):
    """A microscope with one fault to come, and a list of the promises that were broken.

    Switched on while in `with`. Where the host runs, and how the fault comes about, say its kinds.
    """

    def __init__(
        self,
        folder: Path,
        controller: ControllerKind,
        fault: Fault,
        rng: np.random.Generator,
        clock: Clock,
        board: MicroPythonBoard | None = None,
    ) -> None:
        is_plain = controller == "grbl"
        self.problems: list[str] = []
        self.fault, self.controller, self._clock = fault, controller, clock
        self._machine_settings = replace(
            MACHINE,
            counts_below_zero=is_plain,
            watchdog_s=None if is_plain else MACHINE.watchdog_s,
        )
        self._rig: SimulatedRig | FirmwareRig
        self._watch: MisdeedsWatch | FirmwareRig
        if controller in OWN_CODE:
            firmware = FirmwareOnDesk(board)
            self._rig = self._watch = FirmwareRig(SLIDE, clock, SCAN, CORNER_UM, firmware)
        else:
            simulated = self._rig = SimulatedRig(SLIDE, clock, self._rig_settings())
            self._watch = MisdeedsWatch(simulated.controller.machine)
        self._folder = folder
        self._strike_at = _random_moment(rng)
        self._states: list[ScanState] = []
        self._filmed_count = 0
        """By the host, while it lived."""

    def _rig_settings(self) -> RigSettings:
        return RigSettings(
            scan=SCAN,
            machine=self._machine_settings,
            has_checksums=self.controller == "protocol",
            slide_corner_um=CORNER_UM,
        )

    @property
    def _job(self) -> ScanJob:
        return job_in(self._folder / "repeat-1", self._machine_settings)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._switch_on(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def scan_with_fault(self) -> Told:
        """The first attempt: what the user is told, nothing where the scan was done."""
        told = self._first_attempt()
        self._look_whether_it_rests(told)
        self._clock.sleep((self._machine_settings.watchdog_s or 0.0) + 3.0)
        self.problems += self._watch.misdeeds(self._clock.monotonic_s())
        if not self._is_killed and told.name:
            self._look_at_the_message(told)
            self._look_at_the_state()
        self._repair()
        self._look_at_the_film()
        if self._is_killed:
            return Told(name=KILLED)
        return told if told.name or self._struck_s < math.inf else Told(name=TOO_LATE)

    def scan_to_the_end(self) -> str:
        """The same call, until the scan is done; says how it went on."""
        past = read_past(self._job.folder / JOURNAL)
        end = "began anew"
        if past.is_done:
            end = "was done"
        elif past.has_lanes and not past.went_astray:
            end = "went on"
        for _ in range(TRIES):
            told = self._attempt()
            if not told.name:
                break
        else:
            self.problems.append(f"not done after {TRIES} tries: {told.words}")
            return told.name
        self._clock.sleep(1.0)
        self.problems += self._watch.misdeeds(self._clock.monotonic_s())
        self.problems += self._wrong_in_the_scan()
        return end

    # What its kinds are about

    @abstractmethod
    def _switch_on(self, stack: ExitStack) -> None:
        """Start clock and rig, until the stack is closed."""

    @abstractmethod
    def _first_attempt(self) -> Told:
        """Scan, while the fault strikes at its moment."""

    @abstractmethod
    def _attempt(self) -> Told:
        """Open the devices and scan, as the command does."""

    @abstractmethod
    def _repair(self) -> None:
        """Mend what lasts, and leave the files as the fault left them."""

    @property
    @abstractmethod
    def _struck_s(self) -> float:
        """When the fault came; infinite before."""

    @property
    def _is_killed(self) -> bool:
        return self.fault is Fault.KILLED and self._struck_s < math.inf

    # Promises

    def _look_whether_it_rests(self, told: Told) -> None:
        """At the end of an attempt; a stage that cannot be reached is its watchdog's affair."""
        now_s = self._clock.monotonic_s()
        can_be_reached = self.fault not in {*WIRE_FAULTS, Fault.UNPLUGGED, Fault.KILLED}
        if can_be_reached and self._watch.is_moving(now_s):
            self.problems.append("it moved when the command ended")
        late_s = now_s - self._struck_s
        if told.name and not self._is_killed and late_s > PATIENCE_S:
            self.problems.append(f"told only after {late_s:.0f} s")

    def _look_at_the_message(self, told: Told) -> None:
        if not told.is_clear:
            self.problems.append(f"no clear message: {told.name}, {told.words!r}")

    def _look_at_the_state(self) -> None:
        if self._states and self._states[-1] is not ScanState.INTERRUPTED:
            self.problems.append(f"ended in the state {self._states[-1]}")
        entries = read_journal(self._job.folder / JOURNAL)
        states = [entry.facts["state"] for entry in entries if entry.event == "state"]
        can_be_written = self.fault is not Fault.FULL
        if states and can_be_written and states[-1] != ScanState.INTERRUPTED:
            self.problems.append(f"the journal ends with the state {states[-1]}")

    def _look_at_the_film(self) -> None:
        """What was filmed before the fault can be read, and all that counts."""
        parts = read_past(self._job.folder / JOURNAL).parts
        if self._job.film.is_file() or not parts:
            return
        count = _frames_in(self._job.folder / PARTS / parts[-1].file)
        if count < self._filmed_count - self._unwritten:
            self.problems.append(f"{count} of {self._filmed_count} frames were kept")

    @property
    def _unwritten(self) -> int:
        return UNWRITTEN_FRAMES if self.fault in {Fault.KILLED, Fault.FULL} else 0

    def _wrong_in_the_scan(self) -> Iterator[str]:
        """Hold what is said to be done against the way of the carriage, lane by lane."""
        job = self._job
        entries = read_journal(job.folder / JOURNAL)
        kept = sum(part.kept_frames for part in read_past(job.folder / JOURNAL).parts)
        count = _frames_in(job.film)
        if not kept - self._unwritten <= count <= kept:
            yield f"the film has {count} frames, the journal tells of {kept}"
        warned = {entry.facts["lane"] for entry in entries if entry.event == "warning"}
        for lane in job.plan.lanes():
            begin, at_end, end = (
                _last(entries, event, lane.index)
                for event in ("lane begins", "lane is at its end", "lane ends")
            )
            for entry, place in ((begin, lane.start), (at_end, lane.end)):
                true = self._watch.true_position(_number(entry, "stage_s"))
                if true.distance_um(place) > OFF_UM[self.controller]:
                    yield f"lane {lane.index}, {entry.event}: at {true}, not {place}"
            travel_s = _number(at_end, "stage_s") - _number(begin, "stage_s")
            frames = _number(end, "frame") - _number(begin, "frame")
            due = travel_s * CAMERA.frame_rate_hz  # those of the rest may be missing
            if frames < LEAST_FRAMES * due and lane.index not in warned:
                yield f"lane {lane.index} has {frames:.0f} frames of {due:.0f}, and nobody says so"
            if travel_s < job.plan.motion.travel_s(lane.length_um) - TIMED_S:
                yield f"lane {lane.index} took {travel_s:.2f} s"


class ScanHere(FaultyScan):
    """The host is a thread of this process, on a clock that runs as fast as the computer can.

    One that is killed is never heard again, and its files stay as they were; on a full disk no file
    of this process may grow.
    """

    def __init__(
        self,
        folder: Path,
        controller: ControllerKind,
        fault: Fault,
        rng: np.random.Generator,
        board: MicroPythonBoard | None = None,
    ) -> None:
        self._fast = FastClock(SPEED, bound_lasts_s=60.0)
        self._board = board
        super().__init__(folder, controller, fault, rng, self._fast, board)
        self._striker = Striker(self._rig, self._fast, fault, rng, self._job.folder)

    def _switch_on(self, stack: ExitStack) -> None:
        if self._board is not None:
            stack.enter_context(self._board)
        stack.enter_context(self._fast)
        stack.enter_context(self._rig)

    @property
    def _struck_s(self) -> float:
        return self._striker.struck_s

    def _first_attempt(self) -> Told:
        moment = self._strike_at
        at_s = math.inf if isinstance(moment, ScanState) else self._clock.monotonic_s() + moment
        with self._striker.striking_at(at_s):
            return self._scanned((self._count,))

    def _attempt(self) -> Told:
        return self._scanned(())

    def _repair(self) -> None:
        """Its cable, stage and disk were mended at the end of the attempt."""
        if self._striker.is_killed:
            self._striker.leave_as_killed()

    def _scanned(self, takers: tuple[Taker, ...]) -> Told:
        supervision = Supervision(Controls(), self._hear, takers)
        try:
            with ExitStack() as stack:
                stage = stack.enter_context(self._rig.stage())
                camera = stack.enter_context(self._rig.camera())
                self._striker.camera = camera
                camera.configure(LOCKED)
                scope = Microscope("simulated", stage, camera, self._clock)
                run_scan(scope, self._job, supervision)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user is told
            return told_of(error)
        return Told()

    def _hear(self, status: ScanStatus) -> None:
        self._states.append(status.state)
        if status.state is self._strike_at:
            self._striker.strike()

    def _count(self, frame: CameraFrame) -> None:  # noqa: ARG002 - as every taker
        self._filmed_count += not self._striker.is_killed


def _random_moment(rng: np.random.Generator) -> float | ScanState:
    """When a fault strikes: so many seconds after the beginning, or as a state is entered."""
    moment = rng.uniform(0.0, LASTS_S)
    states = (ScanState.HOMING, ScanState.CHECKING, ScanState.SCANNING, ScanState.JOINING)
    state = states[int(rng.integers(len(states)))]
    return state if rng.random() < AT_A_STATE_SHARE else moment


@cache
def _flat_field() -> NDArray[np.float32]:
    """What the camera sees of empty glass, (row, col), mean 1; as calibration leaves it."""
    settings = RigSettings(scan=SCAN, machine=MACHINE)
    with (
        FastClock(SPEED) as clock,
        SimulatedRig(SLIDE, clock, settings) as rig,
        rig.camera() as camera,
    ):
        camera.configure(LOCKED)
        # Where it was switched on there is only glass.
        lumas = [camera.grab().luma().astype(np.float32) for _ in range(FLAT_FRAMES)]
    flat = np.mean(lumas, axis=0)
    return np.asarray(flat / flat.mean(), np.float32)


def job_in(folder: Path, machine: MachineSettings) -> ScanJob:
    """The scan of the slide by a controller that counts as this one does."""
    x_um, y_um, z_um = machine.homed_um.tolist()
    area = replace(PLAN.area, left_um=PLAN.area.left_um + x_um, top_um=PLAN.area.top_um + y_um)
    focus = FocusPlane(z_um=z_um - BELOW_SWITCH_UM)
    plan = replace(PLAN, area=area, focus=focus)
    return ScanJob(slide="TINY", repeat=1, plan=plan, folder=folder, flat=_flat_field())


def _frames_in(film: Path) -> int:
    """How many pictures of a film can be read; 0 where it has not begun."""
    try:
        with av.open(str(film)) as container:
            packets = container.demux(container.streams.video[0])
            return sum(packet.pts is not None for packet in packets)
    except (av.error.FFmpegError, IndexError):
        return 0


def _last(entries: Sequence[Entry], event: str, lane: int) -> Entry:
    return [e for e in entries if e.event == event and e.facts["lane"] == lane][-1]


def _number(entry: Entry, name: str) -> float:
    return float(str(entry.facts[name]))
