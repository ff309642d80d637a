"""What pairs of frames of a zigzag tell, made by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from blurryscope.stitch.evidence import Evidence

MOVING, RESTING = 40, 34
"""Usual pairs of frames in a lane and between two lanes."""


@dataclass
class ZigzagFilm:
    """Pairs of frames of a zigzag, of which only some show tissue."""

    spans: list[tuple[int, int]] = field(default_factory=list)
    """First and last frame of each lane."""
    signs: list[int] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    count: int = 0

    def rest(self, pairs: int) -> None:
        self.count += pairs
        self.shown += [False] * pairs

    def lane(self, sign: int, pairs: int, shows: slice | None) -> None:
        self.spans.append((self.count, self.count + pairs))
        self.signs.append(sign)
        seen = np.zeros(pairs, np.bool_)
        if shows is not None:
            seen[shows] = True
        self.shown += seen.tolist()
        self.count += pairs

    def evidence(self, rng: np.random.Generator) -> Evidence:
        is_shown = np.array(self.shown) & (rng.random(self.count) < 0.95)
        sign = np.zeros(self.count)
        for (first, last), direction in zip(self.spans, self.signs, strict=True):
            sign[first:last] = direction
        trust = rng.uniform(0.6, 0.95, self.count)
        return Evidence(
            forward=np.where(is_shown & (sign > 0), trust, 0.0),
            backward=np.where(is_shown & (sign < 0), trust, 0.0),
            still=np.zeros(self.count),
        )


def zigzag_film(
    tissue: Sequence[slice | None], rng: np.random.Generator, *, jitter: int = 0, lead: int = 30
) -> ZigzagFilm:
    """Lanes to and fro that show tissue in these of their pairs; how long they last may jitter."""
    film = ZigzagFilm()
    film.rest(lead)
    for number, shows in enumerate(tissue):
        film.lane(1 if number % 2 == 0 else -1, MOVING + int(rng.integers(0, jitter + 1)), shows)
        last = number == len(tissue) - 1
        film.rest(lead if last else RESTING + int(rng.integers(-jitter, jitter + 1)))
    return film


SEEN, ALL = slice(6, 34), slice(2, 38)
