"""The firmware itself behind a simulated port: its own code, on a board in memory.

For CPython and the simulator of the host, whose ports ask with their own time.
"""

import threading
from bisect import bisect_right

from controller.controller import HOMING, Controller
from desk.simulated_board import STEPS_PER_MM, TRAVEL_MM, SimulatedBoard

_POLL_US = 2_000
_RAMP_S = 0.15
"""From 5 mm/s to rest takes 0.05 s; the watchdog may be 0.05 s late, and slices take time."""
_HOME_STEPS = 64
"""0.04 mm: how far zero may lie off after a touch as fast as here, debounced for 5 ms."""
_RAIL_STEPS = STEPS_PER_MM // 2
"""Behind each switch."""


class FirmwareOnDesk:
    """A `Controller` of the simulator's port that runs `firmware/`, in the port's own time."""

    def __init__(self, watchdog_ms: int = 5_000) -> None:
        self.misdeeds: list[str] = []
        """What its pulses did and must never do."""
        self._lock = threading.RLock()
        self._watchdog_ms = watchdog_ms
        self._now_s = self._heard_s = 0.0
        self.board = SimulatedBoard()
        # A millimetre or two from the switches: homing need not cross the whole stage.
        self.board.place = [2 * STEPS_PER_MM, 2 * STEPS_PER_MM, -STEPS_PER_MM]
        self._times_s = [0.0]
        self._places = [list(self.board.place)]
        """Where it was, by the end of each slice of time in which it moved."""
        self._start()

    def power_on(self, now_s: float) -> None:
        """Begin now: what was before did not exist for the board."""
        with self._lock:
            self._now_s = self._heard_s = self._times_s[0] = now_s

    def feed(self, received: bytes, now_s: float) -> None:
        with self._lock:
            self._run_until(now_s)
            self._heard_s = now_s
            self.board.received += received
            self.brain.poll()

    def advance(self, now_s: float) -> bytes:
        with self._lock:
            self._run_until(now_s)
            sent, self.board.sent = self.board.sent, b""
            return sent

    def reboot(self, now_s: float) -> None:
        """The power fails for a moment."""
        with self._lock:
            self._run_until(now_s)
            fresh = SimulatedBoard(self.board.boot_id + 1, self.board.stored())
            fresh.place = self.board.place
            self.board = fresh
            self._start()

    def place_um(self, now_s: float) -> list[float]:
        """Where the stage really is, from its switches; negative for one at the high end."""
        with self._lock:
            self._run_until(now_s)
            return [steps * 1000 / STEPS_PER_MM for steps in self.board.place]

    def way_um(self, from_s: float, until_s: float) -> tuple[list[float], list[list[float]]]:
        """When it was where between two times, from its switches; straight lines between."""
        with self._lock:
            first = max(bisect_right(self._times_s, from_s) - 1, 0)
            last = bisect_right(self._times_s, until_s) + 1
            places = [
                [steps * 1000 / STEPS_PER_MM for steps in place]
                for place in self._places[first:last]
            ]
            return self._times_s[first:last], places

    def moved_s(self) -> float:
        """When it moved last."""
        return self._times_s[-1]

    def _start(self) -> None:
        self.brain = Controller(self.board)
        self.brain.settings.value[24], self.brain.settings.value[25] = 120_000, 600_000
        self.brain.settings.value[200] = self._watchdog_ms
        self.brain.start()

    def _run_until(self, now_s: float) -> None:
        while now_s - self._now_s >= _POLL_US / 1e6:
            before = list(self.board.place)
            is_homing = self.brain.state == HOMING
            may_move = self.brain.is_homed or is_homing
            self.board.advance_us(_POLL_US)
            self._now_s += _POLL_US / 1e6
            if before != self.board.place:
                if self._times_s[-1] < self._now_s - 1.5 * _POLL_US / 1e6:
                    self._note(self._now_s - _POLL_US / 1e6, before)  # it stood until then
                self._note(self._now_s, self.board.place)
                self._judge(may_move=may_move, is_homing=is_homing)
            self.brain.poll()

    def _note(self, time_s: float, place: list[int]) -> None:
        self._times_s.append(time_s)
        self._places.append(list(place))

    def _judge(self, *, may_move: bool, is_homing: bool) -> None:
        if not may_move:
            self.misdeeds.append("it moved without being homed")
        if self._now_s > self._heard_s + self._watchdog_ms / 1000 + _RAMP_S:
            self.misdeeds.append(
                f"it moved {self._now_s - self._heard_s:.2f} s after the last byte"
            )
        for axis, sign in enumerate((1, 1, -1)):
            from_switch = sign * self.board.place[axis]
            lowest = -_RAIL_STEPS if is_homing else STEPS_PER_MM - _HOME_STEPS
            if not lowest <= from_switch <= (TRAVEL_MM[axis] - 1) * STEPS_PER_MM + _HOME_STEPS:
                self.misdeeds.append(f"axis {axis} left its limits: {from_switch} steps")
