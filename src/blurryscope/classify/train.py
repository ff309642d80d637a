"""Train a network as one config file says, and leave everything that tells how it came about.

::

    OUT/run.toml              the config, as it was given
    OUT/run.json              the config with every default, versions, checksums of data and config
    OUT/last.safetensors      where the run stands; the same command goes on from here
    OUT/best.safetensors      the weights that validated best so far
    OUT/model.safetensors     the same, calibrated, when the run is done
    OUT/log.csv, OUT/tensorboard   losses, learning rate, stacks per second, memory
    OUT/result.json           figures of the validation and calibration parts

The test part is not touched: `blurryscope predict` and `blurryscope evaluate` do that, once.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blurryscope.artifacts.split import Part
from blurryscope.artifacts.training_set import (
    LabelledStacks,
    drawn_views,
    refuse_smaller_views,
    scores_of,
)
from blurryscope.basics.clock import Clock, SystemClock
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.augment import some_views
from blurryscope.classify.batches import (
    Batch,
    EpochBatches,
    Lessons,
    class_of_score,
    loader_of,
    step_generator,
)
from blurryscope.classify.calibrate import (
    LEAST_CALIBRATION_CORES,
    fitted_temperature,
    threshold_withholding,
)
from blurryscope.classify.checkpoints import (
    EpochFigures,
    RunPlace,
    read_checkpoint,
    write_checkpoint,
)
from blurryscope.classify.kept_views import KeptViews
from blurryscope.classify.learners import LEARNERS, as_views
from blurryscope.classify.learning import average, begin_learning, model_settings
from blurryscope.classify.limits import limits_beside
from blurryscope.classify.losses import LOSSES
from blurryscope.classify.memory import most_memory_gib
from blurryscope.classify.model_file import read_model, save_model
from blurryscope.classify.processes import Processes, has_bfloat16, joined_processes
from blurryscope.classify.run_folder import (
    BEST,
    LAST,
    MODEL,
    TrainingReport,
    epoch_line,
    write_log,
    write_result,
    write_run_note,
)
from blurryscope.classify.schedules import learning_rate
from blurryscope.classify.tensorboard_log import TensorBoardLog
from blurryscope.classify.training_config import TrainingConfig, config_fingerprint

_ANSWERED_AT_ONCE = 64
_LARGE_PX = 256
"""Stacks with larger views are answered one by one."""
Tell = Callable[[str], None]


def train(  # noqa: PLR0913 - what is learnt, how, and all that lies outside
    data: LabelledStacks,
    config: TrainingConfig,
    out: Path,
    *,
    data_sha256: str = "",
    progress: Progress = silent,
    tell: Tell = lambda _: None,
    clock: Clock | None = None,
) -> TrainingReport:
    """Train, or go on where a run with the same config and data was stopped.

    Under `torchrun` every process calls this; the first one writes.

    Raises
    ------
    InputError
        When `out` holds a run with another config or other data, or a part is empty.
    """
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    if config.run.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    with joined_processes(config.run.device) as processes:
        run = _Run(data, config, out, processes, clock or SystemClock(), data_sha256)
        run.begin()
        run.learn(progress if processes.is_first else silent, tell)
        return run.finish()


class _Run:
    """One process's view of a run."""

    def __init__(
        self,
        data: LabelledStacks,
        config: TrainingConfig,
        out: Path,
        processes: Processes,
        clock: Clock,
        data_sha256: str,
    ) -> None:
        refuse_smaller_views(data, config.network.view_px)
        self._data, self._config, self._out = data, config, out
        self._processes, self._clock = processes, clock
        self._learner = LEARNERS[config.network.kind]
        self._loss = LOSSES[config.loss.kind]
        self._learning = begin_learning(config, processes.device)
        self._lessons = Lessons(
            data,
            config.data,
            classes=config.network.classes,
            view_px=config.network.view_px,
            seed=config.run.seed,
        )
        self._batches = EpochBatches(
            self._lessons, config.optimiser.batch, processes.rank, processes.count
        )
        kept = data.kept_views
        self._kept = (
            None if kept is None else KeptViews(kept, config.network.view_px, processes.device)
        )
        self._loader = loader_of(
            self._lessons, self._batches, config.data.loading_processes, self._kept
        )
        self._place = RunPlace(config_sha256=config_fingerprint(config), data_sha256=data_sha256)
        self._settings = model_settings(config, data_sha256)
        wants_half = config.run.precision == "bfloat16"
        self._is_half = wants_half and has_bfloat16(processes.device)
        self._is_full_instead = wants_half and not self._is_half
        self._log: TensorBoardLog | None = None
        self._refuse_too_little()

    def begin(self) -> None:
        """Take up a run that was stopped, or make the folder of a new one."""
        last = self._out / LAST
        if last.is_file():
            found = read_checkpoint(last, self._learning)
            for what in ("config_sha256", "data_sha256"):
                if getattr(found, what) != getattr(self._place, what):
                    raise InputError(
                        self._out,
                        f"holds a run with another {what.removesuffix('_sha256')}",
                        "Give another --out",
                    )
            self._place = found
        self._processes.wait_for_all()
        if self._processes.is_first:
            self._out.mkdir(parents=True, exist_ok=True)
            write_run_note(self._out, self._config, self._place)
            self._log = TensorBoardLog(self._out / "tensorboard", self._clock.utc_now().timestamp())

    def learn(self, progress: Progress, tell: Tell) -> None:
        """All epochs that are left."""
        if self._is_full_instead and self._processes.is_first:
            tell("this processor has no bfloat16, so float32 is used")
        epochs = self._config.run.epochs
        for epoch in range(self._place.epoch, epochs):
            figures = self._epoch(epoch, progress)
            judged = figures.judged_loss
            self._refuse_going_astray(epoch, judged)
            is_best = self._place.best_loss is None or judged < self._place.best_loss
            done = {"epoch": epoch + 1, "step": 0, "loss_sum": 0.0}
            best = {"best_loss": judged, "best_epoch": epoch + 1} if is_best else {}
            history = {"history": (*self._place.history, figures)}
            self._place = self._place.model_copy(update=done | best | history)
            if self._processes.is_first:
                if is_best:
                    save_model(self._out / BEST, self._learning.averaged, self._settings)
                self._save()
                self._write_logs(figures)
                tell(epoch_line(figures, epochs, is_best))
            progress("train", (epoch + 1) / epochs)

    def finish(self) -> TrainingReport:
        """Calibrate the best weights and write the model."""
        self._processes.wait_for_all()
        best = read_model(self._out / BEST).network.to(self._processes.device)
        temperature, threshold = self._before_calibration()
        if self._calibration_cores() >= LEAST_CALIBRATION_CORES:
            raw, classes = self._answers(best, Part.CALIBRATE)
            temperature = fitted_temperature(raw, classes, self._learner.log_probabilities)
            confidences = _probabilities(raw / temperature, self._learner.log_probabilities)
            # In use each class of two is shared by two scores, which halves the confidence.
            shared = len(Score) / self._config.network.classes
            threshold = threshold_withholding(
                self._config.run.withheld_fraction, confidences.max(axis=1) / shared
            )
        report = TrainingReport(
            model=self._out / MODEL,
            history=self._place.history,
            best_epoch=self._place.best_epoch,
            temperature=temperature,
            threshold=threshold,
            calibration_cores=self._calibration_cores(),
        )
        if self._processes.is_first:
            settings = self._settings.model_copy(
                update={"temperature": temperature, "threshold": threshold}
            )
            save_model(report.model, best, settings)
            write_result(self._out, report)
        self._processes.wait_for_all()
        return report

    def _before_calibration(self) -> tuple[float, float]:
        """Temperature and threshold of the model that it goes on from, or none at all."""
        start = self._config.network.start_from
        if start is None:
            return 1.0, 0.0
        model = read_model(start)
        limits = limits_beside(model)
        if limits is None:
            return model.settings.temperature, model.settings.threshold
        return model.settings.temperature * limits.temperature, limits.rules.of(1).threshold

    def _calibration_cores(self) -> int:
        samples = (self._data.samples[index] for index in self._data.part(Part.CALIBRATE))
        return len({(sample.slide, sample.core) for sample in samples})

    def _epoch(self, epoch: int, progress: Progress) -> EpochFigures:
        """Learn from an epoch's stacks, then validate."""
        self._learning.network.train()
        accumulate = self._config.optimiser.accumulate
        steps = self._steps_per_epoch
        self._batches.epoch = epoch
        self._batches.first = self._place.step * accumulate
        started_s, first_step = self._clock.monotonic_s(), self._place.step
        batches = iter(self._loader)
        for step in range(first_step, steps):
            self._step(epoch, step, [next(batches) for _ in range(accumulate)])
            every = self._config.run.checkpoint_every_steps
            if every and (step + 1) % every == 0 and self._processes.is_first:
                self._save()
            progress("this epoch", (step + 1) / steps)
        seconds = self._clock.monotonic_s() - started_s
        per_step = self._config.optimiser.batch * accumulate
        validation_loss, accuracy = self._validated()
        return EpochFigures(
            epoch=epoch,
            learning_rate=learning_rate(self._config, epoch, 0.0),
            training_loss=self._place.loss_sum / (steps * per_step),
            validation_loss=validation_loss,
            validation_accuracy=accuracy,
            stacks_per_s=(steps - first_step) * per_step / max(seconds, 1e-9),
            memory_gib=most_memory_gib(self._processes.device),
        )

    def _step(self, epoch: int, step: int, batches: list[Batch]) -> None:
        """One change of the weights, from all batches of all processes together."""
        config, optimiser = self._config, self._learning.optimiser
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, epoch, step / self._steps_per_epoch)
        generator = step_generator(config.run.seed, epoch, step, self._processes.rank)
        torch.manual_seed(generator.initial_seed())  # dropout draws from torch's own generator
        optimiser.zero_grad()
        whole = config.optimiser.batch * config.optimiser.accumulate
        total = torch.zeros((), dtype=torch.float64, device=self._processes.device)
        for batch in batches:
            loss = self._batch_loss(batch, generator) / whole
            torch.autograd.backward(loss)
            total += loss.detach() * whole
        parameters = [p for p in self._learning.network.parameters() if p.grad is not None]
        self._processes.add_up([p.grad for p in parameters if p.grad is not None] + [total])
        if config.optimiser.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, config.optimiser.clip_norm)
        optimiser.step()
        steps = self._place.steps_in_all + 1
        average(self._learning, config.optimiser.averaging, steps)
        self._place = self._place.model_copy(
            update={
                "step": step + 1,
                "steps_in_all": steps,
                "loss_sum": self._place.loss_sum + float(total),
            }
        )

    def _batch_loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """The sum over the batch's stacks."""
        device = self._processes.device
        stacks = batch.stacks
        if self._learner.leaves_views_out:
            stacks = some_views(stacks, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._is_half):
            raw = self._learner.raw(self._learning.network, stacks.to(device))
        losses = self._loss(
            self._learner.log_probabilities(raw),
            batch.classes.to(device),
            self._config.loss.label_smoothing,
        )
        summed: Tensor = (batch.weights.to(device) * losses).sum()
        return summed

    def _validated(self) -> tuple[float | None, float | None]:
        raw, classes = self._answers(self._learning.averaged, Part.VALIDATE)
        if len(classes) == 0:
            return None, None
        probabilities = _probabilities(raw, self._learner.log_probabilities)
        picked = probabilities[np.arange(len(classes)), classes]
        right = probabilities.argmax(axis=1) == classes
        return float(-np.log(np.maximum(picked, 1e-12)).mean()), float(right.mean())

    def _answers(
        self, network: nn.Module, part: Part
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Log-odds, (stack, …), and classes of a part; each process works on its share."""
        indices = list(self._data.part(part))
        classes = class_of_score(scores_of(self._data, indices), self._config.network.classes)
        if not indices:
            return np.empty((0, 0), np.float32), classes
        device = self._processes.device
        width = 3 if self._config.network.kind == "corenet" else self._config.network.classes
        answers = torch.zeros(len(indices), width, device=device)
        network.eval()
        mine = self._processes.share(list(range(len(indices))))
        size = 1 if self._config.network.view_px > _LARGE_PX else _ANSWERED_AT_ONCE
        with torch.inference_mode():
            for start in range(0, len(mine), size):
                places = mine[start : start + size]
                stacks = self._fixed([indices[place] for place in places]).to(device)
                answers[places] = self._learner.raw(network, stacks)
        self._processes.add_up([answers])
        return answers.cpu().numpy(), classes

    def _fixed(self, indices: list[int]) -> Tensor:
        """Stacks as they are scored, (stack, view, rgb, row, col)."""
        if self._kept is not None:
            views = self._data.kept_views
            count = 0 if views is None else views.shape[1]
            return self._kept.stacks(indices, [drawn_views(count, None)] * len(indices))
        view_px = self._config.network.view_px
        return as_views(np.stack([self._data.stack(index, view_px) for index in indices]))

    @property
    def _steps_per_epoch(self) -> int:
        return len(self._batches) // self._config.optimiser.accumulate

    def _save(self) -> None:
        write_checkpoint(self._out / LAST, self._learning, self._place)

    def _write_logs(self, figures: EpochFigures) -> None:
        write_log(self._out, self._place.history)
        if self._log is not None:
            values = figures.model_dump(exclude={"epoch"}, exclude_none=True)
            self._log.write(figures.epoch + 1, self._clock.utc_now().timestamp(), values)

    def _refuse_going_astray(self, epoch: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise InputError(
                self._out,
                f"training went astray: after epoch {epoch + 1} the loss is no number",
                "Lower optimiser.learning_rate or set optimiser.clip_norm, and give another --out",
            )

    def _refuse_too_little(self) -> None:
        if self._config.optimiser.batch < self._processes.count:
            raise InputError(
                "optimiser.batch",
                f"{self._config.optimiser.batch} stacks cannot be shared by "
                f"{self._processes.count} processes",
                "Make the batch at least as large as the number of processes",
            )
        if len(self._lessons) == 0 or self._steps_per_epoch == 0:
            raise InputError(
                self._config.data.set,
                f"its {len(self._lessons)} training stacks are less than one step takes",
                "Take a smaller batch, or more data",
            )


def _probabilities(
    raw: NDArray[np.float32], log_probabilities: Callable[[Tensor], Tensor]
) -> NDArray[np.float64]:
    result: NDArray[np.float64] = log_probabilities(torch.from_numpy(raw).double()).exp().numpy()
    return result
