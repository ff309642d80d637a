"""A slide with a tissue microarray on it, read in regions; cores are drawn when first looked at."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb
from blurryscope.simulator.appearance import Appearance, random_appearance
from blurryscope.simulator.core import draw_core
from blurryscope.simulator.pictures import CorePicture, read_core_picture

_CACHE_BYTES = 500_000_000
"""Two rows of a full slide's cores at 0.72 µm per pixel: no core is drawn twice in a lane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideDesign:
    """What is on a slide. The same design and seed give the same slide, at any pixel size."""

    name: str = "SIM1"
    rows: int = 3
    columns: int = 4
    core_diameter_um: float = 1000.0
    pitch_um: float = 1500.0
    margin_um: float = 1100.0
    """Glass from the edge to the middle of the outermost cores."""
    tilt_deg: float = 0.0
    """How far the array is turned on the slide; positive turns x towards y."""
    placement_um: float = 25.0
    """Deviation of a core from its place, each way."""
    missing: tuple[CoreName, ...] = ()
    """Lost in cutting: on the map, not on the slide."""
    scores: tuple[Score, ...] = ()
    """Row by row; empty leaves them to the seed, all four equally likely."""
    pictures: tuple[CorePicture, ...] = ()
    """Real cores to use instead of drawn ones; their scores are then the slide's."""
    dust_per_mm2: float = 0.3
    cover_slip: bool = False
    """Whether the edge of the cover slip crosses the picture, near its left side."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ValueError(f"rows and columns must be at least 1: {self.rows}, {self.columns}")
        if not 0 < self.core_diameter_um <= self.pitch_um:
            raise ValueError(
                f"core_diameter_um must be positive and not above pitch_um ({self.pitch_um}), "
                f"got {self.core_diameter_um}"
            )
        if self.scores and len(self.scores) != self.rows * self.columns:
            raise ValueError(
                f"scores must be {self.rows * self.columns} or none, got {len(self.scores)}"
            )
        outside = [str(n) for n in self.missing if n.row >= self.rows or n.column >= self.columns]
        if outside:
            raise ValueError(f"missing names cores that the slide has no place for: {outside}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedCore:
    """A core of the map and where its middle lies; 0 µm is the corner of the slide's picture."""

    name: CoreName
    score: Score
    x_um: float
    y_um: float
    missing: bool
    appearance: Appearance
    seed: tuple[int, ...]
    picture: CorePicture | None = None


class Slide:
    """The slide on the stage, at one pixel size. Safe to read from several threads.

    `turned` lays it on the stage the other way round, by 180 degrees.
    """

    def __init__(self, design: SlideDesign, pixel_size_um: float, *, turned: bool = False) -> None:
        if pixel_size_um <= 0:
            raise ValueError(f"pixel_size_um must be positive, got {pixel_size_um}")
        self.design = design
        self.pixel_size_um = pixel_size_um
        self.turned = turned
        height_um = 2 * design.margin_um + (design.rows - 1) * design.pitch_um
        width_um = 2 * design.margin_um + (design.columns - 1) * design.pitch_um
        self.size_px = (math.ceil(height_um / pixel_size_um), math.ceil(width_um / pixel_size_um))
        self._upright = _place_cores(design, height_um, width_um)
        self._dust = _strew_dust(design, height_um, width_um, pixel_size_um)
        self._drawn = _DrawnCores(self._draw, _CACHE_BYTES)

    @property
    def cores(self) -> list[PlacedCore]:
        """All cores of the map, where they lie as the slide lies now."""
        if not self.turned:
            return list(self._upright)
        height_um, width_um = (size * self.pixel_size_um for size in self.size_px)
        return [
            replace(core, x_um=width_um - core.x_um, y_um=height_um - core.y_um)
            for core in self._upright
        ]

    def read(self, top: int, left: int, rows: int, columns: int) -> Rgb:
        """The light through a region, (row, col, rgb) uint8, 255 through clear glass.

        The region may reach beyond the slide's picture: there is more glass.
        """
        if not self.turned:
            return self._read_upright(top, left, rows, columns)
        top, left = self.size_px[0] - top - rows, self.size_px[1] - left - columns
        return np.ascontiguousarray(self._read_upright(top, left, rows, columns)[::-1, ::-1])

    def _read_upright(self, top: int, left: int, rows: int, columns: int) -> Rgb:
        light = np.full((rows, columns, 3), 255, np.uint8)
        reach_px = math.ceil(0.75 * self.design.pitch_um / self.pixel_size_um)
        for number, core in enumerate(self._upright):
            row, column = (round(um / self.pixel_size_um) for um in (core.y_um, core.x_um))
            near_row = top - reach_px < row < top + rows + reach_px
            near_column = left - reach_px < column < left + columns + reach_px
            if near_row and near_column and not core.missing:
                picture = self._drawn.get(number)
                row, column = row - picture.shape[0] // 2, column - picture.shape[1] // 2
                _darken(light, picture, row - top, column - left)
        for speck in self._dust:
            _darken(light, speck.picture, speck.row - top, speck.column - left)
        if self.design.cover_slip:
            self._darken_beyond_cover_slip(light, left)
        return light

    def _darken_beyond_cover_slip(self, light: Rgb, left: int) -> None:
        edge = round(0.35 * self.design.margin_um / self.pixel_size_um) - left
        line = max(round(6.0 / self.pixel_size_um), 1)
        if edge > 0:
            light[:, :edge] = np.minimum(light[:, :edge], 248)
        lit = slice(max(edge, 0), max(edge + line, 0))
        light[:, lit] = np.minimum(light[:, lit], 120)

    def _draw(self, number: int) -> Rgb:
        core = self._upright[number]
        rng = np.random.default_rng(core.seed)
        if core.picture is not None:
            return read_core_picture(core.picture, self.pixel_size_um, self.design.pitch_um, rng)
        return draw_core(
            core.score,
            diameter_um=self.design.core_diameter_um,
            pixel_size_um=self.pixel_size_um,
            rng=rng,
            appearance=core.appearance,
        ).rgb


class _DrawnCores:
    """Keeps the pictures that were used last, up to so many bytes."""

    def __init__(self, draw: Callable[[int], Rgb], capacity_bytes: int) -> None:
        self._draw = draw
        self._capacity_bytes = capacity_bytes
        self._pictures: OrderedDict[int, Rgb] = OrderedDict()
        self._held_bytes = 0
        self._lock = threading.Lock()

    def get(self, number: int) -> Rgb:
        with self._lock:
            if number in self._pictures:
                self._pictures.move_to_end(number)
                return self._pictures[number]
            picture = self._draw(number)
            self._pictures[number] = picture
            self._held_bytes += picture.nbytes
            while self._held_bytes > self._capacity_bytes and len(self._pictures) > 1:
                self._held_bytes -= self._pictures.popitem(last=False)[1].nbytes
            return picture


@dataclass(frozen=True, slots=True)
class _Speck:
    row: int
    column: int
    picture: Rgb


def _place_cores(design: SlideDesign, height_um: float, width_um: float) -> list[PlacedCore]:
    rng = np.random.default_rng((design.seed, 1))
    stain = random_appearance(rng)
    tilt = math.radians(design.tilt_deg)
    cores = []
    for number in range(design.rows * design.columns):
        name = CoreName(*divmod(number, design.columns))
        x_um = (name.column - (design.columns - 1) / 2) * design.pitch_um
        y_um = (name.row - (design.rows - 1) / 2) * design.pitch_um
        off_x_um, off_y_um = rng.normal(0.0, design.placement_um, 2)
        score = Score(int(rng.integers(0, 4)))
        look = _alike(random_appearance(rng), stain, rng)
        picture = None
        if design.pictures:
            picture = design.pictures[int(rng.integers(len(design.pictures)))]
            score = picture.score
        elif design.scores:
            score = design.scores[number]
        cores.append(
            PlacedCore(
                name=name,
                score=score,
                x_um=width_um / 2 + x_um * math.cos(tilt) - y_um * math.sin(tilt) + off_x_um,
                y_um=height_um / 2 + x_um * math.sin(tilt) + y_um * math.cos(tilt) + off_y_um,
                missing=name in design.missing,
                appearance=look,
                seed=(design.seed, 2, number),
                picture=picture,
            )
        )
    return cores


def _alike(own: Appearance, slide: Appearance, rng: np.random.Generator) -> Appearance:
    """A core's look on a slide that was cut and stained in one go."""
    return replace(
        own,
        haematoxylin_strength=slide.haematoxylin_strength * float(rng.lognormal(0.0, 0.08)),
        dab_strength=slide.dab_strength * float(rng.lognormal(0.0, 0.05)),
        haematoxylin_hue=slide.haematoxylin_hue,
        dab_hue=slide.dab_hue,
        section_thickness=slide.section_thickness * float(rng.lognormal(0.0, 0.03)),
    )


def _strew_dust(
    design: SlideDesign, height_um: float, width_um: float, um_per_px: float
) -> list[_Speck]:
    """Grains and fibres on the glass, a little out of focus."""
    rng = np.random.default_rng((design.seed, 3))
    count = rng.poisson(design.dust_per_mm2 * height_um * width_um / 1e6)
    specks = []
    for _ in range(count):
        y_um, x_um = rng.uniform(0, height_um), rng.uniform(0, width_um)
        radius_um = 3.0 + rng.exponential(5.0)
        long = 1.0 + 6.0 * (rng.random() < 0.15) * rng.random()
        reach_px = math.ceil(radius_um * long * 1.8 / um_per_px) + 2
        picture = np.full((2 * reach_px + 1,) * 2, 255, np.uint8)
        axes = (max(round(radius_um * long / um_per_px), 1), max(round(radius_um / um_per_px), 1))
        angle = rng.uniform(0, 180)
        shade = int(rng.integers(40, 170))
        cv2.ellipse(picture, (reach_px, reach_px), axes, angle, 0, 360, (shade,), -1)
        soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.8, 3.0) / um_per_px)
        row, column = round(y_um / um_per_px) - reach_px, round(x_um / um_per_px) - reach_px
        specks.append(_Speck(row, column, np.repeat(soft[:, :, None], 3, axis=2)))
    return specks


def _darken(light: Rgb, picture: Rgb, top: int, left: int) -> None:
    """Lay `picture` over `light` with its first pixel at (`top`, `left`); the darker one stays."""
    first_row, first_column = max(top, 0), max(left, 0)
    end_row = min(top + picture.shape[0], light.shape[0])
    end_column = min(left + picture.shape[1], light.shape[1])
    if first_row >= end_row or first_column >= end_column:
        return
    under = light[first_row:end_row, first_column:end_column]
    over = picture[first_row - top : end_row - top, first_column - left : end_column - left]
    np.minimum(under, over, out=under)
