"""The words of GRBL 1.1 and of our firmware, as `firmware/protocol.md` has them: text to values."""

import re
from dataclasses import dataclass
from functools import reduce

_REPORT = re.compile(r"<([A-Za-z]+(?::\d{1,2})?)((?:\|[A-Za-z]+:[^|<>*]*)+)>")
_REPLY = re.compile(r"(ok|error:(\d+))(?: N(\d+))?")
_RESEND = re.compile(r"Resend: (\d+)")
_SEALED = re.compile(r"(.*)\*(\d{1,3})")
_PLACE = re.compile(r"-?\d+\.\d+(?:,-?\d+\.\d+)+")
"""Of two axes or more; a point that became a comma on its way is no place."""
_BANNER = re.compile(r"Grbl(?:HAL)? \S+ \[.*\]")
_SETTING = re.compile(r"\$(\d+)=(-?\d+(?:\.\d+)?)(?: .*)?")
STATES = frozenset(
    {"Idle", "Run", "Jog", "Home", "Hold", "Alarm", "Door", "Check", "Sleep", "Tool"}
)
NOT_HOMED_ALARMS = frozenset({11, 14})
"""What grblHAL (11) and FluidNC (14) push after a reset when they have to be homed: no event."""

ALARMS = {
    1: "a limit switch closed, or its wire broke, or the emergency stop was pressed",
    2: "the target lay outside its soft limits",
    3: "it was reset while it moved",
    6: "homing was interrupted",
    7: "homing was interrupted by the door",
    8: "a switch stayed closed after homing pulled off",
    9: "homing found no switch within 1.5 times the travel",
    20: "its pulse generator ran dry in the middle of a move",
}
"""What alarms mean."""

ERRORS = {
    8: "it is busy",
    9: "it is locked until it is homed",
    10: "its soft limits are on and its homing is off",
    11: "the line was too long",
    15: "the target lies outside its soft limits",
    22: "no feed was given",
    60: "the checksum was wrong",
}
"""What refusals mean, the more likely ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A status report."""

    state: str
    """Without its number: `Hold`, not `Hold:2`."""
    stage: int
    """The number behind the state, 0 where there is none."""
    position_um: tuple[float, float, float]
    is_homed: bool | None
    """None: this controller does not tell."""
    uptime_ms: int | None
    boot_id: str | None
    switches: str

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing moves; a hold that still slows down does."""
        return self.state not in {"Run", "Jog", "Home"} and not self.is_slowing

    @property
    def is_slowing(self) -> bool:
        return self.state == "Hold" and self.stage == 1

    @property
    def is_stopped_by_watchdog(self) -> bool:
        return self.state == "Hold" and self.stage == 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a line got; `error` is None for `ok`, `number` None without line numbers."""

    error: int | None
    number: int | None


def checksum(text: str) -> int:
    """The XOR of all bytes of an ASCII text."""
    return reduce(lambda total, byte: total ^ byte, text.encode("ascii"), 0)


LAST_NUMBER = 9_999_999
"""Of a line; a controller knows no greater one."""


def sealed(number: int, line: str) -> bytes:
    """A line with its number and checksum, as it goes over the wire."""
    body = f"N{number} {line}"
    return f"{body}*{checksum(body)}\n".encode("ascii")


def unsealed(line: str) -> str | None:
    """The line without its checksum; None when that is missing or wrong."""
    match = _SEALED.fullmatch(line)
    if match is None or not line.isascii() or checksum(match[1]) != int(match[2]):
        return None
    return match[1]


def tells_work_place(line: str) -> bool:
    """Whether a report says where the workpiece is instead of the machine: another `$10`."""
    return line.startswith("<") and "|WPos:" in line and "|MPos:" not in line


def read_report(line: str) -> Report | None:
    """Read `<Run|MPos:…>`; None for anything that is not exactly such a report.

    Axes beyond the third are left out.
    """
    match = _REPORT.fullmatch(line)
    if match is None:
        return None
    state, _, stage = match[1].partition(":")
    fields = dict(part.split(":", 1) for part in match[2][1:].split("|"))
    try:
        told = fields["MPos"] if _PLACE.fullmatch(fields["MPos"]) else ""
        place = [float(value) * 1000 for value in told.split(",")]
        uptime = int(fields["Up"]) if "Up" in fields else None
    except (KeyError, ValueError):
        return None
    if state not in STATES:
        return None
    return Report(
        state=state,
        stage=int(stage or 0),
        position_um=(place[0], place[1], place[2] if len(place) > 2 else 0.0),
        is_homed=fields["H"].split(",")[0] == "1" if "H" in fields else None,
        uptime_ms=uptime,
        boot_id=fields.get("Id"),
        switches=fields.get("Pn", ""),
    )


def read_reply(line: str) -> Reply | None:
    """Read `ok`, `error:15 N12`; None for anything else."""
    match = _REPLY.fullmatch(line)
    if match is None:
        return None
    return Reply(
        error=int(match[2]) if match[2] else None, number=int(match[3]) if match[3] else None
    )


def read_resend(line: str) -> int | None:
    """The number that `Resend: 12` asks for."""
    match = _RESEND.fullmatch(line)
    return int(match[1]) if match else None


def is_banner(line: str) -> bool:
    """Whether a controller says its name, as it does after every reset."""
    return _BANNER.fullmatch(line) is not None


def read_settings(lines: list[str]) -> dict[int, float]:
    """The values of `$n=value` lines; others are skipped."""
    matches = (_SETTING.fullmatch(line) for line in lines)
    return {int(match[1]): float(match[2]) for match in matches if match}


def read_identity(lines: list[str]) -> dict[str, str]:
    """`[VER:…]` and its like as a dict."""
    pairs = (line[1:-1].partition(":") for line in lines if re.fullmatch(r"\[[A-Z]+:.*\]", line))
    return {key: value for key, _, value in pairs}
