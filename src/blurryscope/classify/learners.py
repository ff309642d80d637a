"""The two networks behind one face: stacks in, log-odds and log-probabilities out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from blurryscope.classify.networks import class_probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """What training has to know of a kind of network."""

    leaves_views_out: bool
    """Whether it takes any number of views, so that some can be left out while it learns."""
    raw: Callable[[nn.Module, Tensor], Tensor]
    """Log-odds from stacks, (core, view, rgb, row, col) float32 in 0..255: what a temperature
    divides."""
    log_probabilities: Callable[[Tensor], Tensor]
    """(core, class) from log-odds."""


def as_views(stacks: NDArray[np.uint8]) -> Tensor:
    """(…, row, col, rgb) uint8 to (…, rgb, row, col) float32 in 0..255."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(stacks, -1, -3))).float()


def _efin_raw(network: nn.Module, stacks: Tensor) -> Tensor:
    logits: Tensor = network(stacks.flatten(1, 2) / 255)
    return logits.float()


def _efin_log_probabilities(raw: Tensor) -> Tensor:
    return functional.log_softmax(raw, dim=1)


def _core_net_raw(network: nn.Module, stacks: Tensor) -> Tensor:
    cumulative: Tensor = network(stacks).cumulative_logits
    return cumulative.float()


def _core_net_log_probabilities(raw: Tensor) -> Tensor:
    return class_probabilities(raw).log()


LEARNERS = {
    "efin": Learner(
        leaves_views_out=False, raw=_efin_raw, log_probabilities=_efin_log_probabilities
    ),
    "corenet": Learner(
        leaves_views_out=True, raw=_core_net_raw, log_probabilities=_core_net_log_probabilities
    ),
}
