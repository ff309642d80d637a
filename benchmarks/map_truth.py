"""Do maps of evidence point to positive membranes? On drawn cores, whose membranes are known.

    python benchmarks/map_truth.py [--cores 40] [--model NAME|FILE]

For each 2+ and 3+ core, inside its tissue: the area under the curve of the map against places rich
in positive membranes, and whether the map's highest point is such a place (the pointing game).
Beside it stand the density of DAB in the scan, smoothed alike, and the same network with random
weights (Adebayo et al. 2018: a map that stays the same without what was learnt explains nothing).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Grey, Rgb, optical_density
from blurryscope.classify.evidence import core_map, view_evidence
from blurryscope.classify.learners import as_views
from blurryscope.classify.model_file import empty_network, read_model
from blurryscope.classify.networks import StainPlanes
from blurryscope.classify.shipped import SHIPPED
from blurryscope.dataset.imagined_scan import imagined_scan, random_device
from blurryscope.dataset.views import PlacedStack, prepare_core
from blurryscope.simulator.appearance import random_appearance
from blurryscope.simulator.core import DrawnCore, draw_core

_PIXEL_UM = 1.12
_DIAMETER_UM = 850.0
_BLUR_UM = 39.0
_VIEW_PX = 128
_SMOOTHING_PX = 2.0
_RICH = 0.5
"""Of the core's ninety-percent quantile of membranes: where more counts as rich."""
_SEED = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Where positive membranes are, on the map's raster."""

    rich: NDArray[np.bool_]
    inside: NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=40)
    parser.add_argument("--model", default=SHIPPED)
    given = parser.parse_args()
    model = read_model(given.model)
    torch.manual_seed(0)
    unlearnt = empty_network(model.settings)
    if model.settings.network != "corenet" or unlearnt is None:
        raise SystemExit(f"{given.model} is no corenet: there are no maps of it")
    unlearnt.eval()
    areas: dict[str, list[float]] = {}
    hits: dict[str, list[bool]] = {}
    chance, alike = [], []
    for drawn, scan in _positive_cores(given.cores):
        placed = prepare_core(scan, pixel_size_um=_PIXEL_UM, view_px=_VIEW_PX).placed_stack()
        learnt = _map(model.network, placed, scan)
        random = _map(unlearnt, placed, scan)
        truth = _truth(drawn, learnt.shape)
        shown = {"map": learnt, "density of DAB": _dab(scan, learnt.shape), "unlearnt": random}
        for name, picture in shown.items():
            inside = picture[truth.inside]
            areas.setdefault(name, []).append(roc_auc_score(truth.rich[truth.inside], inside))
            hits.setdefault(name, []).append(bool(truth.rich[truth.inside][inside.argmax()]))
        chance.append(truth.rich[truth.inside].mean())
        alike.append(spearmanr(learnt[truth.inside], random[truth.inside])[0])
    print(f"{len(chance)} cores of 2+ and 3+, {_PIXEL_UM} µm a pixel, blurred {_BLUR_UM:.0f} µm")
    for name, values in areas.items():
        spread = np.std(values) / np.sqrt(len(values))
        print(
            f"  {name:16} area {np.mean(values):.3f} ± {spread:.3f} "
            f"(median {np.median(values):.3f}), highest point right {np.mean(hits[name]):.2f}"
        )
    print(f"  chance           area 0.500, highest point right {np.mean(chance):.2f}")
    print(f"  rank correlation of map and unlearnt: median {np.median(alike):.2f}")


def _positive_cores(count: int) -> Iterator[tuple[DrawnCore, Rgb]]:
    for number in range(count):
        rng = np.random.default_rng([_SEED, number])
        drawn = draw_core(
            (Score.TWO, Score.THREE)[number % 2],
            diameter_um=_DIAMETER_UM,
            pixel_size_um=_PIXEL_UM,
            rng=rng,
            appearance=random_appearance(rng),
        )
        # Nothing may move: the truth has to lie under the scan.
        device = replace(
            random_device(rng),
            pixel_size_um=_PIXEL_UM,
            blur_um=_BLUR_UM,
            abutted=False,
            lost_share=0.0,
            balance="divided",
        )
        yield drawn, imagined_scan(drawn.rgb, device, rng)


def _map(network: torch.nn.Module, placed: PlacedStack, scan: Rgb) -> Grey:
    found = view_evidence(network, as_views(placed.stack[None]))
    return core_map(found.maps[0], found.attention[0], placed.places, scan.shape[:2])


def _truth(drawn: DrawnCore, shape: tuple[int, ...]) -> Truth:
    share = _smooth(drawn.positive_membranes.astype(np.float32), shape)
    inside = cv2.resize(drawn.tissue.astype(np.float32), shape[::-1]) > 0.5
    return Truth(rich=share >= _RICH * np.quantile(share[inside], 0.9), inside=np.asarray(inside))


def _dab(scan: Rgb, shape: tuple[int, ...]) -> Grey:
    white = np.maximum(np.percentile(scan[::4, ::4].reshape(-1, 3), 98, axis=0), 150.0)
    stains = optical_density(scan, white) @ StainPlanes().unmix.numpy().T
    return _smooth(stains[..., 1], shape)


def _smooth(picture: Grey, shape: tuple[int, ...]) -> Grey:
    small = cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _SMOOTHING_PX), np.float32)


if __name__ == "__main__":
    main()
