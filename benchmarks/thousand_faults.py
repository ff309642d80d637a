"""A thousand whole scans on the simulated microscope, one random fault each, and their ends.

    python benchmarks/thousand_faults.py OUT [--count N] [--seed S] [--minutes M]

Each scan homes, finds its landmark, films three lanes while frames are kept, looks at the landmark
again and joins its film, on a clock that runs as fast as the computer can. At a random moment one
thing goes wrong: in the cable, the controller, the stage, the camera, the disk, or the computer is
gone. Then the fault is mended and the same call is given again, until the scan is done. Three in
four have our protocol, one plain GRBL. Prints a table of faults and ends; ends with 1 if a promise
was broken, and keeps the folders of those scans in OUT. Not on Windows, where the size of files
cannot be limited.
"""

import argparse
import faulthandler
import math
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

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

PLAIN_GRBL_SHARE = 0.25
AT_A_STATE_SHARE = 0.25
"""Of the faults strike as the scan enters a state, some of which last next to no time."""
CAMERA = replace(AUTHENTIC.camera, rows=160, columns=212, pixel_size_um=2.16)
"""The authors' device at a ninth of its pixels."""
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
"""A scan from opening to its end; faults strike within."""
PATIENCE_S = 60.0
"""From the fault to the end of the attempt: homing, twice a link that is asked again and again."""
TRIES = 3
"""With all mended, until the scan is done."""
OFF_UM = 5.0
"""How far a lane may lie from its plan: two steps, and what plain GRBL's zero is off."""
LEAST_FRAMES = 0.8
"""Of those that a lane should have; the journal must tell where there are fewer."""
TIMED_S = 0.1
"""By so much the host may be off in what it saw of a lane's beginning and end."""
TOO_LATE = "nothing, it came too late"
UNWRITTEN_FRAMES = 3
"""What a killed program, or a full disk, may leave out at the end of a film, where the stage rests:
a Matroska file takes its frames in clusters of 4 kB at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of one scan with one fault."""

    seed: int
    controller: str
    fault: Fault
    told: str
    """What the user was told: the error's name, `killed`, or nothing where the scan went on."""
    message: str
    end: str
    """How the same command ended once all was mended."""
    problems: tuple[str, ...]
    """Promises that were broken."""


def main() -> int:
    """Run all trials, print the table, and give 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", type=Path, help="a new folder; keeps what broke a promise")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first scan; others follow")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no scan after that")
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    trials: list[Trial] = []
    until_s = time.monotonic() + 60 * given.minutes
    for seed in range(given.seed, given.seed + given.count):
        if time.monotonic() > until_s:
            break
        trials.append(trial_in(given.out / f"scan-{seed}", seed))
        _tell_broken(trials[-1])
    print(table_of(trials))
    broken = sum(bool(trial.problems) for trial in trials)
    print(f"{len(trials)} scans, {broken} broke a promise")
    return 1 if broken else 0


def trial_in(folder: Path, seed: int, fault: Fault | None = None) -> Trial:
    """Scan into `folder` while one thing goes wrong, mend it, and scan on to the end.

    The fault goes by the seed unless it is given. The folder goes again if all was well.
    """
    rng = np.random.default_rng(seed)
    fault = fault or list(Fault)[seed % len(Fault)]
    controller = "grbl" if rng.random() < PLAIN_GRBL_SHARE else "protocol"
    faulthandler.dump_traceback_later(300, exit=True)  # one that hangs must not hang them all
    with _FaultyRig(folder, controller, fault, rng) as rig:
        told = rig.scan_with_fault()
        end = rig.scan_to_the_end()
    faulthandler.cancel_dump_traceback_later()
    if not rig.problems:
        shutil.rmtree(folder)
    return Trial(
        seed=seed,
        controller=controller,
        fault=fault,
        told=told if isinstance(told, str) else type(told).__name__,
        message=str(told),
        end=end,
        problems=tuple(rig.problems),
    )


def table_of(trials: Sequence[Trial]) -> str:
    """Markdown: one row a fault, with what was told and how it ended, counted."""
    rows = [
        "| fault | scans | what was told | the same command, with all mended |",
        "|---|---|---|---|",
    ]
    for fault in Fault:
        some = [trial for trial in trials if trial.fault is fault]
        if some:
            told = Counter(trial.told or "nothing, the scan went on" for trial in some)
            ends = Counter(trial.end for trial in some if trial.told)
            rows.append(f"| {fault} | {len(some)} | {_counted(told)} | {_counted(ends)} |")
    return "\n".join(rows)


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in names.most_common()) or "–"


def _tell_broken(trial: Trial) -> None:
    for problem in trial.problems:
        print(
            f"seed {trial.seed}, {trial.controller}, {trial.fault}, {trial.told or 'went on'}, "
            f"{trial.end}: {problem}",
            flush=True,
        )


def _random_moment(rng: np.random.Generator) -> float | ScanState:
    """When a fault strikes: so many seconds after the beginning, or as a state is entered."""
    moment = rng.uniform(0.0, LASTS_S)
    states = (ScanState.HOMING, ScanState.CHECKING, ScanState.SCANNING, ScanState.JOINING)
    state = states[int(rng.integers(len(states)))]
    return state if rng.random() < AT_A_STATE_SHARE else moment


class _FaultyRig:
    """A microscope with one fault to come, and a list of the promises that were broken.

    Switched on while in `with`.
    """

    def __init__(
        self, folder: Path, controller: str, fault: Fault, rng: np.random.Generator
    ) -> None:
        is_plain = controller == "grbl"
        self.problems: list[str] = []
        self._machine_settings = replace(
            MACHINE,
            counts_below_zero=is_plain,
            watchdog_s=None if is_plain else MACHINE.watchdog_s,
        )
        settings = RigSettings(
            scan=replace(AUTHENTIC, camera=CAMERA),
            machine=self._machine_settings,
            has_checksums=not is_plain,
            slide_corner_um=CORNER_UM,
        )
        self._clock = FastClock(SPEED, bound_lasts_s=60.0)
        self._rig = SimulatedRig(SLIDE, self._clock, settings)
        self._watch = MisdeedsWatch(self._rig.controller.machine)
        self._job = _job_in(folder / "repeat-1", self._machine_settings)
        self._striker = Striker(self._rig, self._clock, fault, rng, self._job.folder)
        self._strike_at = _random_moment(rng)
        self._states: list[ScanState] = []
        self._filmed_count = 0
        """By the host, while it lived."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._clock)
            stack.enter_context(self._rig)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def scan_with_fault(self) -> str | Exception:
        """The first attempt: what the user is told, an empty text where the scan was done."""
        moment = self._strike_at
        at_s = math.inf if isinstance(moment, ScanState) else self._clock.monotonic_s() + moment
        with self._striker.striking_at(at_s):
            told = self._attempt(self._count)
        self._look_whether_it_rests(told)
        self._clock.sleep((self._machine_settings.watchdog_s or 0.0) + 3.0)
        self.problems += self._watch.misdeeds(self._clock.monotonic_s())
        if self._striker.is_killed:
            self._striker.leave_as_killed()
        elif isinstance(told, Exception):
            self._look_at_the_message(told)
            self._look_at_the_state()
        self._look_at_the_film()
        if self._striker.is_killed:
            return "killed"
        return told or ("" if self._striker.has_struck else TOO_LATE)

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
            if not isinstance(told, Exception):
                break
        else:
            self.problems.append(f"not done after {TRIES} tries: {told}")
            return type(told).__name__
        self._clock.sleep(1.0)
        self.problems += self._watch.misdeeds(self._clock.monotonic_s())
        self.problems += self._wrong_in_the_scan()
        return end

    def _attempt(self, *takers: Taker) -> str | Exception:
        """Open the devices and scan, as the command does; an empty text when it is done."""
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
            return error
        return ""

    def _hear(self, status: ScanStatus) -> None:
        self._states.append(status.state)
        if status.state is self._strike_at:
            self._striker.strike()

    def _count(self, frame: CameraFrame) -> None:  # noqa: ARG002 - as every taker
        self._filmed_count += not self._striker.is_killed

    # Promises

    def _look_whether_it_rests(self, told: str | Exception) -> None:
        """At the end of an attempt; a stage that cannot be reached is its watchdog's affair."""
        now_s = self._clock.monotonic_s()
        can_be_reached = self._striker.fault not in {*WIRE_FAULTS, Fault.UNPLUGGED, Fault.KILLED}
        if can_be_reached and self._rig.controller.machine.path.speed_at(now_s) > 0:
            self.problems.append("it moved when the command ended")
        late_s = now_s - self._striker.struck_s
        if isinstance(told, Exception) and not self._striker.is_killed and late_s > PATIENCE_S:
            self.problems.append(f"told only after {late_s:.0f} s")

    def _look_at_the_message(self, told: Exception) -> None:
        match told:
            case DeviceError() | InputError():
                is_clear = bool(told.where and told.problem and told.remedy)
            case BlurryScopeError():
                is_clear = str(told).endswith(".")
            case OSError():  # the command line adds what to check
                is_clear = bool(told.filename)
            case _:
                is_clear = False
        if not is_clear:
            self.problems.append(f"no clear message: {told!r}")

    def _look_at_the_state(self) -> None:
        if self._states and self._states[-1] is not ScanState.INTERRUPTED:
            self.problems.append(f"ended in the state {self._states[-1]}")
        entries = read_journal(self._job.folder / JOURNAL)
        states = [entry.facts["state"] for entry in entries if entry.event == "state"]
        can_be_written = self._striker.fault is not Fault.FULL
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
        return UNWRITTEN_FRAMES if self._striker.fault in {Fault.KILLED, Fault.FULL} else 0

    def _wrong_in_the_scan(self) -> Iterator[str]:
        """Hold what is said to be done against the way of the carriage, lane by lane."""
        entries = read_journal(self._job.folder / JOURNAL)
        kept = sum(part.kept_frames for part in read_past(self._job.folder / JOURNAL).parts)
        count = _frames_in(self._job.film)
        if not kept - self._unwritten <= count <= kept:
            yield f"the film has {count} frames, the journal tells of {kept}"
        warned = {entry.facts["lane"] for entry in entries if entry.event == "warning"}
        for lane in self._job.plan.lanes():
            begin, at_end, end = (
                _last(entries, event, lane.index)
                for event in ("lane begins", "lane is at its end", "lane ends")
            )
            for entry, place in ((begin, lane.start), (at_end, lane.end)):
                true = self._watch.true_position(_number(entry, "stage_s"))
                if true.distance_um(place) > OFF_UM:
                    yield f"lane {lane.index}, {entry.event}: at {true}, not {place}"
            travel_s = _number(at_end, "stage_s") - _number(begin, "stage_s")
            frames = _number(end, "frame") - _number(begin, "frame")
            due = travel_s * CAMERA.frame_rate_hz  # those of the rest may be missing
            if frames < LEAST_FRAMES * due and lane.index not in warned:
                yield f"lane {lane.index} has {frames:.0f} frames of {due:.0f}, and nobody says so"
            if travel_s < self._job.plan.motion.travel_s(lane.length_um) - TIMED_S:
                yield f"lane {lane.index} took {travel_s:.2f} s"


@cache
def _flat_field() -> NDArray[np.float32]:
    """What the camera sees of empty glass, (row, col), mean 1; as calibration leaves it."""
    settings = RigSettings(scan=replace(AUTHENTIC, camera=CAMERA), machine=MACHINE)
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


def _job_in(folder: Path, machine: MachineSettings) -> ScanJob:
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


if __name__ == "__main__":
    sys.exit(main())
