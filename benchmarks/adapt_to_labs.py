"""What fine-tuning on a lab's own few dozen cores is worth, in labs that look like no other.

    python benchmarks/adapt_to_labs.py OUT [--cores 160] [--learnt 48] [--only LAB …]

A lab is one stainer and one microscope, both outside what the shipped network has learnt from. Its
first cores, the ones it labelled itself, are parted by patient: 60 % to learn from, the rest to
choose the epoch and to calibrate. The others are scored by the network as shipped and as adapted
by `docs/how-to/fine-tune.toml`. A run that was stopped goes on.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.samples import Sample
from blurryscope.artifacts.split import Part, Unit
from blurryscope.artifacts.training_set import fixed_stacks, scores_of
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.classify.predict import Classifier, load_model
from blurryscope.classify.shipped import SHIPPED
from blurryscope.classify.train import train
from blurryscope.classify.training_config import read_training_config
from blurryscope.dataset.build import DataSet, add_splits, build_packed_set, open_data_set
from blurryscope.dataset.imagined_scan import imagined_scan, random_device
from blurryscope.dataset.packed import PackedCore, Packing, packed_views
from blurryscope.dataset.simulated import done_in_order
from blurryscope.dataset.splitting import Shares, holdout
from blurryscope.dataset.stacks import DataSetStacks
from blurryscope.simulator.appearance import read_by_eye, trying_appearance
from blurryscope.simulator.core import draw_core

_CONFIG = Path(__file__).parents[1] / "docs" / "how-to" / "fine-tune.toml"
_CORES_PER_PATIENT = 2
_DIAMETER_UM = 600.0
_DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """One stainer and one microscope, as what departs from the usual width of either."""

    seed: int
    stain: dict[str, Any] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)


_LABS = {
    "pale, greenish stain": Lab(
        seed=11,
        stain={
            "haematoxylin_hue": -1.6, "dab_hue": -1.6,
            "haematoxylin_strength": 0.5, "dab_strength": 0.65,
        },
        device={"pixel_size_um": 1.2},
    ),
    "brown background": Lab(
        seed=12,
        stain={"brown_cytoplasm": 0.09, "dab_background": 0.06, "dab_strength": 1.2},
        device={"pixel_size_um": 1.2},
    ),
    "coarse camera with glare": Lab(
        seed=13, device={"pixel_size_um": 2.2, "contrast": 0.4, "blur_um": 55.0, "focus_um": 3.0}
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cores", type=int, default=160)
    parser.add_argument("--learnt", type=int, default=48)
    parser.add_argument("--config", type=Path, default=_CONFIG)
    parser.add_argument("--only", nargs="+", choices=list(_LABS), default=list(_LABS))
    given = parser.parse_args()
    print(f"{'':28}{'cores':>7}{'four':>16}{'two':>16}{'mean -log p':>20}{'took':>9}")
    for name in given.only:
        folder = given.out / name.replace(",", "").replace(" ", "-")
        begun = time.monotonic()
        data = _data_of(_LABS[name], folder / "set", given.cores, given.learnt)
        drawn = time.monotonic()
        stacks = DataSetStacks(data, data.split("holdout"))
        config = (
            read_training_config(given.config).on_data_set(data.folder).going_on_from("shipped")
        )
        train(stacks, config, folder / "run", data_sha256=data.fingerprint("holdout"))
        took_s = time.monotonic() - drawn
        test = stacks.part(Part.TEST)
        truth = scores_of(stacks, test)
        before, after = (
            _said(load_model(model), stacks, test)
            for model in (SHIPPED, folder / "run" / "model.safetensors")
        )
        print(
            f"{name:28}{len(test):7}"
            + f"{_right(before, truth):7.0%} →{_right(after, truth):6.0%} "
            + f"{_right(before, truth, 2):7.0%} →{_right(after, truth, 2):6.0%} "
            + f"{_loss(before, truth).mean():9.2f} →{_loss(after, truth).mean():6.2f} "
            + f"{took_s:7.0f} s"
        )
        low, high = _interval(_loss(after, truth) - _loss(before, truth), data, test)
        print(f"{'':28}change of mean -log p {low:+.2f} to {high:+.2f} (95 %, by patient)")
        print(f"{'':28}as shipped: {_honesty(load_model(), stacks, test, truth)}")
        print(f"{'':28}drawn in {drawn - begun:.0f} s")


def _data_of(lab: Lab, folder: Path, count: int, learnt: int) -> DataSet:
    if folder.exists():
        return open_data_set(folder)
    packing = Packing(view_px=128, crop_count=10)
    cores = done_in_order(partial(_cores, lab, packing), count, workers=2)
    data = build_packed_set(folder, cores, packing, recipe={"source": "lab", "seed": lab.seed})
    own = learnt / count
    shares = Shares(train=0.6 * own, validate=0.2 * own, calibrate=0.2 * own, test=1 - own)
    parts = holdout(data.samples, unit=Unit.PATIENT, shares=shares, seed=lab.seed)
    return add_splits(data, {"holdout": parts}, unit=Unit.PATIENT, scheme="holdout", seed=lab.seed)


def _cores(lab: Lab, packing: Packing, number: int) -> list[PackedCore]:
    """One core of a lab; all of its cores share the stainer's and the microscope's habits."""
    device = replace(random_device(np.random.default_rng(lab.seed)), **lab.device)
    rng = np.random.default_rng([lab.seed, number])
    patient = number // _CORES_PER_PATIENT
    drawn = draw_core(
        Score(patient % len(Score)),
        diameter_um=_DIAMETER_UM,
        pixel_size_um=device.pixel_size_um,
        rng=rng,
        appearance=replace(trying_appearance(rng), **lab.stain),
    )
    sample = Sample(
        slide="LAB",
        case=f"P{patient + 1}",
        core=CoreName(*divmod(number, 10)),
        repeat=1,
        score=read_by_eye(drawn.pattern, rng),
        path=Path(),
    )
    mosaic = imagined_scan(drawn.rgb, device, rng)
    views = packed_views(mosaic, pixel_size_um=device.pixel_size_um, packing=packing, rng=rng)
    return [PackedCore(sample=sample, views=views)]


def _said(classifier: Classifier, stacks: DataSetStacks, test: list[int]) -> NDArray[np.float64]:
    return np.concatenate(list(_answers(classifier, stacks, test)))


def _answers(
    classifier: Classifier, stacks: DataSetStacks, test: list[int]
) -> Iterator[NDArray[np.float64]]:
    for index in test:
        yield classifier.predict(fixed_stacks(stacks, [index], classifier.view_px))


def _honesty(
    classifier: Classifier, stacks: DataSetStacks, test: list[int], truth: NDArray[np.int64]
) -> str:
    """How sure a model is where it has never been, and what its own limits then let through."""
    given = [
        (classifier.score(stacks.samples[index], stacks.stack(index, classifier.view_px)), label)
        for index, label in zip(test, truth, strict=True)
    ]
    answered = [(p.confidence, p.most_probable == label) for p, label in given if p.confidence]
    scored = [(p.score, label) for p, label in given if p.score is not None]
    return (
        f"mean confidence {np.mean([sure for sure, _ in answered]):.0%}, "
        f"right {np.mean([right for _, right in answered]):.0%}; "
        f"{len(scored)} of {len(test)} scored, right in four classes "
        f"{np.mean([score == label for score, label in scored]):.0%}, in two "
        f"{np.mean([score.is_positive == (label >= Score.TWO) for score, label in scored]):.0%}"
    )


def _right(said: NDArray[np.float64], truth: NDArray[np.int64], classes: int = 4) -> float:
    if classes == 2:
        return float(((said[:, 2:].sum(axis=1) >= 0.5) == (truth >= Score.TWO)).mean())
    return float((said.argmax(axis=1) == truth).mean())


def _loss(said: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(-np.log(np.maximum(said[np.arange(len(truth)), truth], 1e-12)))


def _interval(change: NDArray[np.float64], data: DataSet, test: list[int]) -> tuple[float, float]:
    """95 % interval of the mean, from patients drawn again and again."""
    rng = np.random.default_rng(0)
    _, patient = np.unique([data.samples[index].case for index in test], return_inverse=True)
    sums, counts = np.bincount(patient, change), np.bincount(patient)
    drawn = rng.integers(len(sums), size=(_DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
