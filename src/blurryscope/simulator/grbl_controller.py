"""A stage controller without one: speaks `firmware/protocol.md`, or plain GRBL, byte by byte."""

import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from blurryscope.simulator.checked_lines import CheckedLines, Unpacked
from blurryscope.simulator.machine import Machine
from blurryscope.simulator.machine_parts import AXES, Job, MachineSettings, MachineState

_QUEUE_LENGTH = 15
_BUFFER_LENGTH = 128
_LONGEST_LINE = 96
_REAL_TIME = frozenset(b"?!~\x18\x85")
_WORD = re.compile(r"([A-Z])([-+]?(?:\d+\.?\d*|\.\d+))")
_PLAIN_CODES = frozenset({"G17", "G21", "G53", "G54", "G94"})
_LOCKED = 9
_FULL_LAMP = 1000
NO_SETTINGS: Mapping[int, float] = MappingProxyType({})
_OVERLONG = "\x00"
"""Stands for a line of which characters were lost."""


class _RefusedError(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(f"error:{number}")
        self.number = number


@dataclass(slots=True)
class _Modes:
    motion: str = "G0"
    is_absolute: bool = True
    feed_um_per_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A line of G-code taken apart: at most one value a letter, but several of G and M."""

    codes: tuple[str, ...]
    values: dict[str, float] = field(default_factory=dict)


class GrblController:
    """Takes bytes with the time they came, gives bytes back; knows nothing of ports.

    Parameters
    ----------
    machine_settings
        What it drives.
    has_checksums
        False is plain GRBL 1.1: no checked mode, no marks, no boot id, no watchdog; heeds nothing
        but a reset while it homes, and after a limit was hit.
    boot_id
        Gives the id at every power-on.
    more_settings
        Told with the others; 10 and 13 change the reports as in GRBL.
    work_offset_um
        What plain GRBL keeps in its `G54` and adds to places without `G53`.
    """

    def __init__(
        self,
        machine_settings: MachineSettings,
        *,
        has_checksums: bool = True,
        boot_id: Callable[[], str],
        more_settings: Mapping[int, float] = NO_SETTINGS,
        work_offset_um: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        self.machine = Machine(machine_settings, self._tell_of_machine)
        self.machine.watches_in_homing = has_checksums
        self._has_checksums = has_checksums
        self._more_settings = dict(more_settings)
        self._work_offset_um = work_offset_um
        self._new_boot_id = boot_id
        self._boot_id = boot_id()
        self._power_on_s = 0.0
        self._modes = _Modes()
        self._checked = CheckedLines()
        self._last_number: int | None = None
        self._typed = bytearray()
        self._is_overlong = False
        self._lines: deque[str] = deque()
        self._blocked: Callable[[int | None], None] | None = None
        self._told = bytearray()
        self._mark_count = 0
        self._is_locked_up = False
        """A limit was hit, and plain GRBL turns round in a loop until it is reset."""
        self._needs_reset = False
        """A limit was hit, and our protocol refuses every line until it is reset."""
        self._is_asked = False
        """Plain GRBL answers a `?` only when it has homed."""

    # The wire

    def power_on(self, now_s: float) -> None:
        """The first start, or one after a failure: everything but the settings is forgotten."""
        with self.machine.lock:
            self.machine.advance(now_s)
            self.machine.restart(now_s)
            self._boot_id = self._new_boot_id()
            self._power_on_s = now_s
            self._mark_count = 0
            self._told.clear()
            self._clear()
            self._greet()

    def feed(self, received: bytes, now_s: float) -> None:
        """Bytes from the host."""
        with self.machine.lock:
            self.machine.advance(now_s)
            for byte in received:
                self.machine.heard(now_s)
                if self._is_locked_up and byte != 0x18:
                    continue
                if byte in _REAL_TIME:
                    self._real_time(byte, now_s)
                elif byte < 0x80:
                    self._typed_byte(byte)
            self._work(now_s)

    def advance(self, now_s: float) -> bytes:
        """Let time pass; gives what is to be sent to the host since the last call."""
        with self.machine.lock:
            self.machine.advance(now_s)
            self._work(now_s)
            told = bytes(self._told)
            self._told.clear()
            return told

    def _typed_byte(self, byte: int) -> None:
        if byte == ord("\n"):
            self._lines.append(_OVERLONG if self._is_overlong else self._typed.decode("ascii"))
            self._typed.clear()
            self._is_overlong = False
        elif byte != ord("\r"):
            is_full = sum(map(len, self._lines)) + len(self._typed) >= _BUFFER_LENGTH
            self._is_overlong |= is_full or len(self._typed) >= _LONGEST_LINE
            if not self._is_overlong:
                self._typed.append(byte)

    def _real_time(self, byte: int, now_s: float) -> None:
        if byte == 0x18:
            self.machine.reset(now_s)
            self._clear()
            self._greet()
        elif not self._has_checksums and self.machine.state is MachineState.HOMING:
            self._is_asked |= byte == ord("?")
        elif byte == ord("?"):
            self._push(self._status(now_s))
        elif byte == ord("!"):
            self.machine.hold(now_s)
        elif byte == ord("~"):
            self.machine.go_on(now_s)

    def _clear(self) -> None:
        self._modes = _Modes()
        self._checked = CheckedLines()
        self._last_number = None
        self._typed.clear()
        self._lines.clear()
        self._blocked = None
        self._is_locked_up = self._needs_reset = self._is_asked = False

    def _greet(self) -> None:
        name = "[BlurryScope 1.0.0 '$' for help]" if self._has_checksums else "['$' for help]"
        self._push("")
        self._push(f"Grbl 1.1h {name}")
        if self.machine.state is MachineState.ALARM:
            self._push("[MSG:'$H'|'$X' to unlock]")

    def _tell_of_machine(self, line: str) -> None:
        self._push(line)
        if line in {"ALARM:1", "ALARM:2"}:
            self._push("[MSG:RESET TO GO ON]" if self._has_checksums else "[MSG:Reset to continue]")
            self._needs_reset, self._is_locked_up = self._has_checksums, not self._has_checksums

    def _push(self, line: str) -> None:
        self._told += self._checked.sealed(line).encode("ascii") + b"\r\n"

    def _status(self, now_s: float) -> str:
        machine = self.machine
        place = ",".join(f"{value / 1000:.3f}" for value in machine.position_um(now_s))
        feed = machine.path.speed_at(now_s) * 60 / 1000
        free = _BUFFER_LENGTH - 1 - sum(map(len, self._lines)) - len(self._typed)
        fields = [
            machine.state.value,
            f"{'MPos' if int(self._more_settings.get(10, 1)) & 1 else 'WPos'}:{place}",
            f"Bf:{_QUEUE_LENGTH - machine.queued_count},{free}",
            f"FS:{feed:.0f},{machine.lamp}",
        ]
        if self._last_number is not None:
            fields.append(f"Ln:{self._last_number}")
        if switches := machine.closed_switches(now_s):
            fields.append(f"Pn:{switches}")
        if self._has_checksums:
            uptime_ms = (now_s - self._power_on_s) * 1000
            fields += [f"H:{machine.is_homed:d}", f"Up:{uptime_ms:.0f}", f"Id:{self._boot_id}"]
        return f"<{'|'.join(fields)}>"

    # Lines and replies

    def _work(self, now_s: float) -> None:
        """Take lines until one has to wait for its reply."""
        if self._is_locked_up:
            return
        if self._is_asked and self.machine.state is not MachineState.HOMING:
            self._is_asked = False
            self._push(self._status(now_s))
        if self._blocked is not None and self.machine.state in {
            MachineState.ALARM,
            MachineState.BARKED,
        }:
            self._blocked(_LOCKED)
        while self._lines and not self._is_waiting and self._has_room():
            self._take(self._lines.popleft(), now_s)

    @property
    def _is_waiting(self) -> bool:
        return self._blocked is not None or self._is_locked_up

    def _has_room(self) -> bool:
        return self.machine.queued_count < _QUEUE_LENGTH

    def _take(self, line: str, now_s: float) -> None:
        if line == _OVERLONG:
            self._push(self._again_or("error:11"))
            return
        taken = self._checked.unpack(line) if self._has_checksums else Unpacked(line)
        if taken.instead is not None:
            self._push(taken.instead)
            return
        self._last_number = taken.number if taken.number is not None else self._last_number

        def reply(error: int | None) -> None:
            self._blocked = None
            text = "ok" if error is None else f"error:{error}"
            self._push(self._checked.replied(text, taken.number))

        if self._needs_reset:
            reply(_LOCKED)
            return
        try:
            is_answered = self._carry_out(taken.body.upper().replace(" ", ""), reply, now_s)
        except _RefusedError as refusal:
            reply(refusal.number)
            return
        if is_answered:
            reply(None)

    def _again_or(self, refusal: str) -> str:
        """In checked mode a line that did not fit is asked for once more."""
        is_on = self._checked.is_on
        return f"Resend: {self._checked.last_number + 1}" if is_on else refusal

    def _carry_out(self, line: str, reply: Callable[[int | None], None], now_s: float) -> bool:
        """Do what a line says; whether its reply is due at once."""
        if line.startswith("$"):
            return self._dollar(line, reply, now_s)
        if not line:
            return True
        words = take_apart(line)
        state = self.machine.state
        if state in {MachineState.ALARM, MachineState.BARKED, MachineState.HOMING}:
            raise _RefusedError(_LOCKED)
        for code in words.codes:
            if code in {"G90", "G91"}:
                self._modes.is_absolute = code == "G90"
            elif code in {"G0", "G1"}:
                self._modes.motion = code
        if "F" in words.values:
            self._modes.feed_um_per_s = words.values["F"] * 1000 / 60
        return self._act(words, reply, now_s)

    def _act(self, words: Words, reply: Callable[[int | None], None], now_s: float) -> bool:
        unknown = set(words.codes) - _PLAIN_CODES - {"G0", "G1", "G4", "G90", "G91", "M3", "M5"}
        if unknown - ({"M100"} if self._has_checksums else set()):
            raise _RefusedError(20)

        def done() -> None:
            reply(None)

        if "G4" in words.codes:
            self._wait_for(Job(dwell_s=words.values.get("P", 0.0), done=done), reply, now_s)
        elif "M3" in words.codes:
            level = words.values.get("S", 0.0) * _FULL_LAMP / self._settings()[30]
            self._wait_for(Job(lamp=min(round(level), _FULL_LAMP), done=done), reply, now_s)
        elif "M5" in words.codes:
            self._wait_for(Job(lamp=0, done=done), reply, now_s)
        elif "M100" in words.codes:
            self._mark(words.values.get("P", 0.0), done, reply, now_s)
        elif any(axis in words.values for axis in AXES):
            return self._move(words, now_s)
        else:
            return True
        return self._blocked is None

    def _wait_for(self, job: Job, reply: Callable[[int | None], None], now_s: float) -> None:
        self._blocked = reply
        self.machine.add(job, now_s)
        self.machine.advance(now_s)

    def _mark(
        self,
        dark_s: float,
        done: Callable[[], None],
        reply: Callable[[int | None], None],
        now_s: float,
    ) -> None:
        before = self.machine.lamp
        self._mark_count += 1
        number = self._mark_count

        def dark() -> None:
            self._push(f"[MSG:MARK {number} {(now_s - self._power_on_s) * 1000:.0f}]")

        self._blocked = reply
        self.machine.add(Job(lamp=0, done=dark), now_s)
        self.machine.add(Job(dwell_s=dark_s), now_s)
        self.machine.add(Job(lamp=before, done=done), now_s)
        self.machine.advance(now_s)

    def _move(self, words: Words, now_s: float) -> bool:
        machine = self.machine
        if not machine.is_homed:
            raise _RefusedError(_LOCKED)
        if self._modes.motion == "G1" and self._modes.feed_um_per_s <= 0:
            raise _RefusedError(22)
        target = machine.ordered_end_um(now_s)
        for axis, name in enumerate(AXES):
            if name in words.values:
                asked_um = words.values[name] * 1000
                if self._modes.is_absolute and "G53" not in words.codes:
                    asked_um += self._work_offset_um[axis]
                target[axis] = asked_um if self._modes.is_absolute else target[axis] + asked_um
        if not machine.can_reach(target):
            if self._has_checksums:
                raise _RefusedError(15)
            machine.alarm(2, now_s)
            return False
        speed = math.inf if self._modes.motion == "G0" else self._modes.feed_um_per_s
        machine.add(Job(target=target, speed_um_per_s=speed), now_s)
        return True

    def _dollar(self, line: str, reply: Callable[[int | None], None], now_s: float) -> bool:
        machine = self.machine
        if machine.state not in {MachineState.IDLE, MachineState.ALARM} or machine.queued_count:
            raise _RefusedError(8)
        if line == "$H":
            self._blocked = reply
            machine.home(now_s, lambda: reply(None))
            return False
        if line == "$X":
            machine.unlock()
        elif line == "$I":
            for told in self._identity():
                self._push(told)
        elif line == "$$":
            for number, value in self._settings().items():
                self._push(f"${number}={value:g}" if value == int(value) else f"${number}={value}")
        else:
            raise _RefusedError(3)
        return True

    def _identity(self) -> list[str]:
        if not self._has_checksums:
            return ["[VER:1.1h.20190825:]", "[OPT:V,15,128]"]
        return [
            "[VER:1.1h.20261122:BlurryScope]",
            "[OPT:VNL,15,128]",
            "[NEWOPT:LINENUM,CHECKSUM,WATCHDOG,MARK,BOOTID]",
            "[FIRMWARE:BlurryScope 1.0.0]",
            "[PROTOCOL:1]",
            "[AXS:3:XYZ]",
            "[BOARD:simulated]",
            f"[BOOT:{self._boot_id}]",
        ]

    def _settings(self) -> dict[int, float]:
        s = self.machine.settings
        mask = sum(1 << axis for axis, low in enumerate(s.homes_low) if low)
        values: dict[int, float] = {20: 1, 21: 1, 22: 1, 23: mask, 27: s.pull_off_um / 1000}
        values[24] = s.touch_um_per_s * 60 / 1000
        values[25] = s.seek_um_per_s * 60 / 1000
        for axis in range(3):
            values[100 + axis] = s.steps_per_mm
            values[110 + axis] = s.speed_um_per_s[axis] * 60 / 1000
            values[120 + axis] = s.acceleration_um_per_s2[axis] / 1000
            values[130 + axis] = s.travel_um[axis] / 1000
        values |= {30: _FULL_LAMP, 31: 0}
        if not self._has_checksums:
            values[1] = 255
        elif s.watchdog_s is not None:
            values[200] = s.watchdog_s
        return dict(sorted((values | self._more_settings).items()))


def take_apart(line: str) -> Words:
    """Split a line without blanks into its words; what does not fit is error:1 or error:2."""
    codes: list[str] = []
    values: dict[str, float] = {}
    at = 0
    while at < len(line):
        match = _WORD.match(line, at)
        if match is None:
            raise _RefusedError(2 if line[at].isalpha() else 1)
        letter, value = match[1], float(match[2])
        if letter in "GM":
            codes.append(f"{letter}{value:g}")
        elif letter in values:
            raise _RefusedError(25)
        elif letter not in "XYZFPSN":
            raise _RefusedError(20)
        else:
            values[letter] = value
        at = match.end()
    return Words(codes=tuple(codes), values=values)
