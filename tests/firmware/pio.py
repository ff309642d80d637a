"""A PIO state machine to the tick: assembles a program as MicroPython writes it, and runs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

FIFO_DEPTH = 8  # joined
WORD = 0xFFFF_FFFF


@dataclass(slots=True)
class Instruction:
    name: str
    arguments: tuple[Any, ...]
    delay: int = 0

    def __getitem__(self, delay: int) -> Instruction:
        self.delay = delay
        return self


@dataclass(slots=True)
class Program:
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def add(self, name: str) -> Callable[..., Instruction]:
        def emit(*arguments: Any) -> Instruction:
            self.instructions.append(Instruction(name, arguments))
            return self.instructions[-1]

        return emit

    def label(self, name: str) -> None:
        self.labels[name] = len(self.instructions)


def asm_pio(**settings: object) -> Callable[[FunctionType], Program]:
    """Stand in for `rp2.asm_pio`; refuses settings that the emulation does not have."""
    assert settings == {"set_init": "low", "out_shiftdir": "right", "fifo_join": "tx"}

    def assemble(function: FunctionType) -> Program:
        program = Program()
        names: dict[str, object] = {
            word: word for word in ("pins", "block", "x", "y", "osr", "not_x", "x_dec", "y_dec")
        }
        names |= {name: program.add(name) for name in ("pull", "out", "jmp", "set", "mov")}
        names |= {"label": program.label, "wrap_target": lambda: None, "wrap": lambda: None}
        FunctionType(function.__code__, names)()
        assert len(program.instructions) <= 32
        assert all(instruction.delay < 32 for instruction in program.instructions)
        return program

    return assemble


class StateMachine:
    """Runs from tick 0 as far as `run_to` says; `rises` and `falls` are the pin's, in ticks."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.fifo: deque[int] = deque()
        self.tick = 0
        self.rises: list[int] = []
        self.falls: list[int] = []
        self.has_starved = False
        self._counter = 0
        self._registers = {"x": 0, "y": 0, "osr": 0}

    def put(self, word: int) -> None:
        assert len(self.fifo) < FIFO_DEPTH, "put() would block"
        assert 0 <= word <= WORD
        self.fifo.append(word)

    def run_to(self, tick: int) -> None:
        while self.tick < tick:
            instruction = self.program.instructions[self._counter]
            if instruction.name == "pull" and not self.fifo:
                self.has_starved = True
                self.tick = tick
                return
            self._execute(instruction)

    def _execute(self, instruction: Instruction) -> None:
        registers = self._registers
        target = self._counter + 1
        match instruction.name, instruction.arguments:
            case "pull", ("block",):
                registers["osr"] = self.fifo.popleft()
            case "out", (register, bits):
                registers[register] = registers["osr"] & ((1 << bits) - 1)
                registers["osr"] >>= bits
            case "mov", (register, source):
                registers[register] = registers[source]
            case "set", ("pins", level):
                (self.rises if level else self.falls).append(self.tick)
            case "jmp", (*condition, name):
                if self._jumps(condition, self.program.labels[name] == self._counter):
                    target = self.program.labels[name]
            case _:
                raise AssertionError(instruction)
        self._counter = target % len(self.program.instructions)
        self.tick += 1 + instruction.delay

    def _jumps(self, condition: list[str], is_own_loop: bool) -> bool:
        if not condition:
            return True
        if condition == ["not_x"]:
            return self._registers["x"] == 0
        register = condition[0][0]
        if is_own_loop:  # a wait: all its rounds at once
            self.tick += self._registers[register]
            self._registers[register] = 0
        value = self._registers[register]
        self._registers[register] = (value - 1) & WORD
        return value != 0
