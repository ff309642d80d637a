"""A thousand faults on the line: what was not said is not done, and the stage stays inside."""

import random
from collections import Counter

from controller.controller import ALARM, BRAKING, HELD, HOMING, READY, SILENCED
from controller.lines import checksum
from desk.simulated_board import HOME_ENDS, STEPS_PER_MM, TRAVEL_MM
from desk.transcript import SIGN_OF_LIFE, Desk

FAULT_COUNT = 1000
PATIENCE_MS = 60
BEHIND_SWITCH = STEPS_PER_MM // 20
"""Homing runs a little past the point where a switch closes: 4 mm/s in the time of its debounce."""
ENDS = {ALARM: "alarm, homed again", HELD: "held", SILENCED: "stopped by the watchdog"}
SAYINGS = {
    "as if nothing had been",
    "sent again on request",
    "sent again after silence",
    "soft reset",
}
WEIGHTS = [20] * 8 + [4]
FAULTS = ("drop", "flip", "double", "insert", "no end", "break", "cut", "late", "host gone")


class SharpDesk(Desk):
    """Looks after every millisecond whether the stage is where it may be."""

    def wait_ms(self, time_ms: int, beats: bool = True) -> None:
        for _ in range(time_ms):
            if beats and self.board.now_us() % 250_000 == 0:
                self.send(SIGN_OF_LIFE)
            place = list(self.board.place)
            is_locked = not self.controller.is_homed and self.controller.state != HOMING
            super().wait_ms(1)
            for axis, end in enumerate(HOME_ENDS):
                from_switch = -end * self.board.place[axis]
                assert -BEHIND_SWITCH < from_switch < TRAVEL_MM[axis] * STEPS_PER_MM
            if is_locked:
                assert self.board.place == place


class Host:
    """Sends numbered lines until each is acknowledged, as `protocol.md` says."""

    def __init__(self, desk: Desk, source: random.Random) -> None:
        self.desk = desk
        self.source = source
        self.number = 0
        self.x_um = 0
        self.begin()

    def begin(self) -> None:
        self.desk.send(b"\n\x18")
        self.desk.wait_ms(5)
        self.desk.heard()
        self.number = 0
        self.desk.send(b"M110 N0*35\n")
        self.desk.wait_ms(3)
        assert self.desk.heard() == ["ok N0*90"]
        if not self.desk.controller.is_homed:
            self.say("$H")
            self.x_um = 0
        self.say("M3 S900")

    def say(self, command: str, fault: str = "") -> str:
        """Send until acknowledged; return how it went."""
        self.number += 1
        body = f"N{self.number} {command}".encode()
        line = body + f"*{checksum(body)}\n".encode()
        went = "as if nothing had been" if fault else ""
        for attempt in range(40):
            self.desk.send(spoil(line, fault, self.source) if attempt == 0 else line)
            if attempt == 0 and fault == "host gone":
                self.desk.wait_ms(5200, beats=False)
            heard = self.listen()
            if any(answer.startswith("Grbl") for answer in heard):
                return "soft reset"
            if any(answer.startswith("Resend") for answer in heard):
                went = "sent again on request"
            if any(answer.startswith(f"ok N{self.number}*") for answer in heard):
                return went
            if any(answer.startswith(f"error:9 N{self.number}*") for answer in heard):
                return "locked"
            went = went if heard else "sent again after silence"
            if self.desk.controller.state == HELD:
                return "held"
        raise AssertionError(f"{command} was never acknowledged")

    def listen(self) -> list[str]:
        """Wait for answers, for homing as long as it takes."""
        heard: list[str] = []
        for waited_ms in range(60_000):
            self.desk.wait_ms(1)
            heard += self.desk.heard()
            is_homing = self.desk.controller.state == HOMING
            if not is_homing and (heard or waited_ms > PATIENCE_MS):
                break
        return heard


def spoil(line: bytes, fault: str, source: random.Random) -> bytes:
    """Send a line as a bad cable would."""
    at = source.randrange(len(line) - 1)
    if fault == "drop":
        return line[:at] + line[at + 1 :]
    if fault == "flip":
        return line[:at] + bytes([line[at] ^ 1 << source.randrange(8)]) + line[at + 1 :]
    if fault == "double":
        return line + line
    if fault == "insert":
        return line[:at] + bytes([source.randrange(256)]) + line[at:]
    if fault == "no end":
        return line[:-1]
    if fault == "break":
        return line[:at] + b"\n" + line[at:]
    if fault in ("cut", "late"):
        return line[:at] if fault == "cut" else b""
    return line


def inflict(fault: str, host: Host, source: random.Random) -> str:
    """Send one move with a fault, wait for the end of it; return how it went."""
    desk = host.desk
    is_long = fault == "host gone"
    step_um = source.randint(-150, 150)
    if is_long:
        step_um = 10_000 if host.x_um < 38_000 else -10_000
    target_um = min(max(host.x_um + step_um, 0), 76_000)
    went = host.say(f"G1 X{target_um / 1000:.3f} F{60 if is_long else 600}", fault)
    while desk.controller.is_busy and desk.controller.state in (READY, BRAKING):
        desk.wait_ms(1)
    state = desk.controller.state
    host.x_um = round(desk.controller.motion.position_nm(0) / 1000)
    if went in ("soft reset", "locked") or state != READY:
        host.begin()
        return ENDS.get(state, went)
    assert abs(host.x_um - target_um) <= 1, (fault, went)
    return went


def test_a_thousand_faults_move_nothing_that_was_not_said() -> None:
    source = random.Random(7)
    host = Host(SharpDesk(), source)
    outcomes = Counter(
        inflict(source.choices(FAULTS, WEIGHTS)[0], host, source) for _ in range(FAULT_COUNT)
    )
    assert outcomes.total() == FAULT_COUNT
    assert outcomes["as if nothing had been"] > FAULT_COUNT // 5
    assert outcomes["sent again on request"] > FAULT_COUNT // 5
    assert outcomes["sent again after silence"] > FAULT_COUNT // 20
    assert outcomes["stopped by the watchdog"] > 10
    assert set(outcomes) <= {*SAYINGS, *ENDS.values()}
