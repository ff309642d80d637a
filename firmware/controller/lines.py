"""Bytes become lines; lines are checked and numbered (`protocol.md`, sections 2, 3, 5)."""

from controller.refusal import CHECKSUM_WRONG, LINE_NUMBER_OUTSIDE, LINE_TOO_LONG, Refused

LINE_LIMIT = 96
BUFFER_LIMIT = 1024
LINE_NUMBER_LIMIT = 9_999_999
QUERY, HOLD, RESUME = ord("?"), ord("!"), ord("~")
RESET = 0x18
JOG_CANCEL = 0x85
REAL_TIME = (QUERY, HOLD, RESUME, RESET, JOG_CANCEL)


def checksum(text: bytes) -> int:
    """XOR of all bytes."""
    result = 0
    for byte in text:
        result ^= byte
    return result


class LineBuffer:
    """What has come in and waits: whole lines, and the beginning of the next."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.lines: list[bytes | None] = []
        """Lines without their end; None stands for one that was too long or lost characters."""
        self.waiting = 0
        """Characters that wait, ends of lines too."""
        self._partial = bytearray()
        self._is_broken = False

    def put(self, byte: int) -> None:
        """Add one byte that is no real-time command."""
        if byte >= 0x80 or byte == 0x0D:
            return
        if byte != 0x0A:
            if len(self._partial) >= LINE_LIMIT or self.waiting >= BUFFER_LIMIT:
                self._is_broken = True
            else:
                self._partial.append(byte)
                self.waiting += 1
            return
        self._end_line()

    def _end_line(self) -> None:
        """Put a line behind the others; lines for which there is no room at all count as one."""
        self.waiting -= len(self._partial) if self._is_broken else 0
        is_full = self.waiting >= BUFFER_LIMIT
        is_lost = self._is_broken or (is_full and not self._partial)
        if not (is_full and is_lost and self.lines[-1] is None):
            self.lines.append(None if is_lost else bytes(self._partial))
            self.waiting += 1
        self._partial = bytearray()
        self._is_broken = False

    def take(self) -> bytes | None:
        """Remove the oldest line."""
        line = self.lines.pop(0)
        self.waiting -= 1 + (len(line) if line else 0)
        return line


def without_comments(text: str) -> str:
    """Drop comments and blanks, raise to upper case."""
    kept = ""
    depth = 0
    for letter in text:
        if letter == ";" and not depth:
            break
        if letter == "(":
            depth = 1
        elif letter == ")":
            depth = 0
        elif not depth and letter > " ":
            kept += letter
    return kept.upper()


def split_number(text: str) -> tuple[int | None, str]:
    """Separate a leading N word: its number (None without one) and the rest. Raises Refused."""
    if text[:1] != "N":
        return None, text
    end = 1
    while end < len(text) and text[end].isdigit():
        end += 1
    number = int(text[1:end]) if end > 1 else -1
    if not 0 <= number <= LINE_NUMBER_LIMIT:
        raise Refused(LINE_NUMBER_OUTSIDE)
    return number, text[end:]


class LineGuard:
    """Admits each line once, whole and in order; keeps the last reply for a host that lost it."""

    def __init__(self) -> None:
        self.is_checked = False
        self.last_number: int | None = None
        self._last_reply = ""

    def admit(self, raw: bytes | None) -> tuple[str | None, str]:
        """Decide about a line: the command to carry out, or None and the reply.

        Raises Refused outside checked mode for a line that is broken.
        """
        body, star, tail = (raw or b"").rpartition(b"*")
        is_whole = raw is not None and star == b"*" and matches(body, tail)
        if not self.is_checked:
            return self._admit_plain(raw, star, body, is_whole)
        if not is_whole:
            return None, self._resend()
        try:
            number, command = split_number(without_comments(str(body, "ascii")))
        except Refused:  # no number that a line may have: a reply would be taken for the last one's
            return None, self._resend()
        if number is None:
            renumbered = self._renumber(command)
            return (None, "ok") if renumbered else (None, self._resend())
        if number == self.last_number:
            return None, self._last_reply
        if number < self._expected():
            return None, f"ok N{number}"
        if number > self._expected() or "N" in command:  # two lines that ran together
            return None, self._resend()
        self.last_number = number
        return command, ""

    def _admit_plain(
        self, raw: bytes | None, star: bytes, body: bytes, is_whole: bool
    ) -> tuple[str | None, str]:
        if raw is None:
            raise Refused(LINE_TOO_LONG)
        if not star:
            number, command = split_number(without_comments(str(raw, "ascii")))
            if number is not None:
                self.last_number = number
            return command, ""
        if not is_whole:
            raise Refused(CHECKSUM_WRONG)
        text = without_comments(str(body, "ascii"))
        if self._renumber(text):
            return None, "ok"
        number, command = split_number(text)
        if number is not None:
            self.last_number = number
        return command, ""

    def sign_reply(self, reply: str) -> str:
        """Add the line's number to its reply in checked mode, and remember it."""
        if self.is_checked and not reply.startswith("Resend") and " N" not in reply:
            reply = f"{reply} N{self.last_number}"
            self._last_reply = reply
        return reply

    def seal(self, line: str) -> str:
        """Add the checksum that every line of the controller carries in checked mode."""
        if not self.is_checked or not line:
            return line
        return f"{line}*{checksum(line.encode())}"

    def _expected(self) -> int:
        return (self.last_number or 0) + 1

    def _resend(self) -> str:
        return f"Resend: {self._expected()}"

    def _renumber(self, command: str) -> bool:
        """Obey `M110 Nn`, which came with a right checksum: checked mode, counted from n."""
        if command[:5] != "M110N":
            return False
        number, rest = split_number(command[4:])
        if number is None or rest:
            return False
        self.is_checked = True
        self.last_number = number
        return True


def matches(body: bytes, tail: bytes) -> bool:
    """Whether `tail` is the checksum of `body` in decimal."""
    digits = str(tail, "ascii").strip()
    return digits.isdigit() and int(digits) == checksum(body)
