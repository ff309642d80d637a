"""The one module that touches hardware: a Raspberry Pi Pico (RP2040) or Pico 2 (RP2350).

Each axis has a PIO state machine that makes pulses from words of `move.Move`; its FIFO holds eight
of them, 40 ms, so that Python may be late. Pins are drawn in `hardware/wiring.svg`.
"""

import os
import select
import sys
import time

import machine
import micropython
import rp2

from controller.ramp import TICKS_PER_S

STEP_PINS = (2, 4, 6)
DIRECTION_PINS = (3, 5, 7)
ENABLE_PIN = 8
SWITCH_PINS = (10, 11, 12)
LAMP_PIN = 15
SETUP_PIN = 22
"""Bridged to ground at power-on, the controller is not started: a way in to change the firmware."""

FIFO_DEBUG = 0x5020_0008
"""Register FDEBUG of PIO 0: bits 24 to 26 say that a state machine has waited for a word."""
STARVED = 0b111 << 24
LAMP_HZ = 20_000
"""The most that the lamp's driver follows; a row's exposure of 8 ms averages over 160 periods."""
HANG_MS = 2000
OUTPUT_LIMIT = 4096
BYTES_A_POLL = 32
SETTINGS_FILE = "settings.txt"


@rp2.asm_pio(set_init=rp2.PIO.OUT_LOW, out_shiftdir=rp2.PIO.SHIFT_RIGHT, fifo_join=rp2.PIO.JOIN_TX)
def pulses() -> None:
    """Make the steps of a word: bits 0-7 count them, bits 8-31 are ticks to wait after each.

    A step lasts its wait + 18 ticks, also where two words meet; a word without steps its wait + 6.
    """
    wrap_target()
    label("word")
    pull(block)
    out(x, 8)
    jmp(not_x, "rest")
    label("pulse")
    set(pins, 1)[9]  # 2 us: what the slowest usual driver (DRV8825) asks for
    set(pins, 0)
    jmp(x_dec, "rest")
    label("rest")
    mov(y, osr)
    label("wait")
    jmp(y_dec, "wait")
    jmp(not_x, "word")
    jmp("pulse")[2]  # as long as fetching a word takes, so that seams do not show
    wrap()


def is_setup_wanted() -> bool:
    """Whether the set-up bridge is closed."""
    pin = machine.Pin(SETUP_PIN, machine.Pin.IN, machine.Pin.PULL_UP)
    return not pin.value()


class PicoBoard:
    """Keeps the contract of `controller.board.Board`."""

    def __init__(self) -> None:
        if machine.freq() % TICKS_PER_S:
            raise RuntimeError("the processor's clock is no multiple of 5 MHz")
        self.name = "rp2350" if "RP2350" in os.uname().machine else "rp2040"
        self.boot_id = int.from_bytes(os.urandom(4), "big")
        self._lamp = machine.PWM(machine.Pin(LAMP_PIN), freq=LAMP_HZ, duty_u16=0)
        self._enable = machine.Pin(ENABLE_PIN, machine.Pin.OUT, value=1)
        self._directions = [machine.Pin(pin, machine.Pin.OUT, value=0) for pin in DIRECTION_PINS]
        self._switches = [
            machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_UP) for pin in SWITCH_PINS
        ]
        self._generators = [self._generator(axis) for axis in range(len(STEP_PINS))]
        self._fed: list[list[int]] = []
        self._output = bytearray()
        self._now_us = 0
        self._last_ticks = time.ticks_us()
        micropython.kbd_intr(-1)  # byte 3 is no Ctrl-C
        self._input_poll = select.poll()
        self._input_poll.register(sys.stdin, select.POLLIN)
        self._output_poll = select.poll()
        self._output_poll.register(sys.stdout, select.POLLOUT)
        self._watchdog = machine.WDT(timeout=HANG_MS)

    def now_us(self) -> int:
        ticks = time.ticks_us()
        self._now_us += time.ticks_diff(ticks, self._last_ticks)
        self._last_ticks = ticks
        return self._now_us

    def read(self) -> bytes:
        self._flush()
        received = bytearray()
        while len(received) < BYTES_A_POLL and self._input_poll.poll(0):
            received += sys.stdin.buffer.read(1)
        return bytes(received)

    def write(self, output: bytes) -> None:
        if len(self._output) + len(output) <= OUTPUT_LIMIT:
            self._output += output

    def begin(self, backward_mask: int) -> None:
        for axis, pin in enumerate(self._directions):
            pin.value(backward_mask >> axis & 1)

    def feed(self, words: list[int]) -> None:
        for generator, word in zip(self._generators, words):  # noqa: B905 - unknown to MicroPython
            generator.put(word)
        machine.mem32[FIFO_DEBUG] = STARVED  # writing ones clears them
        self._fed.append(words)

    def slices_left(self) -> int:
        left = max(generator.tx_fifo() for generator in self._generators)
        if left or machine.mem32[FIFO_DEBUG] & STARVED != STARVED:
            left += 1
        left = min(left, len(self._fed))
        del self._fed[: len(self._fed) - left]
        return left

    def halt(self) -> list[int]:
        for generator in self._generators:
            generator.active(0)
        waiting = [generator.tx_fifo() for generator in self._generators]
        left = [
            sum(words[axis] & 255 for words in self._fed[len(self._fed) - waiting[axis] :])
            for axis in range(len(waiting))
        ]
        self._generators = [self._generator(axis) for axis in range(len(STEP_PINS))]
        self._fed.clear()
        return left

    def switches(self) -> int:
        return sum(pin.value() << axis for axis, pin in enumerate(self._switches))

    def light(self, level: int) -> None:
        self._lamp.duty_u16(level * 65535 // 1000)

    def power(self, pins_high: bool) -> None:
        self._enable.value(int(pins_high))

    def stored(self) -> bytes:
        try:
            with open(SETTINGS_FILE, "rb") as file:  # noqa: PTH123 - MicroPython has no pathlib
                return file.read()
        except OSError:
            return b""

    def store(self, content: bytes) -> bool:
        try:
            with open("settings.new", "wb") as file:  # noqa: PTH123
                file.write(content)
            os.rename("settings.new", SETTINGS_FILE)  # noqa: PTH104
        except OSError:
            return False
        return True

    def alive(self) -> None:
        self._watchdog.feed()

    def _generator(self, axis: int) -> rp2.StateMachine:
        """Start an axis' pulse generator afresh: empty FIFO, pin low."""
        pin = machine.Pin(STEP_PINS[axis], machine.Pin.OUT, value=0)
        generator = rp2.StateMachine(axis, pulses, freq=TICKS_PER_S, set_base=pin)
        generator.active(1)
        return generator

    def _flush(self) -> None:
        """Send what the USB line takes now; byte by byte, since only room for one is certain."""
        sent = 0
        while sent < min(len(self._output), BYTES_A_POLL) and self._output_poll.poll(0):
            sys.stdout.buffer.write(self._output[sent : sent + 1])
            sent += 1
        self._output = self._output[sent:]
