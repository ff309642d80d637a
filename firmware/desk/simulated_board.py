"""A board in memory: pulses become positions of a stage. Runs on MicroPython too."""

from controller.move import AXIS_COUNT, PAUSE_OVERHEAD, STEP_OVERHEAD
from controller.ramp import TICKS_PER_S

STEPS_PER_MM = 1600
TRAVEL_MM = (78, 28, 12)
HOME_ENDS = (-1, -1, 1)
"""Where the switch of each axis is: -1 at the low end, 1 at the high end."""


class SimulatedBoard:
    """Keeps the contract of `Board`; time passes only when `advance_us` is called."""

    name = "simulated"

    def __init__(self, boot_id: int = 0x1A2B3C4D, stored: bytes = b"") -> None:
        self.boot_id = boot_id
        self.place = [4 * STEPS_PER_MM, 3 * STEPS_PER_MM, -STEPS_PER_MM]
        """Steps from the home switch, where the stage really is; negative for a switch at the high
        end."""
        self.lamp = 0
        self.is_stuck = False
        """A fault: pulses come, the stage does not follow."""
        self.broken_wires = 0
        """A fault: these switches read as closed."""
        self.sent = b""
        self.received = b""
        self._stored = stored
        self._now_us = 0
        self._queue: list[list[int]] = []
        self._begun_ticks = 0
        """When the slice under way began, in ticks since power-on."""
        self._backward_mask = 0

    def advance_us(self, time_us: int) -> None:
        """Let time pass and the stage move."""
        self._now_us += time_us
        while self._queue and self._ticks() >= self._begun_ticks + _length(self._queue[0]):
            words = self._queue.pop(0)
            self._begun_ticks += _length(words)
            self._go([word & 255 for word in words])

    def now_us(self) -> int:
        return self._now_us

    def read(self) -> bytes:
        received = self.received
        self.received = b""
        return received

    def write(self, output: bytes) -> None:
        self.sent += output

    def begin(self, backward_mask: int) -> None:
        if self._queue:
            raise RuntimeError("directions changed while pulses were due")
        self._backward_mask = backward_mask

    def feed(self, words: list[int]) -> None:
        if not self._queue:
            self._begun_ticks = self._ticks()
        self._queue.append(words)

    def slices_left(self) -> int:
        return len(self._queue)

    def halt(self) -> list[int]:
        left = [0] * AXIS_COUNT
        if self._queue:
            made = [self._made(word) for word in self._queue[0]]
            self._go(made)
            for axis in range(AXIS_COUNT):
                left[axis] = sum(words[axis] & 255 for words in self._queue) - made[axis]
        self._queue.clear()
        return left

    def switches(self) -> int:
        closed = self.broken_wires
        for axis in range(AXIS_COUNT):
            from_switch = -HOME_ENDS[axis] * self.place[axis]
            if not 0 < from_switch < TRAVEL_MM[axis] * STEPS_PER_MM:
                closed |= 1 << axis
        return closed

    def light(self, level: int) -> None:
        self.lamp = level

    def power(self, pins_high: bool) -> None:
        self._pins_high = pins_high

    def stored(self) -> bytes:
        return self._stored

    def store(self, content: bytes) -> bool:
        self._stored = content
        return True

    def alive(self) -> None:
        pass

    def _ticks(self) -> int:
        return self._now_us * (TICKS_PER_S // 1_000_000)

    def _go(self, steps: list[int]) -> None:
        if self.is_stuck:
            return
        for axis in range(AXIS_COUNT):
            is_backward = self._backward_mask >> axis & 1
            self.place[axis] += -steps[axis] if is_backward else steps[axis]

    def _made(self, word: int) -> int:
        """Steps that the generator has made of its word so far: a pulse begins each wait."""
        count = word & 255
        if count == 0:
            return 0
        since = self._ticks() - self._begun_ticks
        return min(count, since // ((word >> 8) + STEP_OVERHEAD) + 1)


def _length(words: list[int]) -> int:
    """Ticks of a slice: of the slowest generator."""
    return max(
        (word & 255) * ((word >> 8) + STEP_OVERHEAD) if word & 255 else (word >> 8) + PAUSE_OVERHEAD
        for word in words
    )
