"""What changes while a network learns: its weights, their running mean, and the optimiser."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from blurryscope.basics.errors import InputError
from blurryscope.classify.efin import EFIN, red_first
from blurryscope.classify.model_file import ModelSettings, empty_network, read_model
from blurryscope.classify.training_config import TrainingConfig, config_fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """A network on its way."""

    network: nn.Module
    averaged: nn.Module
    """The running mean of the weights; the network itself where none is kept."""
    optimiser: torch.optim.AdamW


def begin_learning(config: TrainingConfig, device: torch.device) -> Learning:
    """The network as it begins, which the seed or a model decides."""
    settings = model_settings(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.run.seed)
        network = empty_network(settings)
    if network is None:
        raise ValueError(f"there is no network {settings.network!r}")
    start = config.network.start_from
    if start is not None:
        _take_weights(network, start, settings)
    if isinstance(network, EFIN):
        network.checkpointing = config.network.checkpointing
    network.to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(),
        config.optimiser.learning_rate,
        betas=config.optimiser.betas,
        weight_decay=config.optimiser.weight_decay,
    )
    averaged = deepcopy(network).requires_grad_(False) if config.optimiser.averaging else network
    return Learning(network=network, averaged=averaged, optimiser=optimiser)


def average(learning: Learning, kept: float, steps: int) -> None:
    """Take the weights of a step into their mean, over fewer steps at the beginning."""
    if learning.averaged is learning.network:
        return
    share = min(kept, (1 + steps) / (10 + steps))
    with torch.no_grad():
        now = learning.network.state_dict()
        for name, mean in learning.averaged.state_dict().items():
            if mean.is_floating_point():
                mean.mul_(share).add_(now[name], alpha=1 - share)
            else:
                mean.copy_(now[name])


def model_settings(config: TrainingConfig, data_sha256: str = "") -> ModelSettings:
    """What the stored weights say of themselves; `data_sha256` is of what they learn from.

    What the model that they go on from has learnt from stays with them.
    """
    start = config.network.start_from
    before = () if start is None else read_model(start).settings.learnt_from
    learnt_from = " ".join(dict.fromkeys(filter(None, (*before, data_sha256))))
    trained_on: dict[str, str | int | float] = {
        "config": config_fingerprint(config)[:16], "seed": config.run.seed,
    }  # fmt: skip
    if learnt_from:
        trained_on["data"] = learnt_from
    return ModelSettings(
        network=config.network.kind,
        width=config.network.width,
        classes=config.network.classes,
        size_px=config.network.view_px if config.network.kind == "efin" else 512,
        variant=config.network.variant,
        core_variant=config.network.core_variant,
        trained_on=trained_on,
    )


def _take_weights(network: nn.Module, start: str, settings: ModelSettings) -> None:
    """Begin with a model's weights; it must be of the same kind and size."""
    model = read_model(start)
    wanted, found = network.state_dict(), model.network.state_dict()
    other = [
        name
        for name in ("network", "variant", "core_variant")
        if getattr(model.settings, name) != getattr(settings, name)
    ]
    misfit = [
        name for name in wanted if name not in found or found[name].shape != wanted[name].shape
    ]
    if other or misfit:
        raise InputError(
            model.path,
            f"is another network than the config's ({[*other, *misfit][0]})",
            "Set network.kind, variant, core_variant, classes and width as in the model",
        )
    network.load_state_dict(red_first(found) if model.settings.bgr else found)
