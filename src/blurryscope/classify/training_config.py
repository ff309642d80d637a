"""`run.toml`: one file that describes a training run whole, and is stored with its result."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from blurryscope.artifacts.toml_file import TomlTable, read_toml
from blurryscope.basics.errors import InputError
from blurryscope.classify.efin import PAPER, Variant
from blurryscope.classify.networks import CORENET_1, CoreVariant
from blurryscope.classify.shipped import SHIPPED

_Count = Annotated[int, Field(ge=1)]
_Positive = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_Seed = Annotated[int, Field(ge=0, lt=2**63)]


class DataConfig(TomlTable):
    """What is learnt from."""

    set: Path
    """Folder of the data set; a relative one is looked for beside the config file."""
    split: str = "holdout"
    crops: Literal["drawn", "fixed"] = "drawn"
    """Whether crops of whole cores are drawn afresh in every epoch."""
    augmentation: Literal["paper-4", "paper-2", "keeping-blur", "colour", "stain", "none"] = (
        "paper-4"
    )
    balance: Literal["none", "loss", "sampling"] = "none"
    """How rare scores are made to count: not at all as in the paper, by weight, by repetition."""
    stacks_per_epoch: _Count | None = 500
    """Drawn anew each epoch, as in the paper; None takes all."""
    loading_processes: Annotated[int, Field(ge=0)] = 0


class NetworkConfig(TomlTable):
    """What learns."""

    kind: Literal["efin", "corenet"] = "efin"
    classes: Literal[2, 4] = 4
    view_px: int = 512
    """Side of a view: 512 in the paper; `corenet` takes 128 or 256."""
    width: _Count = 7
    """Channels at the beginning: 7 in the paper; 32 in what is shipped."""
    variant: Variant = PAPER
    core_variant: CoreVariant = CORENET_1
    """What a `corenet` is made of; its size of view has to be `view_px`."""
    checkpointing: bool = True
    """Recompute in the backward pass: the same gradients, less memory, a third more time."""
    start_from: str | None = None
    """A shipped model by name, or a file, to go on from; None starts at random."""


class OptimiserConfig(TomlTable):
    """How it learns: AdamW; the defaults are the paper's."""

    learning_rate: _Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    betas: tuple[_Share, _Share] = (0.5, 0.999)
    schedule: Literal["cosine-restarts", "one-cycle", "constant"] = "cosine-restarts"
    first_cycle_epochs: _Count = 2
    cycle_factor: _Count = 2
    batch: _Count = 2
    """Stacks at once, over all processes."""
    accumulate: _Count = 1
    """Batches whose gradients are added up for one step."""
    clip_norm: _Positive | None = None
    averaging: _Share = 0.0
    """Share of the running mean of the weights that each step keeps; the mean is what is validated
    and stored. 0 takes the weights themselves, as the paper did."""


class LossConfig(TomlTable):
    """What learning makes small."""

    kind: Literal["cross-entropy", "ordinal", "earth-mover"] = "cross-entropy"
    label_smoothing: _Share = 0.0


class RunConfig(TomlTable):
    """How long, where, how exactly."""

    epochs: _Count = 50_000
    seed: _Seed = 42
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Of convolutions; transforms and filters are computed in float32 always, and all is where a
    processor would have to emulate bfloat16."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: _Count | None = None
    """Of a processor; None leaves it to torch."""
    checkpoint_every_steps: _Count | None = None
    """Beside one after every epoch."""
    withheld_fraction: _Share = 0.15
    """Of the calibration cores, below the threshold; as in the paper."""


class TrainingConfig(TomlTable):
    """A run."""

    data: DataConfig
    network: NetworkConfig = NetworkConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    loss: LossConfig = LossConfig()
    run: RunConfig = RunConfig()

    def on_data_set(self, folder: Path) -> "TrainingConfig":
        """The same run on another data set."""
        return self.model_copy(update={"data": self.data.model_copy(update={"set": folder})})

    def going_on_from(self, model: str) -> "TrainingConfig":
        """The same run, begun with a model's weights; `shipped` is the one of the package."""
        name = SHIPPED if model == "shipped" else model
        network = self.network.model_copy(update={"start_from": name})
        return self.model_copy(update={"network": network})


def read_training_config(path: Path) -> TrainingConfig:
    """Read `run.toml`; an `InputError` names the entry that cannot be used."""
    config = read_toml(
        path,
        TrainingConfig,
        missing="Write one: see docs/how-to/train.md",
        remedy="See docs/how-to/train.md",
    )
    _refuse_what_does_not_go_together(path, config)
    return config.on_data_set(path.parent / config.data.set)


def _refuse_what_does_not_go_together(path: Path, config: TrainingConfig) -> None:
    network = config.network
    if network.view_px not in (32, 64, 128, 256, 512):
        raise InputError(
            f"{path}, network.view_px", f"{network.view_px} is no size of a view",
            "Use 32, 64, 128, 256 or 512",
        )  # fmt: skip
    wanted_px = network.core_variant.view_px
    if network.kind == "corenet" and (network.classes != 4 or network.view_px != wanted_px):
        raise InputError(
            f"{path}, network", f"this corenet has four classes and views of {wanted_px} pixels",
            f"Set classes = 4 and view_px = {wanted_px}",
        )  # fmt: skip


def config_fingerprint(config: TrainingConfig) -> str:
    """Of all that shapes the weights: not where the data lie, nor, mostly, how many epochs."""
    shaping = config.model_dump(
        mode="json",
        exclude={
            "data": {"set", "loading_processes"},
            "run": {"epochs", "threads", "checkpoint_every_steps"}
            if config.optimiser.schedule != "one-cycle"
            else {"threads", "checkpoint_every_steps"},
        },
    )
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()
