"""Whatever comes down the line, in any order: no exception, and the stage stays where it may be."""

import random

from controller.controller import HOMING, Controller
from controller.gcode import UNIT
from controller.lines import BUFFER_LIMIT, LINE_LIMIT, RESET, checksum
from controller.motion import QUEUE_LIMIT
from desk.transcript import Desk
from tests.firmware.test_faults import SharpDesk

LINE_COUNT = 1000
REAL_TIME_BYTES = (ord("?"), ord("!"), ord("~"), 0x85, 0x80, 0xFF, 0x00, 0x0D)
PLAIN = (
    "$X", "$X", "$X", "$X",
    "$$", "$I", "$G", "$J=", "$J=$J=G91X1F9", "$J=G91X5F600", "$J=X9Y9Z9F600", "$", "$20=0",
    "$200=nan", "$110=-1", "G4P0", "G4P0.02", "G4P61", "M3S500", "M3S1001", "M5", "M100P0.01",
    "G90", "G91", "G53G0X1", "G1", "N5", "(c(o)m;m) g1 x 5 f 300 ; rest", "*", "*0", "N1*0",
)  # fmt: skip
NOISE = bytes(set(range(256)) - {RESET})
NUMBERS = ("0", "-0", "5", "76", "76.001", "-0.0003", "-10", "1e3", ".5", "-.", "", "9" * 40)


def line_of(source: random.Random) -> bytes:
    """A move, a command, words in a heap, or no words at all."""
    kind = source.random()
    if kind < 0.4:
        way = "".join(
            f"{axis}{source.uniform(-12, 80):.4f}" for axis in "XYZ" if source.random() < 0.5
        )
        return f"G{source.choice('01')}{way}F{source.choice((600, 60, 0.001, 30_000))}".encode()
    if kind < 0.7:
        return source.choice(PLAIN).encode()
    if kind < 0.85:
        count = source.randrange(1, 7)
        words = (source.choice("GXYZFPSNMJQ") + source.choice(NUMBERS) for _ in range(count))
        return "".join(words).encode()
    return bytes(source.choices(NOISE, k=source.randrange(2 * LINE_LIMIT)))


def wrapped(line: bytes, number: int, source: random.Random) -> bytes:
    """With its number and checksum, most often the right ones, and bytes in the midst of it."""
    if source.random() < 0.7:
        line = b"N%d " % source.choice((number, number, number, number + 1, 10**7, 10**30)) + line
        line += b"*%d" % (checksum(line) if source.random() < 0.9 else source.randrange(300))
    if source.random() < 0.2:
        at = source.randrange(len(line) + 1)
        line = line[:at] + bytes([source.choice(REAL_TIME_BYTES)]) + line[at:]
    return line + source.choice((b"\n", b"\n", b"\r\n", b"\n\n", b""))


def see_to_it(controller: Controller) -> None:
    assert len(controller.buffer.lines) <= BUFFER_LIMIT + 1
    assert len(controller.motion.queue) <= QUEUE_LIMIT + 1  # what is left of a line that was held
    assert controller.modes.feed <= 10**40 * UNIT
    for axis in range(3):
        lowest_nm, highest_nm = controller.settings.limits_nm(axis)
        if controller.is_homed:
            assert lowest_nm <= controller.motion.position_nm(axis) <= highest_nm


def home(desk: Desk) -> None:
    desk.send(b"\n\x18$H\n")
    desk.wait_ms(5)
    while desk.controller.state == HOMING:
        desk.wait_ms(50)
    assert desk.controller.is_homed


def test_anything_on_the_line_neither_crashes_nor_leaves_the_limits() -> None:
    source, desk = random.Random(11), SharpDesk()
    home(desk)
    moved = set()
    for _ in range(LINE_COUNT):
        guard = desk.controller.guard
        if source.random() < 0.02:
            desk.send(source.choice((bytes([RESET]), b"M110 N0*35\n", b"~", b"~")))
        desk.send(wrapped(line_of(source), (guard.last_number or 0) + 1, source))
        desk.wait_ms(source.choice((1, 2, 5, 10)))
        see_to_it(desk.controller)
        moved.add(desk.controller.motion.position[0])
        if not desk.controller.is_homed and source.random() < 0.02:
            home(desk)
    assert len(moved) > LINE_COUNT // 20
