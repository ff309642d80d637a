"""Small scans that something goes wrong in, one random fault each, and what became of them."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from blurryscope.devices.contracts import Stage, StageLimits, StagePoint
from blurryscope.devices.errors import DeviceError
from blurryscope.devices.grbl_stage import GrblStage
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.faults import WIRE_FAULTS, Fault, noisy_wires
from blurryscope.simulator.grbl_controller import GrblController
from blurryscope.simulator.machine_parts import MachineSettings
from blurryscope.simulator.misdeeds import MisdeedsWatch
from blurryscope.simulator.port import SimulatedPort, clean
from desk.behind_port import FirmwareOnDesk
from desk.in_time import BoardInTime

WATCHDOG_S = 1.5
MACHINE = MachineSettings(
    travel_um=(12_000.0, 6_000.0, 2_000.0),
    start_um=(3_000.0, 2_000.0, -500.0),
    speed_um_per_s=(20_000.0, 20_000.0, 10_000.0),
    pull_off_um=500.0,
    seek_um_per_s=20_000.0,
    touch_um_per_s=2_000.0,
)
LANE_UM, PITCH_UM, SPEED_UM_PER_S = 4_000.0, 300.0, 5_000.0
LANES = 3


STAGE_FAULTS = tuple(
    fault for fault in Fault if fault not in {Fault.FROZEN, Fault.GONE, Fault.FULL}
)
"""Without camera and disk, which these scans have not."""


class HostKilledError(Exception):
    """Stands for the end of the process: nothing of ours runs after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of one small scan."""

    seed: int
    fault: Fault
    outcome: str
    """`done`, or the name of the error."""
    message: str
    problems: tuple[str, ...]
    """What must never happen, and did."""


class SimulatedPatient:
    """The simulated controller, with our protocol or with plain GRBL."""

    faults = STAGE_FAULTS
    zero_um = 3.0
    """How far from the truth its zero may lie after homing."""

    def __init__(self, *, has_checksums: bool = True) -> None:
        machine = replace(
            MACHINE,
            watchdog_s=WATCHDOG_S if has_checksums else None,
            counts_below_zero=not has_checksums,
        )
        self.controller = GrblController(
            machine, has_checksums=has_checksums, boot_id=_counted_ids()
        )
        self._watch = MisdeedsWatch(self.controller.machine)

    def power_on(self, now_s: float) -> None:
        self.controller.power_on(now_s)

    def strike(self, fault: Fault, now_s: float) -> None:
        machine = self.controller.machine
        if fault is Fault.RESET:
            self.controller.power_on(now_s)
            return
        with machine.lock:
            machine.advance(now_s)
            if fault is Fault.LIMIT:
                machine.close_switch(now_s)
            else:
                machine.stall(now_s)

    def mend(self) -> None:
        pass  # a switch that closed for a moment, an axis that hung once

    def true_position(self, now_s: float) -> StagePoint:
        return self._watch.true_position(now_s)

    def misdeeds(self, now_s: float) -> list[str]:
        return self._watch.misdeeds(now_s)


class FirmwarePatient:
    """The firmware's own code, on a board that keeps book of what its pulses do."""

    faults = tuple(fault for fault in STAGE_FAULTS if fault is not Fault.STALLED)
    """Its pulse generator cannot hang here, and a screw that hangs it cannot see."""
    zero_um = 45.0  # its switches are debounced, and homing here is four times as fast as usual

    def __init__(self) -> None:
        self.controller = FirmwareOnDesk(BoardInTime(watchdog_ms=int(WATCHDOG_S * 1000)))

    def power_on(self, now_s: float) -> None:
        self.controller.place_um(now_s)

    def strike(self, fault: Fault, now_s: float) -> None:
        if fault is Fault.RESET:
            self.controller.reboot(now_s)
        else:
            self.controller.fail(broken_wires=1)

    def mend(self) -> None:
        self.controller.fail()

    def true_position(self, now_s: float) -> StagePoint:
        x, y, z = self.controller.place_um(now_s)
        # The controller counts from a millimetre off the switches.
        return StagePoint(x_um=x - 1000.0, y_um=y - 1000.0, z_um=z + 1000.0)

    def misdeeds(self, now_s: float) -> list[str]:
        self.controller.place_um(now_s)
        problems, self.controller.misdeeds = self.controller.misdeeds, []
        return problems


class Bench:
    """One controller on one port on one clock; each trial takes it as the one before left it."""

    def __init__(self, patient: SimulatedPatient | FirmwarePatient) -> None:
        self.patient = patient
        self.clock = FastClock(80)
        self.port = SimulatedPort(patient.controller, self.clock)

    @contextmanager
    def switched_on(self) -> Iterator["Bench"]:
        with self.clock:
            self.patient.power_on(self.clock.monotonic_s())
            with self.port:
                yield self

    def trials(self, seeds: range) -> list[Trial]:
        """One trial a seed, the faults in turn."""
        faults = self.patient.faults
        return [self.trial(seed, faults[seed % len(faults)]) for seed in seeds]

    def trial(self, seed: int, fault: Fault) -> Trial:
        """Scan three lanes while one thing goes wrong; then see that the stage can be homed."""
        rng = np.random.default_rng((seed, STAGE_FAULTS.index(fault)))
        began_s = self.clock.monotonic_s()
        outcome, message, problems = "done", "", list[str]()
        self._arrange(fault, rng)
        try:
            problems += self._scan(fault, rng)
        except HostKilledError:
            outcome, message = "killed", "the process is gone"
        except DeviceError as error:
            outcome, message = type(error).__name__, str(error)
            if not (error.where and error.problem and error.remedy):
                problems.append("the error does not say where, what and what to do")
        self.clock.sleep(3.0 if outcome == "killed" else WATCHDOG_S + 0.5)
        problems += self.patient.misdeeds(self.clock.monotonic_s())
        self._repair()
        problems += self._can_go_on()
        if self.clock.monotonic_s() - began_s > 200.0:
            problems.append(f"it took {self.clock.monotonic_s() - began_s:.0f} s")
        return Trial(
            seed=seed, fault=fault, outcome=outcome, message=message, problems=tuple(problems)
        )

    def _arrange(self, fault: Fault, rng: np.random.Generator) -> None:
        if fault not in WIRE_FAULTS:
            return
        from_s = self.clock.monotonic_s() + rng.uniform(0.0, 5.0)
        self.port.to_controller, self.port.to_host = noisy_wires(fault, rng, from_s)

    def _repair(self) -> None:
        self.patient.mend()
        self.port.to_controller = self.port.to_host = clean
        self.port.unplug()
        self.port.plug_in()

    def _scan(self, fault: Fault, rng: np.random.Generator) -> list[str]:
        """The lanes; gives what is wrong though nobody said so."""
        problems = []
        moment = 2 * int(rng.integers(LANES)) + 1  # on a lane
        stage = GrblStage(self.port.url, clock=self.clock)
        with _killable(stage):
            if fault not in WIRE_FAULTS and rng.random() < 0.15:
                self._strike(fault)
            stage.home()
            for number, target in enumerate(_zigzag(stage.limits)):
                stage.move_to(target, SPEED_UM_PER_S)
                if number == moment and fault not in WIRE_FAULTS:
                    self.clock.sleep(rng.uniform(0.0, 0.7))
                    self._strike(fault)
                status = stage.wait_until_rest()
                true_um = self._true_position()
                if status.position.distance_um(true_um) > self.patient.zero_um:
                    problems.append(f"it believes {status.position} and is at {true_um}")
                if target.distance_um(true_um) > self.patient.zero_um:
                    problems.append(f"sent to {target}, said it was there, is at {true_um}")
        return problems

    def _strike(self, fault: Fault) -> None:
        if fault is Fault.KILLED:
            raise HostKilledError
        if fault is Fault.UNPLUGGED:
            self.port.unplug()
        else:
            self.patient.strike(fault, self.clock.monotonic_s())

    def _true_position(self) -> StagePoint:
        return self.patient.true_position(self.clock.monotonic_s())

    def _can_go_on(self) -> list[str]:
        """When the fault is over, homing and one move bring everything back."""
        try:
            with GrblStage(self.port.url, clock=self.clock) as stage:
                stage.home()
                target = next(_zigzag(stage.limits))
                stage.move_to(target, SPEED_UM_PER_S)
                stage.wait_until_rest()
        except DeviceError as error:
            return [f"afterwards: {error}"]
        is_there = target.distance_um(self._true_position()) <= self.patient.zero_um
        return [] if is_there else ["afterwards it is not where it believes"]


def counted(trials: list[Trial]) -> dict[Fault, Counter[str]]:
    """How often each fault ended in which way."""
    table: dict[Fault, Counter[str]] = {fault: Counter() for fault in STAGE_FAULTS}
    for trial in trials:
        table[trial.fault][trial.outcome] += 1
    return {fault: counts for fault, counts in table.items() if counts}


@contextmanager
def _killable(stage: GrblStage) -> Iterator[Stage]:
    """The stage in `with`, except that a killed host says no goodbye."""
    stage.__enter__()
    try:
        yield stage
    except HostKilledError:
        stage._link.close()  # what the system does with the ports of a dead process
        raise
    except BaseException as error:
        stage.__exit__(type(error), error, None)
        raise
    else:
        stage.__exit__(None, None, None)


def _zigzag(limits: StageLimits) -> Iterator[StagePoint]:
    low = limits.lowest
    for lane in range(LANES):
        y_um = low.y_um + 1_000.0 + lane * PITCH_UM
        ends = (2_000.0, 2_000.0 + LANE_UM)
        for x_um in ends if lane % 2 == 0 else ends[::-1]:
            yield StagePoint(x_um=low.x_um + x_um, y_um=y_um, z_um=limits.highest.z_um - 500.0)


def _counted_ids() -> Callable[[], str]:
    numbers = iter(range(1, 2**31))
    return lambda: f"{next(numbers):08X}"


def run_trials(patient: str, seeds: range) -> list[Trial]:
    """Trials with `protocol`, `grbl` or `firmware`; a function of its own for other processes."""
    is_firmware = patient == "firmware"
    bench = Bench(
        FirmwarePatient() if is_firmware else SimulatedPatient(has_checksums=patient == "protocol")
    )
    with bench.switched_on():
        return bench.trials(seeds)
