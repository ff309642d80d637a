"""The shipped model on real material that it has never seen: the figures of the model card.

    python benchmarks/score_real_material.py SHARED_DATA [--model NAME|FILE] [--set TRAINING_SET]

SHARED_DATA holds `blurryscope-stacks` (the authors' own, blue first) and `her2-cores` (sharp whole
cores, blurred here). With a training set the colour baseline stands beside the network.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from blurryscope.artifacts.samples import VIEW_PX, read_stack, sample_of_file
from blurryscope.artifacts.split import Part
from blurryscope.artifacts.training_set import REDUCTION, fixed_stacks, reduced_views, scores_of
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.classify.colour_baseline import ColourBaseline
from blurryscope.classify.gate import objection, stack_quality
from blurryscope.classify.predict import load_model
from blurryscope.classify.shipped import SHIPPED
from blurryscope.dataset.build import open_data_set
from blurryscope.dataset.stacks import DataSetStacks
from blurryscope.dataset.views import make_stack
from blurryscope.simulator.exposure import blur_along_scan

_SHARP_PIXEL_UM = 0.23
_DEVICES = ((0.72, 0.0), (0.72, 39.0), (1.12, 39.0))
"""Pixel size and blur, both µm."""

Scorer = Callable[[Rgb], NDArray[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared_data", type=Path)
    parser.add_argument("--model", default=SHIPPED)
    parser.add_argument("--set", type=Path)
    given = parser.parse_args()
    scorers: dict[str, Scorer] = {given.model: load_model(given.model).predict}
    if given.set:
        data = open_data_set(given.set)
        labelled = DataSetStacks(data, data.split("holdout"))
        train, test = labelled.part(Part.TRAIN), labelled.part(Part.TEST)
        view_px = VIEW_PX // REDUCTION
        baseline = ColourBaseline(
            fixed_stacks(labelled, train, view_px), scores_of(labelled, train)
        )
        scorers["colour baseline"] = lambda stacks: baseline.predict(reduced_views(stacks))
        print("test part of the set - colour baseline")
        said = baseline.predict(fixed_stacks(labelled, test, view_px))
        _summarise(said, scores_of(labelled, test), np.ones(len(test), bool))
    for title, named in real_material(given.shared_data):
        cores = list(named)
        stacks = np.stack([stack for _, _, stack in cores])
        scores = np.array([score for _, score, _ in cores])
        unfit = [objection(stack_quality(stack)) for stack in stacks]
        for name, scorer in scorers.items():
            probabilities = scorer(stacks)
            print(f"\n{title} - {name}")
            for (core, score, _), row, why in zip(cores, probabilities, unfit, strict=True):
                shown = " ".join(f"{value:.2f}" for value in row)
                print(f"  {core:24} label {score}  said {row.argmax()}  [{shown}]  {why or ''}")
            _summarise(probabilities, scores, np.array([why is None for why in unfit]))


def _summarise(
    probabilities: NDArray[np.float64], scores: NDArray[np.int64], fit: NDArray[np.bool_]
) -> None:
    positive = probabilities[:, 2:].sum(axis=1)
    for title, of in (("all", np.ones_like(fit)), ("fit to be scored", fit)):
        four = float((probabilities[of].argmax(axis=1) == scores[of]).mean())
        two = float(((positive[of] >= 0.5) == (scores[of] >= 2)).mean())
        area = roc_auc_score(scores[of] >= 2, positive[of])
        print(
            f"  {title}: n {of.sum()}, four classes {four:.0%}, two {two:.0%}, "
            f"AUC of P(2+ or 3+) {area:.2f}"
        )


def real_material(data: Path) -> Iterator[tuple[str, Iterator[tuple[str, int, Rgb]]]]:
    """Titles with stacks: names, scores, (view, row, col, rgb)."""
    yield "the authors' stacks", _authors_stacks(data / "blurryscope-stacks")
    for pixel_um, blur_um in _DEVICES:
        title = f"real cores, {pixel_um} µm a pixel, blurred {blur_um:.0f} µm"
        yield title, _blurred_cores(data / "her2-cores", pixel_um, blur_um)


def _authors_stacks(folder: Path) -> Iterator[tuple[str, int, Rgb]]:
    for path in sorted(folder.glob("*.tif")):
        sample = sample_of_file(path)
        if sample.score is not None:
            yield path.stem, int(sample.score), read_stack(path, bgr=True)


def _blurred_cores(folder: Path, pixel_um: float, blur_um: float) -> Iterator[tuple[str, int, Rgb]]:
    for path in sorted(folder.glob("*.jpg")):
        sharp = cv2.imread(str(path))
        if sharp is None:
            raise SystemExit(f"{path} cannot be read")
        scale = _SHARP_PIXEL_UM / pixel_um
        small = cv2.resize(sharp, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        light = np.ascontiguousarray(small[..., ::-1], np.uint8)
        blurred = blur_along_scan(light, blur_um / pixel_um)
        glass = np.percentile(blurred.reshape(-1, 3), 97, axis=0)
        balanced = to_uint8(blurred / glass * 250.0)
        yield path.stem[:10], int(path.stem[0]), make_stack(balanced, pixel_size_um=pixel_um)


if __name__ == "__main__":
    main()
