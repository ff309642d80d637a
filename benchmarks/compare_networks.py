"""Networks beside each other: the same set, the same number of stacks, the test part once.

    blurryscope dataset build --simulate 1280 --repeats 2 --view-px 256 --crops 6 --out SET
    python benchmarks/compare_networks.py SET OUT [--epochs 70] [--only NAME …] [--at-once 9]

Each network is trained as the shipped one was, but for what makes it another, and for as many
epochs as are given; in a process of its own, on a graphics card where there is one. What each run
leaves lies in OUT/NAME, and a run that was stopped goes on. The colour baseline stands last.
Shares stand with Wilson's 95 % interval, which takes the scans of a core as independent.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.split import Part
from blurryscope.artifacts.training_set import fixed_stacks, reduced_views, scores_of
from blurryscope.classify.colour_baseline import ColourBaseline
from blurryscope.classify.predict import load_model
from blurryscope.classify.train import train
from blurryscope.classify.training_config import TrainingConfig
from blurryscope.dataset.build import open_data_set
from blurryscope.dataset.stacks import DataSetStacks
from blurryscope.evaluate.intervals import wilson

_STACKS_PER_EPOCH = 500
_BATCH = 32
_STACKS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """One network, by what departs from the make of what is shipped."""

    network: dict[str, Any]
    learning_rate: float = 2e-3
    precision: str = "bfloat16"


def _corenet(view_px: int = 128, width: int = 32, **variant: Any) -> Candidate:
    made_of = {"view_px": view_px, **variant}
    return Candidate(
        {"kind": "corenet", "view_px": view_px, "width": width, "core_variant": made_of}
    )


_CANDIDATES = {
    "convolutional": _corenet(),
    "convolutional, wider": _corenet(width=48),
    "convolutional, 256 px": _corenet(view_px=256),
    "fourier": _corenet(encoder="fourier"),
    "both": _corenet(encoder="both"),
    "both, 256 px": _corenet(view_px=256, encoder="both"),
    "without census": _corenet(census=False),
    "colours as they come": _corenet(sees="colours", census=False),
    "eFIN, 64 px": Candidate(
        {"kind": "efin", "view_px": 64, "width": 4, "checkpointing": False}, 1e-3, "float32"
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=70)
    parser.add_argument("--stacks-per-epoch", type=int, default=_STACKS_PER_EPOCH)
    parser.add_argument("--only", nargs="+", choices=list(_CANDIDATES), default=list(_CANDIDATES))
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        _learn(given, given.one)
        return
    waiting = list(given.only)
    while waiting:
        some, waiting = waiting[: given.at_once], waiting[given.at_once :]
        running = [
            subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--one", name])
            for name in some
        ]
        if any(process.wait() for process in running):
            raise SystemExit("a network could not be trained")
    _print_table(given)


def _learn(given: argparse.Namespace, name: str) -> None:
    data = open_data_set(given.set)
    stacks = DataSetStacks(data, data.split("holdout"))
    folder = given.out / name
    train(stacks, _config(given, name), folder, data_sha256=data.fingerprint("holdout"))
    classifier = load_model(folder / "model.safetensors")
    test = stacks.part(Part.TEST)
    said = [
        classifier.predict(fixed_stacks(stacks, test[start : start + _STACKS_AT_ONCE], view_px))
        for start in range(0, len(test), _STACKS_AT_ONCE)
        for view_px in [classifier.view_px]
    ]
    figures = _figures(np.concatenate(said), scores_of(stacks, test))
    (folder / "figures.json").write_text(json.dumps(figures), "utf-8")


def _config(given: argparse.Namespace, name: str) -> TrainingConfig:
    candidate = _CANDIDATES[name]
    return TrainingConfig.model_validate(
        {
            "data": {
                "set": given.set,
                "augmentation": "colour",
                "stacks_per_epoch": given.stacks_per_epoch,
            },
            "network": candidate.network,
            "optimiser": {
                "learning_rate": candidate.learning_rate,
                "weight_decay": 0.02,
                "betas": (0.9, 0.999),
                "schedule": "one-cycle",
                "batch": _BATCH,
                "clip_norm": 1.0,
                "averaging": 0.98,
            },
            "loss": {"kind": "ordinal"},
            "run": {"epochs": given.epochs, "seed": 1, "precision": candidate.precision},
        }
    )


def _print_table(given: argparse.Namespace) -> None:
    data = open_data_set(given.set)
    stacks = DataSetStacks(data, data.split("holdout"))
    rows = {
        name: json.loads((given.out / name / "figures.json").read_text("utf-8"))
        for name in given.only
    }
    parts = {part: stacks.part(part) for part in (Part.TRAIN, Part.TEST)}
    small = {
        part: reduced_views(fixed_stacks(stacks, indices, 128), 1)
        for part, indices in parts.items()
    }
    colour = ColourBaseline(small[Part.TRAIN], scores_of(stacks, parts[Part.TRAIN]))
    rows["colour baseline"] = _figures(
        colour.predict(small[Part.TEST]), scores_of(stacks, parts[Part.TEST])
    )
    print(f"{'':26}{'stacks':>8}{'four classes':>18}{'two':>18}{'mean -log p':>13}")
    for name, row in rows.items():
        shares = "".join(f"{_with_interval(row[of], row['stacks']):>18}" for of in ("four", "two"))
        print(f"{name:26}{row['stacks']:8.0f}{shares}{row['loss']:13.3f}")


def _with_interval(share: float, count: float) -> str:
    bounds = wilson(round(share * count), round(count))
    return f"{share:.1%}" if bounds is None else f"{share:.1%} ({bounds.low:.0%}-{bounds.high:.0%})"


def _figures(said: NDArray[np.float64], scores: NDArray[np.int64]) -> dict[str, float]:
    of_truth = said[np.arange(len(scores)), scores]
    return {
        "stacks": float(len(scores)),
        "four": float((said.argmax(axis=1) == scores).mean()),
        "two": float(((said[:, 2:].sum(axis=1) >= 0.5) == (scores >= 2)).mean()),
        "loss": float(-np.log(np.maximum(of_truth, 1e-12)).mean()),
    }


if __name__ == "__main__":
    main()
