"""Line numbers and checksums as a controller sees them: section 5 of `firmware/protocol.md`."""

import re
from dataclasses import dataclass, field
from functools import reduce

_SETS_NUMBER = re.compile(r"(?:N\d+)?\s*M110\s*N(\d{1,7})\s*", re.IGNORECASE)
_NUMBERED = re.compile(r"\s*N(\d{1,7})\s*(.*)", re.IGNORECASE)


def checksum(text: str) -> int:
    """The XOR of all bytes of an ASCII text."""
    return reduce(lambda total, byte: total ^ byte, text.encode("ascii"), 0)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A line that is to be carried out, or the reply that it gets instead."""

    body: str = ""
    number: int | None = None
    instead: str | None = None


@dataclass(slots=True)
class CheckedLines:
    """What was received, and what was said to it."""

    last_number: int = field(default=0, init=False)
    is_on: bool = field(default=False, init=False)
    last_reply: str = field(default="", init=False)

    def sealed(self, line: str) -> str:
        """A line of the controller as it goes over the wire."""
        return f"{line}*{checksum(line)}" if self.is_on else line

    def replied(self, text: str, number: int | None) -> str:
        """Note the reply to a line, for the case that the line comes once more."""
        self.last_reply = text if number is None else f"{text} N{number}"
        return self.last_reply

    def unpack(self, line: str) -> Unpacked:
        """Check a line and take it out of its wrapping."""
        body, star, sent = line.rpartition("*")
        if not star:
            return Unpacked(instead=self._again()) if self.is_on else Unpacked(line)
        is_right = sent.strip() == str(checksum(body))
        if not is_right:
            return Unpacked(instead=self._again() if self.is_on else "error:60")
        if match := _SETS_NUMBER.fullmatch(body):
            self.is_on, self.last_number = True, int(match[1])
            return Unpacked(instead=self.replied("ok", self.last_number))
        numbered = _NUMBERED.fullmatch(body)
        if not self.is_on:
            return Unpacked(body if numbered is None else numbered[2])
        if numbered is None or "N" in numbered[2].upper():  # two lines that ran together
            return Unpacked(instead=self._again())
        return self._in_turn(int(numbered[1]), numbered[2])

    def _in_turn(self, number: int, body: str) -> Unpacked:
        if number > self.last_number + 1:
            return Unpacked(instead=self._again())
        if number <= self.last_number:
            is_last = number == self.last_number
            return Unpacked(instead=self.last_reply if is_last else f"ok N{number}")
        self.last_number = number
        return Unpacked(body, number)

    def _again(self) -> str:
        return f"Resend: {self.last_number + 1}"
