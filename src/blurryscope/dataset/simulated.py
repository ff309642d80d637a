"""Pictures out of nothing: drawn cores, seen by imagined microscopes. Repeatable by seed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from blurryscope.artifacts.samples import Sample
from blurryscope.basics.core_name import MOST_ROWS, CoreName
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb
from blurryscope.basics.progress import Progress, silent
from blurryscope.dataset.build import Picture
from blurryscope.dataset.imagined_scan import (
    ImaginedDevice,
    imagined_scan,
    random_device,
    set_up_again,
)
from blurryscope.dataset.packed import PackedCore, Packing, packed_views
from blurryscope.dataset.views import find_tissue
from blurryscope.simulator.appearance import read_by_eye, trying_appearance
from blurryscope.simulator.core import draw_core

_DIAMETERS_UM = (600.0, 1400.0)
_LARGEST_PX = 1200
"""Cores drawn finely are small ones: the time to draw grows with the area in pixels."""
_COLUMNS = 10
Made = TypeVar("Made")

_CORES_PER_PATIENT = 2
"""As in commercial arrays: two punches of one tumour, with one score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCores:
    """What to draw."""

    core_count: int
    scans_per_core: int = 3
    """Each by another imagined microscope; the paper scanned three times."""
    one_microscope: bool = False
    """All scans of a core by the same microscope, as the repeats of a slide are: they share its
    faults, and agree more than scans by different ones."""
    slide_count: int = 4
    pixel_size_um: float | None = None
    """Of all microscopes; None draws one for each core. Coarse ones are quick: a network whose
    views are 64 pixels wide sees 5.8 µm."""
    glare: float | None = None
    """Share of the light that comes from everywhere, in all microscopes; None leaves it out."""
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("core_count", "scans_per_core", "slide_count"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.core_count > MOST_ROWS * _COLUMNS * self.slide_count:
            raise ValueError(f"{self.slide_count} slides have no room for {self.core_count} cores")
        if self.pixel_size_um is not None and self.pixel_size_um <= 0:
            raise ValueError(f"pixel_size_um must be positive, got {self.pixel_size_um}")
        if self.glare is not None and not 0.0 <= self.glare < 1.0:
            raise ValueError(f"glare must be 0 to below 1, got {self.glare}")

    @property
    def recipe(self) -> dict[str, str | int | float | bool | list[str]]:
        """What gives these pictures again."""
        told = {name: value for name, value in asdict(self).items() if value is not None}
        return {"source": "simulated"} | told


def simulated_pictures(
    wanted: SimulatedCores, *, workers: int = 2, progress: Progress = silent
) -> Iterator[Picture]:
    """Draw all cores and scan them; the same whatever `workers` is."""
    job = partial(_pictures_of_core, wanted)
    yield from done_in_order(job, wanted.core_count, workers, progress)


def simulated_views(
    wanted: SimulatedCores, packing: Packing, *, workers: int = 2, progress: Progress = silent
) -> Iterator[PackedCore]:
    """The same cores, of which only views are kept."""
    job = partial(_views_of_core, wanted, packing)
    yield from done_in_order(job, wanted.core_count, workers, progress)


def done_in_order(
    job: Callable[[int], list[Made]], count: int, workers: int, progress: Progress = silent
) -> Iterator[Made]:
    """What `job` makes of 0, 1, … one after the other, by so many processes."""
    if workers <= 1:
        yield from _told(map(job, range(count)), count, progress)
        return
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from _told(pool.map(job, range(count), chunksize=2), count, progress)


def _told(made: Iterator[list[Made]], count: int, progress: Progress) -> Iterator[Made]:
    for number, several in enumerate(made, start=1):
        yield from several
        progress("draw cores", number / count)


def planned_samples(wanted: SimulatedCores) -> list[Sample]:
    """What the set will list, before anything is drawn: one scan a core, with the score meant.

    A reader's score, which a drawn core gets, differs from it near a bound.
    """
    samples = []
    for number in range(wanted.core_count):
        slide, core = _place(number, wanted)
        score = _meant_score(number)
        samples.append(
            Sample(slide=slide, case=_case(number), core=core, repeat=1, score=score, path=Path())
        )
    return samples


def _meant_score(number: int) -> Score:
    return Score(number // _CORES_PER_PATIENT % len(Score))


def _case(number: int) -> str:
    return f"P{number // _CORES_PER_PATIENT + 1}"


def _views_of_core(wanted: SimulatedCores, packing: Packing, number: int) -> list[PackedCore]:
    rng = np.random.default_rng([wanted.seed, number, 1])
    return [packed(picture, packing, rng) for picture in _pictures_of_core(wanted, number)]


def packed(picture: Picture, packing: Packing, rng: np.random.Generator) -> PackedCore:
    """What a packed set keeps of a picture of a whole core."""
    pixel_size_um = picture.sample.pixel_size_um
    if pixel_size_um is None:
        raise ValueError("picture must be of a whole core, got a stack")
    views = packed_views(picture.pixels, pixel_size_um=pixel_size_um, packing=packing, rng=rng)
    return PackedCore(sample=replace(picture.sample, pixel_size_um=None), views=views)


def _pictures_of_core(wanted: SimulatedCores, number: int) -> list[Picture]:
    """One core in all its scans; seeded by its number alone."""
    rng = np.random.default_rng([wanted.seed, number])
    devices = _devices(rng, wanted)
    pixel_size_um = devices[0].pixel_size_um
    drawn = draw_core(
        _meant_score(number),
        diameter_um=min(float(rng.uniform(*_DIAMETERS_UM)), _LARGEST_PX * pixel_size_um),
        pixel_size_um=pixel_size_um,
        rng=rng,
        appearance=trying_appearance(rng),
    )
    label = read_by_eye(drawn.pattern, rng)
    slide, name = _place(number, wanted)
    pictures = []
    for repeat, device in enumerate(devices, start=1):
        mosaic = imagined_scan(
            turned(drawn.rgb, rng), replace(device, pixel_size_um=pixel_size_um), rng
        )
        assumed_um = pixel_size_um * float(rng.lognormal(0.0, 0.03))
        sample = Sample(
            slide=slide,
            case=_case(number),
            core=name,
            repeat=repeat,
            score=label,
            path=Path(),
            pixel_size_um=round(assumed_um, 6),
            tissue_fraction=float(find_tissue(mosaic, assumed_um).mean()),
        )
        pictures.append(Picture(sample=sample, pixels=mosaic))
    return pictures


def _devices(rng: np.random.Generator, wanted: SimulatedCores) -> list[ImaginedDevice]:
    """What each scan of a core is made with."""
    first = _device(rng, wanted)
    further = range(1, wanted.scans_per_core)
    if wanted.one_microscope:
        return [first, *(set_up_again(first, rng) for _ in further)]
    return [first, *(_device(rng, wanted) for _ in further)]


def _device(rng: np.random.Generator, wanted: SimulatedCores) -> ImaginedDevice:
    device = replace(random_device(rng), glare=wanted.glare or 0.0)
    if wanted.pixel_size_um is None:
        return device
    return replace(device, pixel_size_um=wanted.pixel_size_um)


def _place(number: int, wanted: SimulatedCores) -> tuple[str, CoreName]:
    """Patients by turns on the slides, in a drawn order, so that slides hold all scores."""
    patient, punch = divmod(number, _CORES_PER_PATIENT)
    turn, member = divmod(patient, wanted.slide_count)
    slide = int(np.random.default_rng([wanted.seed, turn]).permutation(wanted.slide_count)[member])
    place = turn * _CORES_PER_PATIENT + punch
    return f"SIM{slide + 1}", CoreName(*divmod(place, _COLUMNS))


def turned(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """One of the eight ways to lay a square; the blur comes later and stays along x."""
    upright = np.rot90(rgb, int(rng.integers(4)))
    return np.ascontiguousarray(upright if rng.random() < 0.5 else upright[::-1])
