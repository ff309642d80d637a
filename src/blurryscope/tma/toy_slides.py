"""Toy slides: discs of speckled tissue on glass, at the places a test or a trial asks for.

Far simpler than what the simulator draws, and a thousand times faster.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.slide_map import MapEntry, Presence, SlideMap
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import to_uint8
from blurryscope.tma.picture import PlainPicture

Floats = NDArray[np.float64]

WHITE = np.array([238.0, 236.0, 229.0])
HAEMATOXYLIN = np.array([0.10, 0.08, 0.04])
DAB = np.array([0.10, 0.22, 0.40])


@dataclass(frozen=True, slots=True, kw_only=True)
class ToySlide:
    """An array as a table of names; lengths in pixels of 20 µm."""

    rows: int
    columns: int
    missing: frozenset[str] = frozenset()
    brown: frozenset[str] = frozenset()
    pitch_px: float = 85.0
    diameter_px: float = 52.0
    tilt_deg: float = 0.0
    jitter_px: float = 3.0
    border_px: float = 70.0
    strength: float = 1.0
    blur_px: int = 1
    """Motion blur along x."""
    dust_count: int = 0
    white: Floats = field(default_factory=lambda: WHITE)
    seed: int = 0
    gaps: Mapping[int, float] = field(default_factory=dict)
    """Pitches of extra room after a column, counted from 0: blocks."""
    faint: frozenset[str] = frozenset()
    """A third as dense as others."""
    torn: frozenset[str] = frozenset()
    """Half of the disc is gone."""
    shattered: frozenset[str] = frozenset()
    """Several pieces about where the core was."""
    folded: frozenset[str] = frozenset()
    """Part of the disc lies double."""
    pen_strokes: int = 0
    has_edge: bool = False
    """The edge of the slide runs down the right-hand side."""
    unscanned_px: int = 0
    """Black all round."""

    def names(self) -> list[CoreName]:
        return [CoreName(row, column) for row in range(self.rows) for column in range(self.columns)]

    def centres(self) -> dict[CoreName, Floats]:
        """Where the cores lie, (x, y); those that are missing too."""
        rng = np.random.default_rng(self.seed)
        angle = np.deg2rad(self.tilt_deg)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        steps = np.array(
            [(name.column + self._room_before(name.column), name.row) for name in self.names()]
        )
        xy = steps * self.pitch_px @ turn + rng.uniform(-1, 1, steps.shape) * self.jitter_px
        corner = xy.min(axis=0) - self.border_px - self.diameter_px / 2
        return dict(zip(self.names(), xy - corner, strict=True))

    def _room_before(self, column: int) -> float:
        return sum(room for after, room in self.gaps.items() if after < column)

    def draw(self) -> NDArray[np.uint8]:
        """(row, col, rgb) uint8 with a little noise."""
        rng = np.random.default_rng(self.seed + 1)
        centres = self.centres()
        far = np.max(list(centres.values()), axis=0) + self.border_px + self.diameter_px / 2
        columns, rows = np.ceil(far).astype(int)
        density = np.zeros((rows, columns, 3))
        for name, xy in centres.items():
            if str(name) not in self.missing:
                self._draw_core(density, str(name), xy, rng)
        for _ in range(self.dust_count):
            at, radius = rng.uniform(0, (columns, rows)), rng.uniform(1, 5)
            _draw_disc(density, at, radius, rng.uniform(0.05, 0.9) * np.ones(3), rng)
        self._draw_marks(density, rng)
        light = cv2.blur(self.white * 10.0**-density, (self.blur_px, 1))
        rgb = to_uint8(np.maximum(light + rng.normal(0, 1.0, light.shape), 1.0))
        if self.unscanned_px:
            framed = np.zeros_like(rgb)
            inner = np.s_[self.unscanned_px : -self.unscanned_px]
            framed[inner, inner] = rgb[inner, inner]
            return framed
        return rgb

    def _draw_core(self, density: Floats, name: str, xy: Floats, rng: np.random.Generator) -> None:
        stain = (HAEMATOXYLIN + (DAB if name in self.brown else 0.0)) * self.strength
        stain = stain * (0.35 if name in self.faint else 1.0)
        radius_px = self.diameter_px / 2
        if name in self.shattered:
            for turn in rng.uniform(0, 2 * np.pi) + np.arange(4) * np.pi / 2:
                away = 0.55 * radius_px * np.array([np.cos(turn), np.sin(turn)])
                _draw_disc(density, xy + away, 0.35 * radius_px, stain, rng)
            return
        _draw_disc(density, xy, radius_px, stain, rng)
        if name in self.torn:
            _cover(density, xy, radius_px, 0.0, rng)
        if name in self.folded:
            _cover(density, xy, radius_px, 2.6, rng)

    def _draw_marks(self, density: Floats, rng: np.random.Generator) -> None:
        rows, columns = density.shape[:2]
        for _ in range(self.pen_strokes):
            start, turn = rng.uniform(0, (columns, rows)), rng.uniform(0, np.pi)
            end = start + rng.uniform(1, 6) * self.diameter_px * np.array(
                [np.cos(turn), np.sin(turn)]
            )
            thick = max(round(rng.uniform(0.1, 0.4) * self.diameter_px), 2)
            stroke = np.zeros((rows, columns), np.uint8)
            cv2.line(stroke, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1, thick)
            density[stroke > 0] = rng.permutation([1.3, 1.0, 0.7])
        if self.has_edge:
            at = columns - round(0.2 * self.border_px)
            density[:, at : at + max(round(0.1 * self.border_px), 2)] = 0.5

    def picture(self) -> PlainPicture:
        """Drawn at 10 µm a pixel, so that the search has a level to go up."""
        rgb = self.draw()
        size = (2 * rgb.shape[1], 2 * rgb.shape[0])
        return PlainPicture(np.asarray(cv2.resize(rgb, size), np.uint8), 10.0)

    def map(self, **scores: Score) -> SlideMap:
        """A map that lists every core, missing ones too."""
        return map_of((str(name) for name in self.names()), **scores)


def _draw_disc(
    density: Floats, xy: Floats, radius_px: float, stain: Floats, rng: np.random.Generator
) -> None:
    """Set a speckled disc of optical density."""
    left, top = np.maximum(np.floor(xy - radius_px).astype(int), 0)
    right, bottom = np.ceil(xy + radius_px).astype(int) + 1
    here = density[top:bottom, left:right]
    rows, columns = np.indices(here.shape[:2])
    disc = np.hypot(columns + left - xy[0], rows + top - xy[1]) < radius_px
    here[disc] = rng.uniform(0.2, 1.8, (np.count_nonzero(disc), 1)) * stain


def _cover(
    density: Floats, xy: Floats, radius_px: float, factor: float, rng: np.random.Generator
) -> None:
    """Multiply the density of a core on one side of a straight line through it."""
    reach = int(np.ceil(radius_px)) + 1
    left, top = np.maximum(np.floor(xy - reach).astype(int), 0)
    here = density[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
    rows, columns = np.indices(here.shape[:2])
    x, y = columns + left - xy[0], rows + top - xy[1]
    turn = rng.uniform(0, 2 * np.pi)
    across = x * np.cos(turn) + y * np.sin(turn)
    offset = 0.0 if factor < 1 else 0.45 * radius_px
    here[(across > offset) & (np.hypot(x, y) < radius_px)] *= factor


def map_of(names: Iterable[str], **scores: Score) -> SlideMap:
    """A map of cores, those in `scores` with a score."""
    entries = {}
    for text in names:
        score = scores.get(text)
        presence = Presence.UNSCORED if score is None else Presence.SCORED
        entries[CoreName.parse(text)] = MapEntry(score=score, case=None, presence=presence)
    return SlideMap(slide=None, entries=entries)
