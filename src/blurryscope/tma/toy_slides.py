"""Toy slides: discs of speckled tissue on glass, at the places a test or a trial asks for.

Far simpler than what the simulator draws, and a thousand times faster.
"""

from collections.abc import Iterable
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

    def names(self) -> list[CoreName]:
        return [CoreName(row, column) for row in range(self.rows) for column in range(self.columns)]

    def centres(self) -> dict[CoreName, Floats]:
        """Where the cores lie, (x, y); those that are missing too."""
        rng = np.random.default_rng(self.seed)
        angle = np.deg2rad(self.tilt_deg)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        steps = np.array([(name.column, name.row) for name in self.names()], np.float64)
        xy = steps * self.pitch_px @ turn + rng.uniform(-1, 1, steps.shape) * self.jitter_px
        corner = xy.min(axis=0) - self.border_px - self.diameter_px / 2
        return dict(zip(self.names(), xy - corner, strict=True))

    def draw(self) -> NDArray[np.uint8]:
        """(row, col, rgb) uint8 with a little noise."""
        rng = np.random.default_rng(self.seed + 1)
        centres = self.centres()
        far = np.max(list(centres.values()), axis=0) + self.border_px + self.diameter_px / 2
        columns, rows = np.ceil(far).astype(int)
        density = np.zeros((rows, columns, 3))
        for name, xy in centres.items():
            if str(name) not in self.missing:
                stain = HAEMATOXYLIN + (DAB if str(name) in self.brown else 0.0)
                _draw_disc(density, xy, self.diameter_px / 2, stain * self.strength, rng)
        for _ in range(self.dust_count):
            at, radius = rng.uniform(0, (columns, rows)), rng.uniform(1, 5)
            _draw_disc(density, at, radius, rng.uniform(0.05, 0.9) * np.ones(3), rng)
        light = cv2.blur(self.white * 10.0**-density, (self.blur_px, 1))
        return to_uint8(np.maximum(light + rng.normal(0, 1.0, light.shape), 1.0))

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


def map_of(names: Iterable[str], **scores: Score) -> SlideMap:
    """A map of cores, those in `scores` with a score."""
    entries = {}
    for text in names:
        score = scores.get(text)
        presence = Presence.UNSCORED if score is None else Presence.SCORED
        entries[CoreName.parse(text)] = MapEntry(score=score, case=None, presence=presence)
    return SlideMap(slide=None, entries=entries)
