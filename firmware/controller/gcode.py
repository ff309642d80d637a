"""A line of G-code becomes one command; whether the stage may obey is not decided here."""

from controller.integers import divide_rounded, parse_decimal
from controller.refusal import (
    AXIS_MISSING,
    CODE_UNSUPPORTED,
    COMMANDS_CLASH,
    FEED_MISSING,
    GROUP_TWICE,
    JOG_MALFORMED,
    LETTER_MISSING,
    NEGATIVE_VALUE,
    NUMBER_MALFORMED,
    VALUE_MISSING,
    VALUE_TOO_LARGE,
    WORD_TWICE,
    WORD_UNUSED,
    Refused,
)

AXES = "XYZ"
PLACES = 6
"""Values of words are whole numbers of millionths: a position comes out in nm."""
UNIT = 10**PLACES
LONGEST_DWELL_S = 60
LAMP_FULL = 1000

MOVE, DWELL, LAMP, MARK, NOTHING = "move", "dwell", "lamp", "mark", "nothing"

_CODES = {
    ("G", 0): ("command", 0),
    ("G", 1): ("command", 1),
    ("G", 4): ("command", 4),
    ("M", 3): ("command", 3),
    ("M", 5): ("command", 5),
    ("M", 100): ("command", 100),
    ("G", 17): ("plane", 17),
    ("G", 21): ("unit", 21),
    ("G", 53): ("machine", 53),
    ("G", 54): ("system", 54),
    ("G", 90): ("distance", 90),
    ("G", 91): ("distance", 91),
    ("G", 94): ("feed", 94),
}
"""Each code with its group; of a group a line takes one."""


class Modes:
    """What one line leaves for the next."""

    def __init__(self) -> None:
        self.motion = 0
        self.is_relative = False
        self.feed = 0
        """Millionths of mm/min; 0 is none."""
        self.lamp = 0

    def show(self, lamp_now: int) -> str:
        codes = f"G{self.motion} G54 G17 G21 G{91 if self.is_relative else 90} G94"
        lamp = "M3" if lamp_now else "M5"
        return f"[GC:{codes} {lamp} F{self.feed // UNIT} S{self.lamp}]"


class Command:
    """One thing to do: `targets` (nm or None) are for moves, `time_us` and `level` for the rest."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.targets: list[int | None] = [None, None, None]
        self.is_relative = False
        self.is_jog = False
        self.feed: int | None = None
        """Millionths of mm/min; None is as fast as the axes may."""
        self.time_us = 0
        self.level = 0


def read_words(text: str) -> list[tuple[str, int]]:
    """Split `G1X5.2F300` into letters and values in millionths. Raises Refused."""
    words = []
    start = 0
    while start < len(text):
        letter = text[start]
        if not "A" <= letter <= "Z":
            raise Refused(LETTER_MISSING)
        end = start + 1
        while end < len(text) and not "A" <= text[end] <= "Z":
            end += 1
        try:
            words.append((letter, parse_decimal(text[start + 1 : end], PLACES)))
        except ValueError:
            raise Refused(NUMBER_MALFORMED) from None
        start = end
    return words


def read_block(text: str, modes: Modes) -> Command:
    """Understand one line and remember its modes, unless it is refused. Raises Refused."""
    codes, values = _sort(read_words(text))
    number = codes.get("command")
    has_axes = any(axis in values for axis in AXES)
    if number is None and has_axes:
        number = ("G", modes.motion)
    feed = _feed(values, modes.feed)
    is_relative = codes.get("distance", ("G", 91 if modes.is_relative else 90)) == ("G", 91)
    command = _command(number, values, modes.lamp, is_relative, feed)
    if values:
        raise Refused(WORD_UNUSED)
    modes.is_relative = is_relative
    modes.feed = feed
    if command.kind == MOVE and number is not None:
        modes.motion = number[1]
    if number == ("M", 3):
        modes.lamp = command.level
    return command


def read_jog(text: str) -> Command:
    """Understand what follows `$J=`. Raises Refused."""
    try:
        codes, values = _sort(read_words(text))
    except Refused as refused:
        raise Refused(JOG_MALFORMED) from refused
    if "command" in codes or "F" not in values or not any(axis in values for axis in AXES):
        raise Refused(JOG_MALFORMED)
    feed = _feed(values, 0)
    command = _move(values, codes.get("distance") == ("G", 91), feed)
    if values:
        raise Refused(JOG_MALFORMED)
    command.is_jog = True
    return command


def _sort(words: list[tuple[str, int]]) -> tuple[dict[str, tuple[str, int]], dict[str, int]]:
    """Separate codes, by group, from values, by letter."""
    codes: dict[str, tuple[str, int]] = {}
    values: dict[str, int] = {}
    for letter, value in words:
        if letter in ("G", "M"):
            code = (letter, value // UNIT)
            if value % UNIT or code not in _CODES:
                raise Refused(CODE_UNSUPPORTED)
            group, _ = _CODES[code]
            if group in codes:
                raise Refused(COMMANDS_CLASH if group == "command" else GROUP_TWICE)
            codes[group] = code
        elif letter in values:
            raise Refused(WORD_TWICE)
        else:
            values[letter] = value
    return codes, values


def _feed(values: dict[str, int], remembered: int) -> int:
    feed = values.pop("F", None)
    if feed is None:
        return remembered
    if feed <= 0:
        raise Refused(NEGATIVE_VALUE)
    return feed


def _command(
    code: tuple[str, int] | None, values: dict[str, int], lamp: int, is_relative: bool, feed: int
) -> Command:
    """Make the command of its code, taking the words that it uses out of `values`."""
    if code == ("G", 0):
        return _move(values, is_relative, None)
    if code == ("G", 1):
        if feed == 0:
            raise Refused(FEED_MISSING)
        return _move(values, is_relative, feed)
    if code == ("G", 4) or code == ("M", 100):
        command = Command(DWELL if code[0] == "G" else MARK)
        command.time_us = _time_us(values)
        return command
    if code == ("M", 3) or code == ("M", 5):
        command = Command(LAMP)
        command.level = _level(values, lamp) if code[1] == 3 else 0
        return command
    return Command(NOTHING)


def _move(values: dict[str, int], is_relative: bool, feed: int | None) -> Command:
    command = Command(MOVE)
    command.is_relative = is_relative
    command.feed = feed
    command.targets = [values.pop(axis, None) for axis in AXES]
    if command.targets == [None, None, None]:
        raise Refused(AXIS_MISSING)
    return command


def _time_us(values: dict[str, int]) -> int:
    if "P" not in values:
        raise Refused(VALUE_MISSING)
    time_us = values.pop("P")  # seconds in millionths are microseconds
    if time_us < 0:
        raise Refused(NEGATIVE_VALUE)
    if time_us > LONGEST_DWELL_S * UNIT:
        raise Refused(VALUE_TOO_LARGE)
    return time_us


def _level(values: dict[str, int], remembered: int) -> int:
    if "S" not in values:
        return remembered
    level = divide_rounded(values.pop("S"), UNIT)
    if level < 0:
        raise Refused(NEGATIVE_VALUE)
    if level > LAMP_FULL:
        raise Refused(VALUE_TOO_LARGE)
    return level
