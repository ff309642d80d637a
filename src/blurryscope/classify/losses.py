"""What training makes small, from log-probabilities: of classes alone, or of their order too."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

_SMALLEST = 1e-6


def cross_entropy(log_probabilities: Tensor, classes: Tensor, smoothing: float = 0.0) -> Tensor:
    """(stack,) from (stack, class) and (stack,); `smoothing` goes to all classes alike."""
    picked = -log_probabilities.gather(1, classes[:, None])[:, 0]
    return (1 - smoothing) * picked - smoothing * log_probabilities.mean(dim=1)


def ordinal(log_probabilities: Tensor, classes: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy, and that of each "at least this score" by itself: far misses cost more."""
    steps = torch.arange(1, log_probabilities.shape[1], device=classes.device)
    reached = _at_least(log_probabilities)
    target = (classes[:, None] >= steps).to(reached.dtype)
    cuts = -(target * reached.log() + (1 - target) * (1 - reached).log()).mean(dim=1)
    return cross_entropy(log_probabilities, classes, smoothing) + cuts


def earth_mover(log_probabilities: Tensor, classes: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy and the squared distance that probability has to travel along the scores."""
    steps = torch.arange(1, log_probabilities.shape[1], device=classes.device)
    reached = _at_least(log_probabilities)
    target = (classes[:, None] >= steps).to(reached.dtype)
    travel = (reached - target).square().sum(dim=1)
    return cross_entropy(log_probabilities, classes, smoothing) + travel


def _at_least(log_probabilities: Tensor) -> Tensor:
    """Probability of at least the second class, the third and so on, (stack, class - 1)."""
    above = log_probabilities.exp().flip(1).cumsum(dim=1).flip(1)[:, 1:]
    return above.clamp(_SMALLEST, 1 - _SMALLEST)


LOSSES: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "cross-entropy": cross_entropy,
    "ordinal": ordinal,
    "earth-mover": earth_mover,
}
