"""What the gate measures on good stacks and on spoiled ones, and what it then refuses.

    python benchmarks/gate_figures.py [SHARED_DATA] [--cores 72]

Good stacks are drawn cores seen by imagined microscopes (blurred, pale, of all scores), four scans
a core; with SHARED_DATA the real ones too. Each fault is made from the good stacks. Pictures of
whole arrays, toy slides and with SHARED_DATA real ones, are given as if each were one core. The
limits in `blurryscope/classify/gate.py` rest on what is drawn.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from score_real_material import real_material

from blurryscope.artifacts.training_set import reduced_views
from blurryscope.basics.image import Rgb
from blurryscope.classify.gate import StackQuality, objection, stack_quality
from blurryscope.dataset.simulated import SimulatedCores, simulated_pictures
from blurryscope.dataset.spoiled import FAULTS
from blurryscope.dataset.views import prepare_core
from blurryscope.tma.toy_trials import random_trial

_VIEW_PX = 128
_TOY_SLIDES = 40
_ASSUMED_UM = (0.4, 0.72, 1.4, 3.0)
"""Sizes of a pixel that somebody might tell who takes an array for a core."""
_QUANTILES = (0.0, 0.005, 0.05, 0.5, 0.95, 0.995, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared_data", type=Path, nargs="?")
    parser.add_argument("--cores", type=int, default=72)
    parser.add_argument("--seed", type=int, default=901)
    given = parser.parse_args()
    wanted = SimulatedCores(core_count=given.cores, scans_per_core=4, seed=given.seed)
    stacks = [stack for _, stack in drawn_stacks(wanted)]
    _report("drawn", stacks)
    rng = np.random.default_rng(0)
    for name, spoil in FAULTS.items():
        _summarise(name, [stack_quality(spoil(stack, rng)) for stack in stacks[::4]])
    toys = [random_trial(seed).picture.read_level(1) for seed in range(_TOY_SLIDES)]
    _summarise_arrays("toy slides", toys)
    if given.shared_data:
        for title, named in real_material(given.shared_data):
            cores = [(name, reduced_views(stack[None])[0]) for name, _, stack in named]
            _report(title, [stack for _, stack in cores], [name for name, _ in cores])
            for name, spoil in FAULTS.items():
                _summarise(name, [stack_quality(spoil(stack, rng)) for _, stack in cores])
        folder = given.shared_data / "tma-overviews"
        _summarise_arrays("real arrays", [_read(path) for path in sorted(folder.glob("*.png"))])


def drawn_stacks(wanted: SimulatedCores, workers: int = 2) -> list[tuple[int, Rgb]]:
    """Scores and stacks of drawn cores, as small as the gate and the network see them."""
    stacks = []
    for picture in simulated_pictures(wanted, workers=workers):
        pixel_size_um = picture.sample.pixel_size_um
        if pixel_size_um is None:
            raise SystemExit("a drawn core lacks its pixel size")
        prepared = prepare_core(picture.pixels, pixel_size_um=pixel_size_um, view_px=_VIEW_PX)
        if picture.sample.score is None:
            raise SystemExit("a drawn core lacks its score")
        stacks.append((int(picture.sample.score), prepared.stack()))
    return stacks


def _summarise_arrays(name: str, pictures: Sequence[Rgb]) -> None:
    for um in _ASSUMED_UM:
        stacks = [
            prepare_core(picture, pixel_size_um=um, view_px=_VIEW_PX).stack()
            for picture in pictures
        ]
        _summarise(f"{name}, {um} µm a pixel", [stack_quality(stack) for stack in stacks])


def _read(path: Path) -> Rgb:
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise SystemExit(f"{path} cannot be read")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def _report(title: str, stacks: Sequence[Rgb], names: Sequence[str] = ()) -> None:
    qualities = [stack_quality(stack) for stack in stacks]
    print(f"\n{title}: {len(stacks)} stacks; quantiles {_QUANTILES}")
    for figure in asdict(qualities[0]):
        values = [getattr(quality, figure) for quality in qualities]
        shown = " ".join(f"{value:7.3f}" for value in np.quantile(values, _QUANTILES))
        print(f"  {figure:16} {shown}")
    _summarise("as they are", qualities)
    for name, quality in zip(names, qualities, strict=False):
        why = objection(quality)
        if why is not None:
            print(f"    {name}: {why}")


def _summarise(name: str, qualities: Sequence[StackQuality]) -> None:
    refused = [why for why in map(objection, qualities) if why is not None]
    reasons = Counter(why.split(":")[0] for why in refused).most_common(3)
    told = ", ".join(f"{count} {why}" for why, count in reasons)
    print(f"  {name:24} refused {len(refused)} of {len(qualities)}: {told}")


if __name__ == "__main__":
    main()
