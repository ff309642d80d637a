"""What goes wrong with a microscope, by name, and a cable that spoils bytes."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np


class Fault(StrEnum):
    """What can go wrong while a slide is scanned."""

    DROPPED = "bytes dropped"
    FLIPPED = "bits flipped"
    MERGED = "bytes merged"
    DELAYED = "bytes delayed"
    RESET = "controller restarts"
    UNPLUGGED = "port unplugged"
    LIMIT = "limit hit"
    STALLED = "axis stalled"
    KILLED = "host killed"
    FROZEN = "camera frozen"
    GONE = "camera gone"
    FULL = "disk full"


WIRE_FAULTS = frozenset({Fault.DROPPED, Fault.FLIPPED, Fault.MERGED, Fault.DELAYED})
"""What a cable does: `NoisyWire`."""
_DELAYED_CHANCE = 0.5
_SHORTEST_DELAY_S, _LONGEST_DELAY_S = 0.05, 2.5


@dataclass(slots=True)
class NoisyWire:
    """Spoils bytes while the clock is between two times; a `Wire` of the simulated port."""

    fault: Fault
    """One of `WIRE_FAULTS`."""
    rng: np.random.Generator
    from_s: float
    until_s: float
    chance: float
    """For each byte; delays strike half of what is sent at once."""
    hit_count: int = 0
    _late: list[tuple[float, bytes]] = field(default_factory=list)

    def __call__(self, sent: bytes, now_s: float) -> bytes:
        if self.fault is Fault.DELAYED:
            return self._delayed(sent, now_s)
        if not self.from_s <= now_s < self.until_s:
            return sent
        arrived = bytearray()
        for byte in sent:
            if self.rng.random() >= self.chance:
                arrived.append(byte)
                continue
            self.hit_count += 1
            if self.fault is Fault.FLIPPED:
                arrived.append(byte ^ (1 << int(self.rng.integers(8))))
            elif self.fault is Fault.MERGED and arrived:
                arrived[-1] |= byte
        return bytes(arrived)

    def _delayed(self, sent: bytes, now_s: float) -> bytes:
        if sent:
            is_late = self.from_s <= now_s < self.until_s and self.rng.random() < _DELAYED_CHANCE
            self.hit_count += is_late
            wait_s = self.rng.uniform(_SHORTEST_DELAY_S, _LONGEST_DELAY_S) if is_late else 0.0
            # A wire keeps the order.
            due_s = max([now_s + wait_s, *(due_s for due_s, _ in self._late)])
            self._late.append((due_s, sent))
        arrived = b"".join(part for due_s, part in self._late if due_s <= now_s)
        self._late = [(due_s, part) for due_s, part in self._late if due_s > now_s]
        return arrived


def noisy_wires(
    fault: Fault, rng: np.random.Generator, from_s: float
) -> tuple[NoisyWire, NoisyWire]:
    """Both directions of a cable with one of `WIRE_FAULTS` from a time on, for 0.2 to 4 s.

    One byte in 300 to one in 5 is hit.
    """
    chance = 10.0 ** rng.uniform(-2.5, -0.7)
    there, back = (
        NoisyWire(fault, way, from_s, from_s + rng.uniform(0.2, 4.0), chance)
        for way in rng.spawn(2)
    )
    return there, back
