"""Train our network on a training set, calibrate it, and write it with what it was made from.

python -m blurryscope.dataset.simulated --out SET --cores 1500
python -m blurryscope.classify.train --set SET --out MODEL.safetensors
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from blurryscope.artifacts.training_set import Part, TrainingSet, read_training_set
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.augment import augmented
from blurryscope.classify.calibrate import fitted_temperature, threshold_withholding
from blurryscope.classify.model_file import ModelSettings, save_model
from blurryscope.classify.networks import CoreNet, class_probabilities
from blurryscope.classify.predict import as_core_net_input

_SCORED_AT_ONCE = 64
_AVERAGING = 0.98
"""Of the weights from step to step: what is validated and kept is their running mean, which swings
less than the weights themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How to train."""

    epochs: int = 24
    batch_size: int = 32
    peak_learning_rate: float = 2e-3
    weight_decay: float = 0.02
    width: int = 32
    """Channels of the encoder's first layer."""
    withheld_share: float = 0.15
    """Share of the calibration cores that the threshold withholds, as in the paper."""
    bfloat16: bool = False
    """Convolutions in bfloat16: twice as fast where the processor has it."""
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """How it went; the test part was used once, for these figures."""

    validation_losses: tuple[float, ...]
    """Mean negative log-likelihood after each epoch."""
    temperature: float
    threshold: float
    test_accuracy: float
    test_two_class_accuracy: float
    test_withheld: float
    """Share of the test stacks below the threshold."""
    test_accuracy_of_scored: float


def train_model(
    data: TrainingSet,
    settings: TrainingSettings,
    out: Path,
    *,
    trained_on: dict[str, str | int | float] | None = None,
    progress: Progress = silent,
) -> TrainingReport:
    """Train, keep the epoch that validates best, calibrate, write `out`, test once."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = CoreNet(settings.width)
        losses = _fit(network, data, settings, progress)
    calibration = data.part(Part.CALIBRATE)
    logits = _logits(network, data, calibration)
    temperature = fitted_temperature(logits, data.scores[calibration])
    confidences = _probabilities(logits, temperature).max(axis=1)
    model = ModelSettings(
        network="corenet",
        width=settings.width,
        temperature=temperature,
        threshold=threshold_withholding(settings.withheld_share, confidences),
        trained_on=trained_on or {},
    )
    save_model(out, network, model)
    return _tested(network, data, model, losses)


def _fit(
    network: CoreNet, data: TrainingSet, settings: TrainingSettings, progress: Progress
) -> tuple[float, ...]:
    """Train in place; leaves the weights of the epoch that validates best."""
    indices = data.part(Part.TRAIN)
    steps_per_epoch = len(indices) // settings.batch_size
    if steps_per_epoch == 0:
        raise ValueError(f"{len(indices)} training stacks are less than one batch")
    optimiser = torch.optim.AdamW(
        network.parameters(), settings.peak_learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.peak_learning_rate, total_steps=settings.epochs * steps_per_epoch
    )
    averaged = AveragedModel(network, avg_fn=_running_mean, use_buffers=True)
    kept = cast(CoreNet, averaged.module)
    generator = torch.Generator().manual_seed(settings.seed)
    losses: list[float] = []
    best: dict[str, Tensor] = {}
    for epoch in range(settings.epochs):
        network.train()
        for batch in _batches(indices, settings.batch_size, generator):
            views = augmented(as_core_net_input(data.views[batch]), generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                logits = network(views).cumulative_logits
            loss = _loss(logits.float(), torch.from_numpy(data.scores[batch]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            averaged.update_parameters(network)
        losses.append(_validation_loss(kept, data))
        if losses[-1] == min(losses):
            best = {name: value.clone() for name, value in kept.state_dict().items()}
        progress(f"train (validation loss {losses[-1]:.3f})", (epoch + 1) / settings.epochs)
    network.load_state_dict(best)
    return tuple(losses)


def _running_mean(mean: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
    """A mean over the last fifty steps or so; over fewer at the beginning."""
    decay = min(_AVERAGING, (1 + int(count)) / (10 + int(count)))
    return mean * decay + now * (1 - decay)


def _batches(
    indices: NDArray[np.intp], size: int, generator: torch.Generator
) -> Iterator[NDArray[np.intp]]:
    """Shuffled, sorted within a batch because the views lie on disk; the remainder is left out."""
    shuffled = indices[torch.randperm(len(indices), generator=generator).numpy()]
    for start in range(0, len(shuffled) - size + 1, size):
        yield np.sort(shuffled[start : start + size])


def _loss(cumulative_logits: Tensor, scores: Tensor) -> Tensor:
    """Likelihood of the class, and of each cut by itself, which steadies the beginning."""
    reached = (scores[:, None] > torch.arange(3)).float()
    cuts = functional.binary_cross_entropy_with_logits(cumulative_logits, reached)
    picked = class_probabilities(cumulative_logits).gather(1, scores[:, None])
    return cuts - picked.log().mean()


def _logits(network: CoreNet, data: TrainingSet, indices: NDArray[np.intp]) -> NDArray[np.float32]:
    """(stack, 3), in full precision and without augmentation."""
    network.eval()
    with torch.inference_mode():
        parts = [
            network(as_core_net_input(data.views[indices[start : start + _SCORED_AT_ONCE]]))
            for start in range(0, len(indices), _SCORED_AT_ONCE)
        ]
    return np.concatenate([part.cumulative_logits.numpy() for part in parts])


def _probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    scaled = torch.from_numpy(logits).double() / temperature
    result: NDArray[np.float64] = class_probabilities(scaled).numpy()
    return result


def _validation_loss(network: CoreNet, data: TrainingSet) -> float:
    indices = data.part(Part.VALIDATE)
    probabilities = _probabilities(_logits(network, data, indices), 1.0)
    picked = probabilities[np.arange(len(indices)), data.scores[indices]]
    return float(-np.log(picked).mean())


def _tested(
    network: CoreNet, data: TrainingSet, model: ModelSettings, losses: tuple[float, ...]
) -> TrainingReport:
    indices = data.part(Part.TEST)
    probabilities = _probabilities(_logits(network, data, indices), model.temperature)
    scores = data.scores[indices]
    right = probabilities.argmax(axis=1) == scores
    two_class_right = (probabilities[:, 2:].sum(axis=1) >= 0.5) == (scores >= 2)
    scored = probabilities.max(axis=1) >= model.threshold
    return TrainingReport(
        validation_losses=losses,
        temperature=model.temperature,
        threshold=model.threshold,
        test_accuracy=float(right.mean()),
        test_two_class_accuracy=float(two_class_right.mean()),
        test_withheld=float(1 - scored.mean()),
        test_accuracy_of_scored=float(right[scored].mean()) if scored.any() else math.nan,
    )


def main(arguments: list[str] | None = None, tell: Callable[[str], None] | None = None) -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", type=Path, required=True, help="folder of the training set")
    parser.add_argument("--out", type=Path, required=True, help="weights file to write")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--bfloat16", action="store_true", help="twice as fast where it is built in"
    )
    parser.add_argument("--threads", type=int, default=1, help="more only on an idle machine")
    given = parser.parse_args(arguments)
    say = tell or _tell
    torch.set_num_threads(given.threads)
    data = read_training_set(given.set)
    settings = TrainingSettings(epochs=given.epochs, seed=given.seed, bfloat16=given.bfloat16)
    report = train_model(
        data,
        settings,
        given.out,
        trained_on={"stacks": len(data.lessons), "epochs": given.epochs, "seed": given.seed},
        progress=lambda stage, fraction: say(f"{fraction:4.0%} {stage}"),
    )
    say(f"temperature {report.temperature:.2f}, threshold {report.threshold:.2f}")
    say(
        f"test stacks, none withheld: {report.test_accuracy:.1%} four classes, "
        f"{report.test_two_class_accuracy:.1%} two; {report.test_withheld:.1%} withheld: "
        f"{report.test_accuracy_of_scored:.1%} four classes"
    )


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this module is a command


if __name__ == "__main__":
    main()
