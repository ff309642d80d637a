"""The settings that `$$` shows: names, units, ranges, and how they lie in flash."""

from controller.integers import parse_decimal, show_decimal
from controller.refusal import (
    DOLLAR_UNKNOWN,
    NEGATIVE_VALUE,
    NUMBER_MALFORMED,
    SETTING_OUTSIDE,
    Refused,
)

MILLI = 3

_TABLE = (
    # number, places behind the point, default, lowest, highest; all in units of 10**-places
    (3, 0, 0, 0, 7),  # direction inverted, bit 0 is X
    (4, 0, 0, 0, 1),  # enable pins active high
    (5, 0, 0, 0, 7),  # switch inputs read inverted
    (20, 0, 1, 1, 1),  # soft limits, hard limits and homing cannot be switched off
    (21, 0, 1, 1, 1),
    (22, 0, 1, 1, 1),
    (23, 0, 3, 0, 7),  # axis homes towards its low end
    (24, MILLI, 30_000, 1_000, 600_000),  # homing, touch, mm/min
    (25, MILLI, 240_000, 1_000, 600_000),  # homing, seek, mm/min
    (26, 0, 5, 1, 100),  # debounce, ms
    (27, MILLI, 1_000, 100, 5_000),  # pull-off, mm
    (30, 0, 1000, 1000, 1000),
    (31, 0, 0, 0, 0),
    (100, MILLI, 1_600_000, 10_000, 25_600_000),  # steps/mm: T8x2, 200 steps a turn, 16 microsteps
    (101, MILLI, 1_600_000, 10_000, 25_600_000),
    (102, MILLI, 1_600_000, 10_000, 25_600_000),
    (110, MILLI, 600_000, 1_000, 3_000_000),  # highest rate, mm/min
    (111, MILLI, 600_000, 1_000, 3_000_000),
    (112, MILLI, 120_000, 1_000, 3_000_000),
    (120, MILLI, 100_000, 1_000, 1_000_000),  # acceleration, mm/s²
    (121, MILLI, 100_000, 1_000, 1_000_000),
    (122, MILLI, 50_000, 1_000, 1_000_000),
    (130, MILLI, 76_000, 1_000, 300_000),  # travel, mm
    (131, MILLI, 26_000, 1_000, 300_000),
    (132, MILLI, 10_000, 1_000, 300_000),
    (200, MILLI, 5_000, 500, 60_000),  # watchdog, s
)
UNHOMES = (3, 4, 23, 27, 100, 101, 102, 130, 131, 132)
"""Settings that move the place of zero or the meaning of a step, or free the motors."""


class Settings:
    """Values by their number, in units of 10**-places."""

    def __init__(self) -> None:
        self.value: dict[int, int] = {}
        self.reset()

    def reset(self) -> None:
        """Put every default back."""
        for number, _, default, _, _ in _TABLE:
            self.value[number] = default

    def set(self, number: int, text: str) -> None:
        """Change one setting. Raises Refused, and then nothing is changed."""
        for known, places, _, lowest, highest in _TABLE:
            if known == number:
                try:
                    value = parse_decimal(text, places)
                except ValueError:
                    raise Refused(NUMBER_MALFORMED) from None
                if value < 0:
                    raise Refused(NEGATIVE_VALUE)
                if not lowest <= value <= highest:
                    raise Refused(SETTING_OUTSIDE)
                self.value[number] = value
                return
        raise Refused(DOLLAR_UNKNOWN)

    def show(self) -> list[str]:
        """One `$n=value` each, in order."""
        return [f"${row[0]}={show_decimal(self.value[row[0]], row[1])}" for row in _TABLE]

    def homes_low(self, axis: int) -> bool:
        return bool(self.value[23] >> axis & 1)

    def limits_nm(self, axis: int) -> tuple[int, int]:
        """The lowest and the highest position of an axis."""
        travel_nm = self.value[130 + axis] * 1000
        return (0, travel_nm) if self.homes_low(axis) else (-travel_nm, 0)

    def pack(self) -> bytes:
        """The settings as they lie in flash: a line each, then the CRC-32 of those lines."""
        body = "\n".join(self.show()) + "\n"
        return f"{body}{crc32(body.encode()):08X}\n".encode()

    def unpack(self, stored: bytes) -> bool:
        """Take settings over from flash; False, and nothing is changed, when they are unfit."""
        body, _, tail = stored.rstrip(b"\n").rpartition(b"\n")
        body += b"\n"
        if tail != f"{crc32(body):08X}".encode():
            return False
        loaded = Settings()
        try:
            for line in str(body, "ascii").split("\n")[:-1]:
                name, _, text = line.partition("=")
                loaded.set(int(name[1:]), text)
        except (Refused, ValueError):
            return False
        self.value = loaded.value
        return True


def crc32(content: bytes) -> int:
    """CRC-32 as zip and Ethernet use it (reflected, polynomial 0xEDB88320)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
