"""What the controller wants of the hardware; for type checkers, the Pico has no `typing`."""

from typing import Protocol


class Board(Protocol):
    """One board: three pulse generators, three switches, a lamp, a serial line, a little flash."""

    name: str
    boot_id: int
    """32 random bits, new at every power-on."""

    def now_us(self) -> int:
        """Microseconds since power-on; never wraps."""

    def read(self) -> bytes:
        """What the host has sent since the last call; never waits."""

    def write(self, output: bytes) -> None:
        """Send to the host; never waits, drops what finds no room."""

    def begin(self, backward_mask: int) -> None:
        """Set the directions; only while no pulse is due."""

    def feed(self, words: list[int]) -> None:
        """Queue one slice.

        A word for each axis: steps in bits 0-7, ticks to wait after each in bits 8-31.
        """

    def slices_left(self) -> int:
        """Slices queued and not finished, the one that is being stepped among them."""

    def halt(self) -> list[int]:
        """Cease pulses at once, forget the queue; return each axis' steps that were not made.

        The slice that was being stepped may count as made: after a halt no position is trusted.
        """

    def switches(self) -> int:
        """Levels of the switch inputs, bit 0 is X.

        1 is an open circuit: the stage is at the switch, or the wire is broken.
        """

    def light(self, level: int) -> None:
        """Set the lamp, 0 to 1000."""

    def power(self, pins_high: bool) -> None:
        """Drive the enable pins of the motor drivers."""

    def stored(self) -> bytes:
        """What `store` wrote last; empty when there is nothing."""

    def store(self, content: bytes) -> bool:
        """Write the settings whole or not at all; False when that failed."""

    def alive(self) -> None:
        """Keep the hardware watchdog from biting."""
