"""A training set out of nothing: drawn cores, seen by imagined microscopes. Repeatable by seed.

python -m blurryscope.dataset.simulated --out FOLDER --cores 1500 --seed 1
"""

import argparse
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.training_set import (
    Lesson,
    Part,
    TrainingSet,
    read_training_set,
    reduced_views,
    write_training_set,
)
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb
from blurryscope.basics.progress import Progress, silent
from blurryscope.dataset.imagined_scan import imagined_scan, random_device
from blurryscope.dataset.views import make_stack
from blurryscope.simulator.appearance import random_appearance
from blurryscope.simulator.core import draw_core

_DIAMETERS_UM = (600.0, 1400.0)
_LARGEST_PX = 1200
"""Cores drawn finely are small ones: the time to draw grows with the area in pixels."""
_PARTS = (Part.TRAIN,) * 7 + (Part.VALIDATE, Part.CALIBRATE, Part.TEST)
"""By turns of cores; scores alternate too, so every part holds all four alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSet:
    """What to draw. Every core is a case of its own."""

    core_count: int
    scans_per_core: int = 4
    """Each by another imagined microscope."""
    seed: int = 1

    def __post_init__(self) -> None:
        if self.core_count < 4 * len(_PARTS):
            raise ValueError(f"core_count must be at least {4 * len(_PARTS)}: {self.core_count}")
        if self.scans_per_core < 1:
            raise ValueError(f"scans_per_core must be positive, got {self.scans_per_core}")


def build_simulated_set(
    folder: Path, wanted: SimulatedSet, *, workers: int = 2, progress: Progress = silent
) -> TrainingSet:
    """Draw the set and write it to `folder`; the same whatever `workers` is."""
    views: list[NDArray[np.uint8]] = []
    lessons: list[Lesson] = []
    for number, scans in enumerate(_drawn_cores(wanted, workers)):
        score, part = _score_and_part(number)
        for repeat, scan in enumerate(scans, start=1):
            views.append(scan)
            lessons.append(
                Lesson(case=f"simulated-{number}", repeat=repeat, score=score, part=part)
            )
        progress("draw cores", (number + 1) / wanted.core_count)
    write_training_set(folder, views, lessons)
    return read_training_set(folder)


def _score_and_part(number: int) -> tuple[Score, Part]:
    return Score(number % 4), _PARTS[number // 4 % len(_PARTS)]


def _drawn_cores(wanted: SimulatedSet, workers: int) -> Iterator[list[NDArray[np.uint8]]]:
    jobs = [(wanted, number) for number in range(wanted.core_count)]
    if workers <= 1:
        yield from map(_scans_of_core, jobs)
        return
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.map(_scans_of_core, jobs, chunksize=4)


def _scans_of_core(job: tuple[SimulatedSet, int]) -> list[NDArray[np.uint8]]:
    """The reduced stacks of one core; seeded by its number alone."""
    wanted, number = job
    rng = np.random.default_rng([wanted.seed, number])
    score, _ = _score_and_part(number)
    devices = [random_device(rng) for _ in range(wanted.scans_per_core)]
    pixel_size_um = devices[0].pixel_size_um
    drawn = draw_core(
        score,
        diameter_um=min(float(rng.uniform(*_DIAMETERS_UM)), _LARGEST_PX * pixel_size_um),
        pixel_size_um=pixel_size_um,
        rng=rng,
        appearance=random_appearance(rng),
    )
    stacks = []
    for device in devices:
        mosaic = imagined_scan(
            _turned(drawn.rgb, rng), replace(device, pixel_size_um=pixel_size_um), rng
        )
        assumed_um = pixel_size_um * float(rng.lognormal(0.0, 0.03))
        stacks.append(make_stack(mosaic, pixel_size_um=assumed_um, rng=rng))
    return list(reduced_views(np.stack(stacks)))


def _turned(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """One of the eight ways to lay a square; the blur comes later and stays along x."""
    turned = np.rot90(rgb, int(rng.integers(4)))
    return np.ascontiguousarray(turned if rng.random() < 0.5 else turned[::-1])


def _told_in_lines(tell: Callable[[str], object]) -> Progress:
    """Progress as a line every twentieth part."""
    last = -1

    def progress(stage: str, fraction: float) -> None:
        nonlocal last
        step = math.floor(20 * fraction)
        if step != last:
            last = step
            tell(f"{stage}: {fraction:.0%}")

    return progress


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and build the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--cores", type=int, default=1500)
    parser.add_argument("--scans", type=int, default=4, help="imagined scans of each core")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    wanted = SimulatedSet(core_count=given.cores, scans_per_core=given.scans, seed=given.seed)
    build_simulated_set(given.out, wanted, workers=given.workers, progress=_told_in_lines(_tell))


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this module is a command


if __name__ == "__main__":
    main()
