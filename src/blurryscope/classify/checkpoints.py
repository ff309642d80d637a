"""Where a run stands, in one safetensors file: weights, their mean, the optimiser, how far it is.

There is no pickle in it, so a checkpoint from elsewhere can run no program; and it is written whole
or not at all, so a run that is killed while writing goes on from the one before.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.errors import InputError
from blurryscope.classify.learning import Learning

_KEY = "blurryscope-run"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""What AdamW keeps of each parameter."""


class EpochFigures(BaseModel):
    """One row of `log.csv`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    learning_rate: float
    training_loss: float
    validation_loss: float | None
    validation_accuracy: float | None
    stacks_per_s: float
    memory_gib: float | None
    """The most that this process has held so far; of a GPU where there is one."""

    @property
    def judged_loss(self) -> float:
        """What the best epoch is chosen by."""
        return self.training_loss if self.validation_loss is None else self.validation_loss


class RunPlace(BaseModel):
    """How far a run is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = 0
    """Epochs that are done."""
    step: int = 0
    """Steps that are done of the one after."""
    steps_in_all: int = 0
    loss_sum: float = 0.0
    """Of the stacks of the unfinished epoch."""
    best_loss: float | None = None
    """Of validation; of training where there is no validation part."""
    best_epoch: int = 0
    """Counts from 1."""
    history: tuple[EpochFigures, ...] = ()
    config_sha256: str = ""
    data_sha256: str = ""


def write_checkpoint(path: Path, learning: Learning, place: RunPlace) -> None:
    """Write everything that the rest of the run depends on."""
    tensors = _prefixed("network", learning.network.state_dict())
    if learning.averaged is not learning.network:
        tensors |= _prefixed("averaged", learning.averaged.state_dict())
    for name, parameter in learning.network.named_parameters():
        for moment, value in learning.optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser.{moment}.{name}"] = value
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with whole_file(path) as partial:
        save_file(plain, partial, metadata={_KEY: place.model_dump_json()})


def read_checkpoint(path: Path, learning: Learning) -> RunPlace:
    """Put everything back as it was; an `InputError` says what does not fit."""
    place, tensors = _read(path)
    try:
        learning.network.load_state_dict(_under("network", tensors))
        if learning.averaged is not learning.network:
            learning.averaged.load_state_dict(_under("averaged", tensors))
        for name, parameter in learning.network.named_parameters():
            if f"optimiser.step.{name}" in tensors:
                learning.optimiser.state[parameter] = {
                    moment: _beside(tensors[f"optimiser.{moment}.{name}"], parameter, moment)
                    for moment in _MOMENTS
                }
    except (RuntimeError, KeyError) as error:
        raise InputError(path, f"does not fit this run ({error})", "Give another --out") from error
    return place


def _read(path: Path) -> tuple[RunPlace, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            told = (file.metadata() or {}).get(_KEY, "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        return RunPlace.model_validate_json(told), tensors
    except (SafetensorError, OSError, ValidationError) as error:
        raise InputError(
            path, f"cannot be read as a checkpoint ({error})", "Delete it to begin again"
        ) from error


def _beside(value: Tensor, parameter: Tensor, moment: str) -> Tensor:
    """AdamW counts its steps on the processor, whatever the device."""
    return value if moment == "step" else value.to(parameter.device)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }
