"""Real cores from a sharp scanner, seen by imagined microscopes.

Drawn cores have every fault but not every look; a lab that has cores from a slide scanner can mix
them in. Pictures are named SCORE_ANYTHING, such as `2_case17.png`.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from blurryscope.artifacts.picture_file import read_rgb
from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.artifacts.samples import Sample
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.basics.progress import Progress, silent
from blurryscope.dataset.build import DataSet, Divide, Picture, build_packed_set
from blurryscope.dataset.imagined_scan import imagined_scan, random_device
from blurryscope.dataset.packed import PackedCore, Packing
from blurryscope.dataset.simulated import (
    SimulatedCores,
    done_in_order,
    packed,
    simulated_views,
    turned,
)
from blurryscope.dataset.views import find_tissue

_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_NAME = re.compile(r"(?P<score>[0-3])_.+")
_GLASS_PERCENTILE = 99.0
_FINEST_UM = 1.0
"""Pixel size that pictures are brought to first; views are no finer than 1.44 µm."""
_SCANS_AT_ONCE = 8
_LEAST_PART = 0.6
"""Of a core's side that is shown at least: parts of a core look less alike than copies do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueScans:
    """What to scan, and how often."""

    folder: Path
    pixel_size_um: float
    """Of the pictures."""
    scans_per_core: int = 40
    seed: int = 1

    def __post_init__(self) -> None:
        if self.pixel_size_um <= 0 or self.scans_per_core < 1:
            raise ValueError("pixel_size_um and scans_per_core must be positive")

    @property
    def firsts(self) -> range:
        """The first scan of each group that is made at once."""
        return range(0, self.scans_per_core, _SCANS_AT_ONCE)

    @property
    def recipe(self) -> dict[str, str | int | float | bool | list[str]]:
        """What gives these pictures again."""
        told = asdict(self) | {"folder": self.folder.name}
        return {f"tissue_{name}": value for name, value in told.items()}


def tissue_pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder by name; an `InputError` names one whose score is not told."""
    if not folder.is_dir():
        raise MissingInputError(folder, "no such folder", "Give a folder with pictures of cores")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise MissingInputError(folder, "holds no picture", "Put PNG, JPEG or TIFF files there")
    for path in paths:
        if _NAME.fullmatch(path.stem) is None:
            raise InputError(
                path, "its name does not begin with a score", "Name it SCORE_NAME, as 2_case17.png"
            )
    return paths


def tissue_views(
    wanted: TissueScans, packing: Packing, *, workers: int = 2, progress: Progress = silent
) -> Iterator[PackedCore]:
    """Every core in all its scans, of which views are kept; the same whatever `workers` is."""
    paths = tissue_pictures_in(wanted.folder)
    groups = [(place, first) for place in range(len(paths)) for first in wanted.firsts]
    job = partial(_views_of_scans, wanted, packing, paths, groups)
    yield from done_in_order(job, len(groups), workers, progress)


def packed_set(  # noqa: PLR0913 - what to draw takes three, where and how the rest
    folder: Path,
    drawn: SimulatedCores,
    packing: Packing,
    real: TissueScans | None = None,
    *,
    divide: Divide = lambda _: None,
    workers: int = 2,
    progress: Progress = silent,
) -> DataSet:
    """Draw cores, scan real ones if any, and keep their views as a data set."""
    cores = simulated_views(drawn, packing, workers=workers, progress=progress)
    recipe = drawn.recipe
    inputs: dict[str, str] = {}
    if real is not None:
        cores = chain(cores, tissue_views(real, packing, workers=workers, progress=progress))
        recipe |= real.recipe
        inputs = {path.name: sha256_of_file(path) for path in tissue_pictures_in(real.folder)}
    return build_packed_set(
        folder, cores, packing, recipe=recipe, inputs_sha256=inputs, divide=divide
    )


def _views_of_scans(
    wanted: TissueScans,
    packing: Packing,
    paths: list[Path],
    groups: list[tuple[int, int]],
    number: int,
) -> list[PackedCore]:
    """Some scans of one core; each is seeded by core and number alone."""
    place, first = groups[number]
    light = _as_light(_read(paths[place], wanted.pixel_size_um / _FINEST_UM))
    made = []
    for repeat in range(first, min(first + _SCANS_AT_ONCE, wanted.scans_per_core)):
        rng = np.random.default_rng([wanted.seed, place, repeat, 2])
        made.append(packed(_scanned(light, paths[place], repeat, rng), packing, rng))
    return made


def _scanned(light: Rgb, path: Path, repeat: int, rng: np.random.Generator) -> Picture:
    device = random_device(rng)
    pixel_size_um = max(device.pixel_size_um, _FINEST_UM)
    part = _resized(turned(_part(light, rng), rng), _FINEST_UM / pixel_size_um)
    mosaic = imagined_scan(part, replace(device, pixel_size_um=pixel_size_um), rng)
    sample = Sample(
        slide=path.stem,
        case=path.stem,
        core=CoreName(0, 0),
        repeat=repeat + 1,
        score=Score(int(path.stem[0])),
        path=Path(),
        pixel_size_um=pixel_size_um,
        tissue_fraction=float(find_tissue(mosaic, pixel_size_um).mean()),
    )
    return Picture(sample=sample, pixels=mosaic)


def _read(path: Path, scale: float) -> Rgb:
    return _resized(read_rgb(path, "Give PNG, JPEG or TIFF"), scale)


def _resized(rgb: Rgb, scale: float) -> Rgb:
    how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def _as_light(rgb: Rgb) -> Rgb:
    """Glass becomes 255, as `draw_core` gives it."""
    glass = np.percentile(rgb[::4, ::4].reshape(-1, 3), _GLASS_PERCENTILE, axis=0)
    factor = (255.0 / np.maximum(glass, 1.0)).astype(np.float32)
    return to_uint8(rgb.astype(np.float32) * factor)


def _part(light: Rgb, rng: np.random.Generator) -> Rgb:
    """A square of the core, from most of its middle to all of it."""
    rows, columns = light.shape[:2]
    side = int(rng.uniform(_LEAST_PART, 1.0) * min(rows, columns))
    top, left = int(rng.integers(rows - side + 1)), int(rng.integers(columns - side + 1))
    return np.ascontiguousarray(light[top : top + side, left : left + side])
