"""In checked mode a damaged line is never carried out."""

from hypothesis import given
from hypothesis import strategies as st

from controller.lines import BUFFER_LIMIT, LineBuffer, LineGuard, checksum

COMMAND = b"N1 G1 X12.345 F300"
LINE = COMMAND + b"*" + str(checksum(COMMAND)).encode()


def checked() -> LineGuard:
    guard = LineGuard()
    guard.admit(b"M110 N0*35")
    return guard


@given(st.integers(0, len(LINE) - 1), st.integers(1, 255))
def test_a_line_with_one_byte_changed_is_asked_for_again(at: int, change: int) -> None:
    spoilt = bytearray(LINE)
    spoilt[at] ^= change
    buffer = LineBuffer()
    for byte in spoilt + b"\n":
        buffer.put(byte)
    guard = checked()
    while buffer.lines:
        assert guard.admit(buffer.take()) == (None, "Resend: 1")


def test_each_number_is_carried_out_once_and_in_order() -> None:
    guard = checked()
    assert guard.admit(LINE) == ("G1X12.345F300", "")
    assert guard.sign_reply("ok") == "ok N1"
    assert guard.admit(LINE) == (None, "ok N1")
    later = b"N3 G90"
    gap = later + b"*" + str(checksum(later)).encode()
    assert guard.admit(gap) == (None, "Resend: 2")


@given(st.lists(st.binary(min_size=1, max_size=120), max_size=30))
def test_what_waits_is_counted(pieces: list[bytes]) -> None:
    buffer = LineBuffer()
    for piece in pieces:
        for byte in piece:
            buffer.put(byte)
    buffer.put(ord("\n"))
    while buffer.lines:
        buffer.take()
    assert buffer.waiting == 0


def test_ends_of_lines_without_end_do_not_fill_the_memory() -> None:
    buffer = LineBuffer()
    for _ in range(5 * BUFFER_LIMIT):
        buffer.put(ord("\n"))
    assert len(buffer.lines) <= BUFFER_LIMIT + 1
    assert buffer.lines[-1] is None  # error:11 tells that some were lost
    while buffer.lines:
        buffer.take()
    assert buffer.waiting == 0
