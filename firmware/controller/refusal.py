"""Why a line is refused: the numbers of `protocol.md`, section 6."""

LETTER_MISSING = 1
NUMBER_MALFORMED = 2
DOLLAR_UNKNOWN = 3
NEGATIVE_VALUE = 4
NOT_AT_REST = 8
LOCKED = 9
LINE_TOO_LONG = 11
OUTSIDE_LIMITS = 15
JOG_MALFORMED = 16
CODE_UNSUPPORTED = 20
GROUP_TWICE = 21
FEED_MISSING = 22
COMMANDS_CLASH = 24
WORD_TWICE = 25
AXIS_MISSING = 26
LINE_NUMBER_OUTSIDE = 27
VALUE_MISSING = 28
VALUE_TOO_LARGE = 33
WORD_UNUSED = 36
CHECKSUM_WRONG = 60
SETTING_OUTSIDE = 61
SETTING_NOT_STORED = 62

HARD_LIMIT = 1
RESET_IN_MOTION = 3
HOMING_BROKEN_OFF = 6
SWITCH_STAYS_CLOSED = 8
SWITCH_NOT_FOUND = 9
RAN_DRY = 20


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """A line that is not carried out; `code` is the n of `error:n`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class HomingFailed(Exception):  # noqa: N818 - says what happened
    """Homing that did not end at its switch, or saw another; `alarm` is the n of `ALARM:n`."""

    def __init__(self, alarm: int) -> None:
        super().__init__(alarm)
        self.alarm = alarm
