"""A Pico in memory: the modules that `controller.pico` imports, and a stage at its pins."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

from tests.firmware.pio import StateMachine, asm_pio

TICKS_PER_US = 5
STEPS_PER_MM = 1600
FIFO_DEBUG = 0x5020_0008


class FakePico:
    """Time, pins, USB line and PIO of one board; `place` is where the steps brought the stage."""

    def __init__(self) -> None:
        self.now_us = 0
        self.pins: dict[int, int] = {}
        self.lamp_duty = 0
        self.received = bytearray()
        self.sent = bytearray()
        self.is_listening = True
        self.watchdog_fed_us = 0
        self.place = [3 * STEPS_PER_MM, 2 * STEPS_PER_MM, -STEPS_PER_MM]
        self._machines: dict[int, StateMachine] = {}
        self._counted = [0, 0, 0]

    def advance_us(self, time_us: int) -> None:
        """Let time pass; steps go where the direction pins point."""
        self.now_us += time_us
        self.run_pio()

    def run_pio(self) -> None:
        for axis, generator in self._machines.items():
            generator.run_to(self.now_us * TICKS_PER_US)
            made = len(generator.rises) - self._counted[axis]
            self._counted[axis] = len(generator.rises)
            self.place[axis] += -made if self.pins[3 + 2 * axis] else made
        ends = (self.place[0] <= 0, self.place[1] <= 0, self.place[2] >= 0)
        for axis, is_at_end in enumerate(ends):
            self.pins[10 + axis] = int(is_at_end)

    def generator(self, axis: int) -> StateMachine:
        return self._machines[axis]

    def modules(self) -> dict[str, ModuleType]:
        """What MicroPython would offer, bound to this board."""
        return {
            "machine": self._machine(),
            "rp2": self._rp2(),
            "micropython": _module("micropython", kbd_intr=lambda byte: None),
            "time": _module("time", ticks_us=lambda: self.now_us & 0x3FFF_FFFF, ticks_diff=_diff),
            "select": _module("select", poll=lambda: Poll(self), POLLIN=1, POLLOUT=4),
            "sys": self._sys(),
            "os": self._os(),
        }

    def _machine(self) -> ModuleType:
        board = self

        class Pin:
            IN, OUT, PULL_UP = "in", "out", "up"

            def __init__(
                self, number: int, mode: str = OUT, pull: str = "", value: int = 1
            ) -> None:
                self.number = number
                board.pins.setdefault(number, value)

            def value(self, level: int | None = None) -> int:
                board.run_pio()
                if level is not None:
                    board.pins[self.number] = level
                return board.pins[self.number]

        class Lamp:
            def __init__(self, pin: Pin, *, freq: int, duty_u16: int) -> None:
                self.duty_u16(duty_u16)

            def duty_u16(self, duty: int) -> None:
                assert 0 <= duty <= 65535
                board.lamp_duty = duty

        class Watchdog:
            def __init__(self, timeout: int) -> None:
                self.timeout_us = timeout * 1000
                board.watchdog_fed_us = board.now_us

            def feed(self) -> None:
                assert board.now_us - board.watchdog_fed_us < self.timeout_us
                board.watchdog_fed_us = board.now_us

        return _module(
            "machine",
            Pin=Pin,
            PWM=Lamp,
            WDT=Watchdog,
            mem32=Registers(self),
            freq=lambda: 125_000_000,
        )

    def _rp2(self) -> ModuleType:
        board = self

        class Generator:
            def __init__(self, axis: int, program: Any, *, freq: int, set_base: Any) -> None:
                assert freq == TICKS_PER_US * 1_000_000
                assert set_base.number == 2 + 2 * axis
                self._machine = StateMachine(program)
                self._machine.tick = board.now_us * TICKS_PER_US
                board._machines[axis] = self._machine
                board._counted[axis] = 0

            def active(self, is_active: int) -> None:
                board.run_pio()

            def put(self, word: int) -> None:
                self._machine.put(word)

            def tx_fifo(self) -> int:
                board.run_pio()
                return len(self._machine.fifo)

        pio = SimpleNamespace(OUT_LOW="low", SHIFT_RIGHT="right", JOIN_TX="tx")
        return _module("rp2", asm_pio=asm_pio, PIO=pio, StateMachine=Generator)

    def _sys(self) -> ModuleType:
        def take(count: int) -> bytes:
            taken = bytes(self.received[:count])
            del self.received[:count]
            return taken

        return _module(
            "sys",
            stdin=SimpleNamespace(buffer=SimpleNamespace(read=take), is_input=True),
            stdout=SimpleNamespace(buffer=SimpleNamespace(write=self.sent.extend), is_input=False),
        )

    def _os(self) -> ModuleType:
        def uname() -> SimpleNamespace:
            return SimpleNamespace(machine="Raspberry Pi Pico with RP2040")

        return _module("os", urandom=os.urandom, rename=os.replace, uname=uname)


class Poll:
    """`select.poll` for the USB line."""

    def __init__(self, board: FakePico) -> None:
        self._board = board
        self._is_input = False

    def register(self, stream: Any, flags: int) -> None:
        self._is_input = stream.is_input

    def poll(self, timeout: int) -> list[int]:
        ready = bool(self._board.received) if self._is_input else self._board.is_listening
        return [1] if ready else []


class Registers:
    """The one register that the firmware uses: which generators have starved, cleared by ones."""

    def __init__(self, board: FakePico) -> None:
        self._board = board

    def __getitem__(self, address: int) -> int:
        assert address == FIFO_DEBUG
        self._board.run_pio()
        return sum(
            generator.has_starved << 24 + axis for axis, generator in self._board._machines.items()
        )

    def __setitem__(self, address: int, bits: int) -> None:
        assert address == FIFO_DEBUG
        for axis, generator in self._board._machines.items():
            if bits >> 24 + axis & 1:
                generator.has_starved = False
                generator.run_to(generator.tick + 1)


@contextmanager
def pico_module(board: FakePico) -> Iterator[ModuleType]:
    """Import `controller.pico` afresh on a board; its files lie in the current folder."""
    real = {name: sys.modules.get(name) for name in board.modules()}
    sys.modules.pop("controller.pico", None)
    sys.modules.update(board.modules())
    try:
        module = importlib.import_module("controller.pico")
    finally:
        for name, before in real.items():
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
        sys.modules.pop("controller.pico", None)
    yield module


def _module(name: str, **contents: object) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(contents)
    return module


def _diff(later: int, earlier: int) -> int:
    return (later - earlier + 0x2000_0000 & 0x3FFF_FFFF) - 0x2000_0000
