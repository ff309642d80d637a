"""The firmware itself behind a simulated port: its own code, on a board in memory.

For CPython and the simulator of the host, whose ports ask with their own time. The code runs in
this process, or in MicroPython under Node.js.
"""

import json
import subprocess
import threading
from bisect import bisect_right
from pathlib import Path
from typing import Protocol, Self

from desk.in_time import START, BoardInTime
from desk.simulated_board import STEPS_PER_MM

_SERVER = Path(__file__).with_name("answer.mjs")
Told = tuple[bytes, int, list[float], list[list[int]], list[str]]


class Inside(Protocol):
    """A board and its firmware, wherever the code runs."""

    def carry_out(
        self, verb: str, now_s: float, received: bytes, is_stuck: bool, broken_wires: int
    ) -> Told:
        """As `BoardInTime.carry_out`."""
        ...


class FirmwareOnDesk:
    """A `Controller` of the simulator's port that runs `firmware/`, in the port's own time."""

    def __init__(self, inside: Inside | None = None) -> None:
        self.misdeeds: list[str] = []
        """What its pulses did and must never do."""
        self.lamp = 0
        """As it was when the board was asked last."""
        self._inside = inside or BoardInTime()
        self._is_stuck, self._broken_wires = False, 0
        self._sent = b""
        self._lock = threading.RLock()
        self._times_s = [0.0]
        self._places = [list(START)]
        """Where it was, in steps, by the end of each slice of time in which it moved."""

    @property
    def is_stuck(self) -> bool:
        """Whether the carriage follows no pulse."""
        return self._is_stuck

    def fail(self, *, is_stuck: bool = False, broken_wires: int = 0) -> None:
        """Let the carriage follow no pulse, or these switches read as closed; mends the rest.

        It counts from the next look at the board on.
        """
        with self._lock:
            self._is_stuck, self._broken_wires = is_stuck, broken_wires

    def power_on(self, now_s: float) -> None:
        """Begin now: what was before did not exist for the board."""
        with self._lock:
            self._times_s[0] = now_s
            self._ask("power on", now_s)

    def feed(self, received: bytes, now_s: float) -> None:
        with self._lock:
            self._ask("feed", now_s, received)

    def advance(self, now_s: float) -> bytes:
        with self._lock:
            self._ask("run", now_s)
            sent, self._sent = self._sent, b""
            return sent

    def reboot(self, now_s: float) -> None:
        """The power fails for a moment."""
        with self._lock:
            self._ask("reboot", now_s)

    def place_um(self, now_s: float) -> list[float]:
        """Where the stage really is, from its switches; negative for one at the high end."""
        with self._lock:
            self._ask("run", now_s)
            return _um(self._places[-1])

    def way_um(self, from_s: float, until_s: float) -> tuple[list[float], list[list[float]]]:
        """When it was where between two times, from its switches; straight lines between."""
        with self._lock:
            first = max(bisect_right(self._times_s, from_s) - 1, 0)
            last = bisect_right(self._times_s, until_s) + 1
            return self._times_s[first:last], [_um(place) for place in self._places[first:last]]

    def moved_s(self) -> float:
        """When it moved last."""
        return self._times_s[-1]

    def _ask(self, verb: str, now_s: float, received: bytes = b"") -> None:
        sent, self.lamp, times_s, places, misdeeds = self._inside.carry_out(
            verb, now_s, received, self._is_stuck, self._broken_wires
        )
        self._sent += sent
        self.misdeeds += misdeeds
        for time_s, place in zip(times_s, places):  # noqa: B905 - as long as each other
            if time_s > self._times_s[-1]:
                self._times_s.append(time_s)
                self._places.append(place)


class MicroPythonBoard:
    """A `BoardInTime` in MicroPython, compiled to WebAssembly, under Node.js; while in `with`.

    `micropython` is the folder of the npm package.
    """

    def __init__(self, node: str, micropython: Path) -> None:
        self._command = [node, str(_SERVER), str(micropython / "micropython.mjs")]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def carry_out(
        self, verb: str, now_s: float, received: bytes, is_stuck: bool, broken_wires: int
    ) -> Told:
        """As `BoardInTime.carry_out`."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        asked = json.dumps([verb, now_s, received.hex(), is_stuck, broken_wires])
        process.stdin.write(f"{asked}\n")
        process.stdin.flush()
        told = process.stdout.readline()
        if not told:
            raise RuntimeError(f"MicroPython ended at {asked}; what it said is above")
        sent, lamp, times_s, places, misdeeds = json.loads(told)
        return bytes.fromhex(sent), lamp, times_s, places, misdeeds


def _um(place: list[int]) -> list[float]:
    return [steps * 1000 / STEPS_PER_MM for steps in place]
