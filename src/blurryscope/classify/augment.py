"""Small changes made afresh each time a stack is learnt from; blur stays along x."""

import torch
from torch import Tensor

_WHITE = 255.0
_GAIN = (0.75, 1.25)
"""Of the optical density: stain, section and exposure differ by more than the drawn sets show."""
_CAST = 0.025
_LEAST_VIEWS = 3


def augmented(views: Tensor, generator: torch.Generator) -> Tensor:
    """Flip each view, vary density and colour per core, leave out views.

    `views` is (core, view, rgb, row, col) float32 in 0..255, not changed; the result has between
    three and all of the views.
    """
    cores, count = views.shape[:2]
    kept = int(torch.randint(min(_LEAST_VIEWS, count), count + 1, (), generator=generator))
    chosen = torch.randperm(count, generator=generator)[:kept]
    flipped = _flipped(_flipped(views[:, chosen], -1, generator), -2, generator)
    low, high = _GAIN
    gain = low + (high - low) * torch.rand(cores, 1, 1, 1, 1, generator=generator)
    cast = 1 + _CAST * torch.randn(cores, 1, 3, 1, 1, generator=generator)
    return (_WHITE * cast * (flipped.clamp_min(1.0) / _WHITE) ** gain).clamp(0.0, _WHITE)


def _flipped(views: Tensor, axis: int, generator: torch.Generator) -> Tensor:
    flips = torch.rand(views.shape[0], views.shape[1], 1, 1, 1, generator=generator) < 0.5
    return torch.where(flips, views.flip(axis), views)
