"""The machine that a simulated controller drives: jobs one after the other, switches, a lamp."""

import math
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blurryscope.simulator.carriage import CarriagePath, Vector
from blurryscope.simulator.machine_parts import AXES, Job, MachineSettings, MachineState


@dataclass(frozen=True, slots=True)
class OrderedMove:
    """What set the carriage in motion."""

    start_s: float
    is_homing: bool
    is_homed: bool


class Machine:
    """Carries jobs out on a clock that others read; every call says what time it is.

    `advance` brings it up to a time; what falls due on the way happens at its own exact time. Safe
    to call from several threads as long as all hold `lock`.
    """

    def __init__(self, settings: MachineSettings, tell: Callable[[str], None]) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.path = CarriagePath(np.array(settings.start_um))
        self.state = MachineState.ALARM
        self.is_homed = False
        self._lamp_changes: list[tuple[float, int]] = [(-math.inf, 0)]
        self.heard_s = 0.0
        """When the host last said anything."""
        self.ordered: list[OrderedMove] = []
        """All that moved it, ever."""
        self.broken_switches: set[int] = set()
        """Axes whose switch never closes."""
        self.watches_in_homing = True
        """Whether the switches of axes that stand count while another homes; not in GRBL."""
        self._homing_axis: int | None = None
        self._tell = tell
        self._offset = -np.array(settings.start_um)
        self._queue: deque[Job] = deque()
        self._job: Job | None = None
        self._homed: Callable[[], None] | None = None
        self._event_s = math.inf
        self._event: Callable[[float], None] | None = None
        self._barked = False

    # What it says of itself

    def position_um(self, now_s: float) -> Vector:
        """Where the controller believes to be."""
        return np.asarray(self.path.position_at(now_s) + self._offset)

    @property
    def queued_count(self) -> int:
        return len(self._queue) + (self._job is not None)

    def ordered_end_um(self, now_s: float) -> Vector:
        """Where it will believe to be when all that is ordered is done."""
        jobs = [*self._queue] if self._job is None else [self._job, *self._queue]
        targets = [job.target for job in jobs if job.target is not None]
        return targets[-1].copy() if targets else self.position_um(now_s)

    def closed_switches(self, now_s: float) -> str:
        """The axes whose switches are closed."""
        carriage = self.path.position_at(now_s)
        return "".join(
            name
            for axis, name in enumerate(AXES)
            if axis not in self.broken_switches and self._beyond_switch_um(axis, carriage) >= 0
        )

    def can_reach(self, target: Vector) -> bool:
        """Whether a target lies within the soft limits."""
        slack = 0.5 * 1000 / self.settings.steps_per_mm
        low, high = self.settings.lowest_um - slack, self.settings.highest_um + slack
        return bool(np.all(target >= low) and np.all(target <= high))

    @property
    def lamp(self) -> int:
        """0, dark, to 1000."""
        return self._lamp_changes[-1][1]

    def lamp_at(self, time_s: float) -> int:
        """What the lamp was, or is."""
        number = bisect_right(self._lamp_changes, time_s, key=lambda change: change[0])
        return self._lamp_changes[max(number - 1, 0)][1]

    # What it does by itself

    def advance(self, now_s: float) -> None:
        """Let everything happen that falls due up to now, in order."""
        while True:
            bark_s = self._bark_s()
            job_s = self._job.end_s if self._job is not None else math.inf
            due_s = min(bark_s, job_s, self._event_s)
            if due_s > now_s or due_s == math.inf:
                return
            if due_s == bark_s:
                self._bark(due_s)
            elif due_s == self._event_s and self._event is not None:
                event = self._event
                self._forget_event()
                event(due_s)
            else:
                self._finish_job(due_s)

    def _bark_s(self) -> float:
        limit_s = self.settings.watchdog_s
        return math.inf if limit_s is None or self._barked else self.heard_s + limit_s

    def _bark(self, at_s: float) -> None:
        self._barked = True
        self._light(0, at_s)
        self._tell("[MSG:WATCHDOG]")
        if self.state is MachineState.HOMING:
            self.alarm(6, at_s)
        elif self.state is MachineState.RUN or self._queue or self._job is not None:
            self._slow_down(at_s, MachineState.BARKED)
            self._drop_jobs()

    def _finish_job(self, at_s: float) -> None:
        job, self._job = self._job, None
        if job is not None and job.done is not None:
            job.done()
        self._start_next(at_s)

    # What the host makes it do

    def heard(self, now_s: float) -> None:
        """A byte came."""
        self.heard_s = now_s
        self._barked = False

    def add(self, job: Job, now_s: float) -> None:
        """Put a job behind the others."""
        self._queue.append(job)
        if self._job is None:
            self._start_next(now_s)

    def hold(self, now_s: float) -> None:
        """Slow down along the line, keep what is left."""
        if self.state is MachineState.HOMING:
            self.alarm(6, now_s)
        elif self.state is MachineState.RUN:
            self._slow_down(now_s, MachineState.HELD)
        elif self.state is MachineState.IDLE:
            self.state = MachineState.HELD

    def go_on(self, now_s: float) -> None:
        """After a hold; while it still slows down, as soon as it stands."""
        if self.state is MachineState.SLOWING and self._queue_is_kept():
            self._event = self._stand_and_go_on
        elif self.state is MachineState.HELD:
            self.state = MachineState.IDLE
            if self._job is not None:
                self._queue.appendleft(self._job)
                self._job = None
            self._start_next(now_s)

    def _queue_is_kept(self) -> bool:
        return self._job is not None or bool(self._queue)

    def _stand_and_go_on(self, at_s: float) -> None:
        self.state = MachineState.HELD
        self.go_on(at_s)

    def reset(self, now_s: float) -> None:
        """In motion the pulses stop at once and the position is lost; at rest it is kept."""
        is_moving = self.path.speed_at(now_s) > 0 or self.state is MachineState.HOMING
        self._light(0, now_s)
        self._drop_jobs()
        self._forget_event()
        if is_moving:
            self.alarm(6 if self.state is MachineState.HOMING else 3, now_s)
        elif self.is_homed:
            self.state = MachineState.IDLE
        else:
            self.state = MachineState.ALARM

    def quick_stop(self, now_s: float) -> None:
        """As Marlin's: stand at once, forget all moves, trust the count of steps."""
        self.path.halt(now_s)
        self._drop_jobs()
        self._forget_event()
        if self.state is not MachineState.ALARM:
            self.state = MachineState.IDLE

    def alarm(self, number: int, at_s: float) -> None:
        """Stand at once and know nothing any more."""
        self.path.halt(at_s)
        self._drop_jobs()
        self._forget_event()
        self.state = MachineState.ALARM
        self.is_homed = False
        self._light(0, at_s)
        self._tell(f"ALARM:{number}")

    def unlock(self) -> None:
        """Leave the alarm without knowing the position."""
        if self.state is MachineState.ALARM:
            self.state = MachineState.IDLE

    def home(self, now_s: float, done: Callable[[], None]) -> None:
        """Find the switches, z first; `done` is called when it worked."""
        self.state = MachineState.HOMING
        self.is_homed = False
        self._homed = done
        self._event_s, self._event = now_s, lambda at_s: self._home_axis(2, at_s)

    # What goes wrong

    def restart(self, now_s: float) -> None:
        """Power fails for a moment: motors free, position forgotten."""
        self.path.halt(now_s)
        self._drop_jobs()
        self._forget_event()
        self.state = MachineState.ALARM
        self.is_homed = False
        self._light(0, now_s)
        self._offset = -self.path.position_at(now_s)
        self.heard(now_s)

    def stall(self, now_s: float) -> None:
        """The pulses stop while the controller thinks that it runs."""
        if self.state is MachineState.RUN and self._job is not None:
            self.path.halt(now_s)
            self._job.end_s = math.inf
            self._forget_event()

    def slip(self, by_um: Vector, now_s: float) -> None:
        """The carriage stands and somebody pushes it: it is not where the controller believes."""
        self.path.displace(now_s, by_um)
        self._offset = self._offset - by_um

    def close_switch(self, now_s: float, axis: int = 0) -> None:
        """A switch closes, or its wire breaks: an alarm, but for the axis that homes."""
        is_awaited = axis == self._homing_axis or not self.watches_in_homing
        if self.state is not MachineState.HOMING or not is_awaited:
            self.alarm(1, now_s)

    # How it does it

    def _start_next(self, at_s: float) -> None:
        if self.state in {MachineState.SLOWING, MachineState.HELD, MachineState.BARKED}:
            return
        if not self._queue:
            if self.state is MachineState.RUN:
                self.state = MachineState.IDLE
            return
        job = self._job = self._queue.popleft()
        if job.lamp is not None:
            self._light(job.lamp, at_s)
        if job.target is None:
            job.end_s = at_s + job.dwell_s
            return
        self.state = MachineState.RUN
        target = self.settings.to_steps_um(job.target) - self._offset
        job.end_s = self._send(target, job.speed_um_per_s, at_s, is_homing=False)
        self._watch_switches(target, at_s, job.end_s)

    def _send(
        self, target: Vector, speed_um_per_s: float, at_s: float, *, is_homing: bool
    ) -> float:
        way = np.abs(target - self.path.position_at(at_s))
        length_um = float(np.linalg.norm(way))
        if length_um < 1e-6:
            return at_s
        share = np.maximum(way / length_um, 1e-9)
        speed = min(speed_um_per_s, float(np.min(np.array(self.settings.speed_um_per_s) / share)))
        acceleration = float(np.min(np.array(self.settings.acceleration_um_per_s2) / share))
        self.ordered.append(OrderedMove(at_s, is_homing, self.is_homed))
        return self.path.move(at_s, target, speed, acceleration)

    def _watch_switches(self, target: Vector, from_s: float, until_s: float) -> None:
        """Arrange the alarm for the moment at which this move would close a switch."""
        for axis in range(3):
            if axis in self.broken_switches or self._beyond_switch_um(axis, target) < 0:
                continue
            early_s, late_s = from_s, until_s
            for _ in range(40):
                middle_s = (early_s + late_s) / 2
                beyond_um = self._beyond_switch_um(axis, self.path.position_at(middle_s))
                early_s, late_s = (early_s, middle_s) if beyond_um >= 0 else (middle_s, late_s)
            if late_s < self._event_s:
                self._event_s, self._event = late_s, lambda at_s: self.alarm(1, at_s)

    def _slow_down(self, at_s: float, then: MachineState) -> None:
        self._forget_event()
        job = self._job
        acceleration = min(self.settings.acceleration_um_per_s2)
        if job is not None and job.target is not None:
            parts = self.path.stretches()
            acceleration = abs(parts[-1].acceleration_um_per_s2) if parts else acceleration
            job.end_s = math.inf
        rests_s = self.path.brake(at_s, acceleration)
        self.state = MachineState.SLOWING

        def stands(_: float) -> None:
            self.state = then

        self._event_s, self._event = rests_s, stands

    def _drop_jobs(self) -> None:
        self._queue.clear()
        self._job = None
        self._homed = None

    def _light(self, level: int, at_s: float) -> None:
        if level != self.lamp:
            self._lamp_changes.append((at_s, level))

    def _forget_event(self) -> None:
        self._event, self._event_s = None, math.inf

    def _home_axis(self, axis: int, at_s: float) -> None:
        """Seek, pull off, touch, pull off; then the next axis."""
        s = self.settings
        self._homing_axis = axis
        outward = -1.0 if s.homes_low[axis] else 1.0
        rest_um = 0.0
        switch_um = rest_um + outward * s.pull_off_um
        here = self.path.position_at(at_s)
        if axis in self.broken_switches:
            self._seek_in_vain(axis, outward, at_s)
            return
        for place_um, speed in (
            (switch_um, s.seek_um_per_s),
            (rest_um, s.seek_um_per_s),
            (switch_um, s.touch_um_per_s),
            (rest_um, s.seek_um_per_s),
        ):
            here = here.copy()
            here[axis] = place_um
            at_s = self._send(here, speed, at_s, is_homing=True)
        order = {2: 0, 0: 1}
        self._event_s = at_s
        if axis in order:
            self._event = lambda s_: self._home_axis(order[axis], s_)
        else:
            self._event = self._finish_homing

    def _seek_in_vain(self, axis: int, outward: float, at_s: float) -> None:
        """Against the end of the rail until 1.5 times the travel would be over."""
        s = self.settings
        here = self.path.position_at(at_s)
        here[axis] = outward * (s.pull_off_um + RAIL_END_UM)
        self._send(here, s.seek_um_per_s, at_s, is_homing=True)
        self._event_s = at_s + 1.5 * s.travel_um[axis] / s.seek_um_per_s
        self._event = lambda late_s: self.alarm(9, late_s)

    def _finish_homing(self, _: float) -> None:
        self._offset = self.settings.homed_um
        self.state = MachineState.IDLE
        self.is_homed = True
        done, self._homed = self._homed, None
        if done is not None:
            done()

    def _beyond_switch_um(self, axis: int, carriage: Vector) -> float:
        """How far past the point at which the switch closes; negative while it is open."""
        outward = -1.0 if self.settings.homes_low[axis] else 1.0
        return float(outward * carriage[axis] - self.settings.pull_off_um)


RAIL_END_UM = 500.0
"""From where a switch closes to the hard end of the rail behind it."""
