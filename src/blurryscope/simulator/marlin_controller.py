"""A Marlin controller without one, byte by byte: enough of it to drive a stage."""

import math
import re
from collections import deque

from blurryscope.simulator.checked_lines import checksum
from blurryscope.simulator.machine import Machine
from blurryscope.simulator.machine_parts import AXES, Job, MachineSettings

_QUEUE_LENGTH = 16
_BUSY_S = 2.0
_FREES_MOTORS_S = 120.0
_WORDS = re.compile(r"([A-Z])(-?\d*\.?\d+)?")
_QUICK_STOP = re.compile(r"(?:N-?\d+ ?)?M410(?:\*\d+)?")
_NUMBERED = re.compile(r"N(-?\d+) ?(.*)")


class MarlinController:
    """Takes bytes with the time they came, gives bytes back.

    Parameters
    ----------
    settings
        What it drives.
    tells_target
        Whether `M114` tells where it is going instead of where it is: Marlin without
        `M114_REALTIME`, as it is built by default.
    has_emergency_parser
        Whether it was built to take some commands past all others.
    """

    def __init__(
        self,
        settings: MachineSettings,
        *,
        tells_target: bool = False,
        has_emergency_parser: bool = True,
    ) -> None:
        self._tells_target = tells_target
        self._has_emergency_parser = has_emergency_parser
        self.machine = Machine(settings, self._push)
        self._typed = bytearray()
        self._lines: deque[str] = deque()
        self._told = bytearray()
        self._last_number = 0
        self._waits_for_rest = False
        self._is_killed = False
        """Told to halt: heeds nothing until its power is off and on."""
        self._busy_told_s = math.inf
        self.frees_motors_s = _FREES_MOTORS_S
        """After so much rest the motors are free to slip; 0 is never."""

    def power_on(self, now_s: float) -> None:
        """The first start, or one after a failure."""
        with self.machine.lock:
            self.machine.advance(now_s)
            self.machine.restart(now_s)
            self._typed.clear()
            self._lines.clear()
            self._told.clear()
            self._last_number, self._waits_for_rest = 0, False
            self._is_killed = False
            self.frees_motors_s = _FREES_MOTORS_S
            self._push("start")
            self._push("echo:Marlin 2.1.2")

    def feed(self, received: bytes, now_s: float) -> None:
        """Bytes from the host."""
        with self.machine.lock:
            self.machine.advance(now_s)
            for byte in received:
                if byte != ord("\n"):
                    self._typed.append(byte)
                    continue
                line = self._typed.decode("latin-1").strip()
                self._typed.clear()
                if line == "M112" and self._has_emergency_parser:
                    self._kill(now_s)
                elif line and not self._is_killed:
                    if self._has_emergency_parser and _QUICK_STOP.fullmatch(line):
                        self.machine.quick_stop(now_s)  # now, and again when its turn comes
                    self._lines.append(line)
            self._work(now_s)

    def advance(self, now_s: float) -> bytes:
        """Let time pass; gives what is to be sent to the host since the last call."""
        with self.machine.lock:
            self.machine.advance(now_s)
            self._work(now_s)
            told = bytes(self._told)
            self._told.clear()
            return told

    def _kill(self, now_s: float) -> None:
        self.machine.restart(now_s)
        self._lines.clear()
        self._waits_for_rest, self._is_killed = False, True
        self._push("Error:Printer halted. kill() called!")

    def _push(self, line: str) -> None:
        self._told += line.encode("ascii") + b"\n"

    def _work(self, now_s: float) -> None:
        if self._waits_for_rest:
            if self.machine.queued_count == 0 and self.machine.state.value != "Home":
                self._waits_for_rest = False
                self._push("ok")
            elif now_s >= self._busy_told_s + _BUSY_S:
                self._busy_told_s = now_s
                self._push("echo:busy: processing")
        while self._lines and not self._waits_for_rest and self._has_room():
            self._take(self._lines.popleft(), now_s)

    def _has_room(self) -> bool:
        return self.machine.queued_count < _QUEUE_LENGTH

    def _take(self, line: str, now_s: float) -> None:
        body, star, sent = line.rpartition("*")
        match = _NUMBERED.fullmatch(body) if star else None
        if star and (match is None or sent != str(checksum(body))):
            self._again("checksum mismatch")
            return
        if match is not None:
            body, number = match[2], int(match[1])
            if number != self._last_number + 1 and not body.startswith("M110"):
                self._again("Line Number is not Last Line Number+1")
                return
            self._last_number = number
        self._obey(body if star else line, now_s)

    def _again(self, why: str) -> None:
        self._push(f"Error:{why}, Last Line: {self._last_number}")
        self._push(f"Resend: {self._last_number + 1}")
        self._push("ok")

    def _obey(self, line: str, now_s: float) -> None:
        code = line.split(" ")[0]
        values = {letter: float(value) for letter, value in _WORDS.findall(line) if value}
        if code == "M110":
            self._last_number = int(values.get("N", 0))
        elif code == "G28":
            if line != "G28 Z":  # both go in one here, the last of them
                self.machine.home(now_s, lambda: None)
                self._wait(now_s)
                return
        elif code == "G1":
            self._move(values, now_s)
        elif code == "M84":
            self.frees_motors_s = values.get("S", self.frees_motors_s)
        elif code == "M400":
            self._wait(now_s)
            return
        elif code == "M410":
            self.machine.quick_stop(now_s)
        else:
            self._answer(code, now_s)
        self._push("ok")

    def _wait(self, now_s: float) -> None:
        self._waits_for_rest, self._busy_told_s = True, now_s

    def _move(self, values: dict[str, float], now_s: float) -> None:
        machine = self.machine
        if not machine.is_homed:
            self._push("echo:Home XYZ First")
            return
        target = machine.ordered_end_um(now_s)
        for axis, name in enumerate(AXES):
            target[axis] = values.get(name, target[axis] / 1000) * 1000
        # Marlin's soft endstops do not refuse, they shorten.
        target = target.clip(machine.settings.lowest_um, machine.settings.highest_um)
        machine.add(Job(target=target, speed_um_per_s=values.get("F", 60.0) * 1000 / 60), now_s)

    def _answer(self, code: str, now_s: float) -> None:
        s = self.machine.settings
        if code == "M114":
            machine = self.machine
            place_um = (
                machine.ordered_end_um(now_s) if self._tells_target else machine.position_um(now_s)
            )
            x, y, z = place_um / 1000
            self._push(f"X:{x:.2f} Y:{y:.2f} Z:{z:.2f} E:0.00 Count X:0 Y:0 Z:0")
        elif code == "M115":
            self._push("FIRMWARE_NAME:Marlin 2.1.2 (simulated) PROTOCOL_VERSION:1.0")
            self._push(f"Cap:EMERGENCY_PARSER:{self._has_emergency_parser:d}")
        elif code == "M211":
            low, high = s.lowest_um / 1000, s.highest_um / 1000
            told = " ".join(f"{name}{value:.2f}" for name, value in zip(AXES, low, strict=True))
            most = " ".join(f"{name}{value:.2f}" for name, value in zip(AXES, high, strict=True))
            self._push(f"echo:Soft endstops: On  Min:  {told}   Max:  {most}")
        elif code == "M503":
            for number, triple in (
                ("M203", s.speed_um_per_s),
                ("M201", s.acceleration_um_per_s2),
            ):
                x, y, z = (value / 1000 for value in triple)
                self._push(f"echo:  {number} X{x:.2f} Y{y:.2f} Z{z:.2f}")
            travel = min(s.acceleration_um_per_s2) / 1000
            self._push(f"echo:  M204 P3000.00 R3000.00 T{travel:.2f}")
        elif code not in {"G90", "G21"}:
            self._push(f'echo:Unknown command: "{code}"')
