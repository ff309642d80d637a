"""Pictures out of nothing: drawn cores, seen by imagined microscopes. Repeatable by seed."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from blurryscope.artifacts.samples import Sample
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb
from blurryscope.basics.progress import Progress, silent
from blurryscope.dataset.build import Picture
from blurryscope.dataset.imagined_scan import ImaginedDevice, imagined_scan, random_device
from blurryscope.dataset.views import find_tissue
from blurryscope.simulator.appearance import random_appearance
from blurryscope.simulator.core import draw_core

_DIAMETERS_UM = (600.0, 1400.0)
_LARGEST_PX = 1200
"""Cores drawn finely are small ones: the time to draw grows with the area in pixels."""
_COLUMNS = 10
_CORES_PER_PATIENT = 2
"""As in commercial arrays: two punches of one tumour, with one score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCores:
    """What to draw."""

    core_count: int
    scans_per_core: int = 3
    """Each by another imagined microscope; the paper scanned three times."""
    slide_count: int = 4
    pixel_size_um: float | None = None
    """Of all microscopes; None draws one for each core. Coarse ones are quick: a network whose
    views are 64 pixels wide sees 5.8 µm."""
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("core_count", "scans_per_core", "slide_count"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.pixel_size_um is not None and self.pixel_size_um <= 0:
            raise ValueError(f"pixel_size_um must be positive, got {self.pixel_size_um}")

    @property
    def recipe(self) -> dict[str, str | int | float | bool | list[str]]:
        """What gives these pictures again."""
        told = {name: value for name, value in asdict(self).items() if value is not None}
        return {"source": "simulated"} | told


def simulated_pictures(
    wanted: SimulatedCores, *, workers: int = 2, progress: Progress = silent
) -> Iterator[Picture]:
    """Draw all cores and scan them; the same whatever `workers` is."""
    jobs = [(wanted, number) for number in range(wanted.core_count)]
    if workers <= 1:
        scanned: Iterator[list[Picture]] = map(_pictures_of_core, jobs)
        yield from _in_order(scanned, wanted, progress)
        return
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from _in_order(pool.map(_pictures_of_core, jobs, chunksize=4), wanted, progress)


def _in_order(
    scanned: Iterator[list[Picture]], wanted: SimulatedCores, progress: Progress
) -> Iterator[Picture]:
    for number, pictures in enumerate(scanned, start=1):
        yield from pictures
        progress("draw cores", number / wanted.core_count)


def _pictures_of_core(job: tuple[SimulatedCores, int]) -> list[Picture]:
    """One core in all its scans; seeded by its number alone."""
    wanted, number = job
    rng = np.random.default_rng([wanted.seed, number])
    devices = [_device(rng, wanted) for _ in range(wanted.scans_per_core)]
    pixel_size_um = devices[0].pixel_size_um
    patient = number // _CORES_PER_PATIENT
    score = Score(patient % len(Score))
    drawn = draw_core(
        score,
        diameter_um=min(float(rng.uniform(*_DIAMETERS_UM)), _LARGEST_PX * pixel_size_um),
        pixel_size_um=pixel_size_um,
        rng=rng,
        appearance=random_appearance(rng),
    )
    slide, name = _place(number, wanted)
    pictures = []
    for repeat, device in enumerate(devices, start=1):
        mosaic = imagined_scan(
            _turned(drawn.rgb, rng), replace(device, pixel_size_um=pixel_size_um), rng
        )
        assumed_um = pixel_size_um * float(rng.lognormal(0.0, 0.03))
        sample = Sample(
            slide=slide,
            case=f"P{patient + 1}",
            core=name,
            repeat=repeat,
            score=score,
            path=Path(),
            pixel_size_um=round(assumed_um, 6),
            tissue_fraction=float(find_tissue(mosaic, assumed_um).mean()),
        )
        pictures.append(Picture(sample=sample, pixels=mosaic))
    return pictures


def _device(rng: np.random.Generator, wanted: SimulatedCores) -> ImaginedDevice:
    device = random_device(rng)
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


def _turned(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """One of the eight ways to lay a square; the blur comes later and stays along x."""
    turned = np.rot90(rgb, int(rng.integers(4)))
    return np.ascontiguousarray(turned if rng.random() < 0.5 else turned[::-1])
