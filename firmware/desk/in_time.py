"""The firmware on a board in memory, polled as time passes: where it went, and what it must not do.

Runs on MicroPython too.
"""

import json

from controller.controller import HOMING, Controller
from desk.simulated_board import STEPS_PER_MM, TRAVEL_MM, SimulatedBoard

_POLL_US = 2_000
_RAMP_S = 0.15
"""From 5 mm/s to rest takes 0.05 s; the watchdog may be 0.05 s late, and slices take time."""
_HOME_STEPS = 64
"""0.04 mm: how far zero may lie off after a touch as fast as here, debounced for 5 ms."""
_RAIL_STEPS = STEPS_PER_MM // 2
"""Behind each switch."""
START = (2 * STEPS_PER_MM, 2 * STEPS_PER_MM, -STEPS_PER_MM)
"""A millimetre or two from the switches: homing need not cross the whole stage."""


class BoardInTime:
    """`firmware/` in the time of whoever asks."""

    def __init__(self, watchdog_ms: int = 5_000) -> None:
        self._watchdog_ms = watchdog_ms
        self._now_s = self._heard_s = 0.0
        self.board = SimulatedBoard()
        self.board.place = list(START)
        self._times_s: list[float] = []
        self._places: list[list[int]] = []
        self._misdeeds: list[str] = []
        self._start()

    def carry_out(
        self, verb: str, now_s: float, received: bytes, is_stuck: bool, broken_wires: int
    ) -> tuple[bytes, int, list[float], list[list[int]], list[str]]:
        """Let time pass until now, and do one thing.

        Parameters
        ----------
        verb
            `power on`: what was before did not exist for the board; `run`; `reboot`: the power
            fails for a moment.
        received
            What comes in from the host.
        is_stuck, broken_wires
            What is wrong with the board from now on, as `SimulatedBoard` has it.

        Returns
        -------
        What the board said, its lamp, when it was where in steps by the end of each slice of time
        in which it moved, and what its pulses did and must never do; all since the last call.
        """
        if verb == "power on":
            self._now_s = self._heard_s = now_s
        self._run_until(now_s)
        if verb == "reboot":
            self._reboot()
        if received:
            self._heard_s = now_s
            self.board.received += received
            self.brain.poll()
        self.board.is_stuck, self.board.broken_wires = is_stuck, broken_wires
        told = self.board.sent, self.board.lamp, self._times_s, self._places, self._misdeeds
        self.board.sent, self._times_s, self._places, self._misdeeds = b"", [], [], []
        return told

    def _reboot(self) -> None:
        fresh = SimulatedBoard(self.board.boot_id + 1, self.board.stored())
        fresh.place = self.board.place
        self.board = fresh
        self._start()

    def _run_until(self, now_s: float) -> None:
        while now_s - self._now_s >= _POLL_US / 1e6:
            before = list(self.board.place)
            is_homing = self.brain.state == HOMING
            may_move = self.brain.is_homed or is_homing
            self.board.advance_us(_POLL_US)
            self._now_s += _POLL_US / 1e6
            if before != self.board.place:
                self._note(self._now_s - _POLL_US / 1e6, before)
                self._note(self._now_s, self.board.place)
                self._judge(may_move=may_move, is_homing=is_homing)
            self.brain.poll()

    def _start(self) -> None:
        self.brain = Controller(self.board)
        self.brain.settings.value[24], self.brain.settings.value[25] = 120_000, 600_000
        self.brain.settings.value[200] = self._watchdog_ms
        self.brain.start()

    def _note(self, time_s: float, place: list[int]) -> None:
        if not self._times_s or time_s > self._times_s[-1] + _POLL_US / 2e6:
            self._times_s.append(time_s)
            self._places.append(list(place))

    def _judge(self, *, may_move: bool, is_homing: bool) -> None:
        if not may_move:
            self._misdeeds.append("it moved without being homed")
        if self._now_s > self._heard_s + self._watchdog_ms / 1000 + _RAMP_S:
            self._misdeeds.append(
                f"it moved {self._now_s - self._heard_s:.2f} s after the last byte"
            )
        for axis, sign in enumerate((1, 1, -1)):
            from_switch = sign * self.board.place[axis]
            lowest = -_RAIL_STEPS if is_homing else STEPS_PER_MM - _HOME_STEPS
            if not lowest <= from_switch <= (TRAVEL_MM[axis] - 1) * STEPS_PER_MM + _HOME_STEPS:
                self._misdeeds.append(f"axis {axis} left its limits: {from_switch} steps")


def answer(board: BoardInTime, asked: str) -> str:
    """Carry out a line of JSON of another program, its bytes as hex; gives such a line."""
    verb, now_s, received, is_stuck, broken_wires = json.loads(asked)
    said, lamp, times_s, places, misdeeds = board.carry_out(
        verb, now_s, bytes.fromhex(received), is_stuck, broken_wires
    )
    return json.dumps([said.hex(), lamp, times_s, places, misdeeds])
