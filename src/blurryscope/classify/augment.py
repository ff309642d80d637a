"""Small changes made afresh each time a stack is learnt from.

A stack here is (view, rgb, row, col) float32 in 0..255. What is drawn for it comes from its own
generator, so that it does not depend on which stacks are beside it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional

_WHITE = 255.0
_GAIN = (0.75, 1.25)
"""Of the optical density: stain, section and exposure differ by more than the drawn sets show."""
_WIDE_GAIN = (0.6, 1.3)
_HUE = 0.04
"""Standard deviation of how the channels' densities leak into each other."""
_CAST = 0.025
_LEAST_VIEWS = 3
_TURNS_DEG = (0.0, 90.0, 180.0, 270.0)
_ERASED_SHARE = (0.02, 0.33)
_ERASED_LOG_RATIO = (math.log(0.3), math.log(3.3))
_ATTEMPTS = 10


def paper_four_class(stack: Tensor, generator: Generator) -> Tensor:
    """The paper's, four classes: flips, a rotation and an erased box for each view by itself."""
    return torch.stack([_erased(_turned(view[None], generator)[0], generator) for view in stack])


def paper_two_class(stack: Tensor, generator: Generator) -> Tensor:
    """The paper's, two classes: the same flips and rotation for all views, nothing erased."""
    return _turned(stack, generator)


def keeping_the_blur(stack: Tensor, generator: Generator) -> Tensor:
    """Flips and half turns of each view: blur stays along x, as the microscope makes it."""
    return torch.stack([_flipped(view[None], generator)[0] for view in stack])


def colour_and_flips(stack: Tensor, generator: Generator) -> Tensor:
    """Flips of each view; one change of density and of white balance for the core."""
    return apply_change(stack[None], [drawn_colour(len(stack), generator)])[0]


def stain_and_flips(stack: Tensor, generator: Generator) -> Tensor:
    """The same, wider, with the hues of stain and camera shifted and a little glare."""
    return apply_change(stack[None], [drawn_stain(len(stack), generator)])[0]


class ColourChange(NamedTuple):
    """How a stack's colours and views are changed, all tensors."""

    flips: Tensor
    """(view, 2) bool: from left to right, and upside down."""
    mixing: Tensor
    """(rgb, rgb): the new optical densities from the old ones."""
    white: Tensor
    """(rgb,): what glass becomes, as a factor."""


def drawn_colour(view_count: int, generator: Generator) -> ColourChange:
    """For `colour_and_flips`."""
    low, high = _GAIN
    gain = low + (high - low) * torch.rand((), generator=generator)
    white = 1 + _CAST * torch.randn(3, generator=generator)
    return ColourChange(_drawn_flips(view_count, generator), gain * torch.eye(3), white)


def drawn_stain(view_count: int, generator: Generator) -> ColourChange:
    """For `stain_and_flips`."""
    low, high = _WIDE_GAIN
    gain = low + (high - low) * torch.rand((), generator=generator)
    mixing = torch.eye(3) + _HUE * torch.randn(3, 3, generator=generator)
    white = 1 + _CAST * torch.randn(3, generator=generator)
    return ColourChange(_drawn_flips(view_count, generator), gain * mixing, white)


def apply_change(stacks: Tensor, changes: Sequence[ColourChange]) -> Tensor:
    """Change stacks, (stack, view, rgb, row, col) in 0..255, each in its own way."""
    device = stacks.device
    flips = torch.stack([change.flips for change in changes]).to(device)[:, :, :, None, None, None]
    for place, axis in enumerate((-1, -2)):
        stacks = torch.where(flips[:, :, place], stacks.flip(axis), stacks)
    mixing = torch.stack([change.mixing for change in changes]).to(device)
    white = torch.stack([change.white for change in changes]).to(device)
    density = (stacks.clamp_min(1.0) / _WHITE).log()
    mixed = torch.einsum("bij,bvjyx->bviyx", mixing, density)
    return (_WHITE * white[:, None, :, None, None] * mixed.exp()).clamp(0.0, _WHITE)


def _drawn_flips(view_count: int, generator: Generator) -> Tensor:
    return torch.rand(view_count, 2, generator=generator) < 0.5


def unchanged(stack: Tensor, generator: Generator) -> Tensor:  # noqa: ARG001 - one of several
    """Nothing."""
    return stack


AUGMENTATIONS: Mapping[str, Callable[[Tensor, Generator], Tensor]] = {
    "paper-4": paper_four_class,
    "paper-2": paper_two_class,
    "keeping-blur": keeping_the_blur,
    "colour": colour_and_flips,
    "stain": stain_and_flips,
    "none": unchanged,
}

CHANGES: Mapping[str, Callable[[int, Generator], ColourChange]] = {
    "colour": drawn_colour,
    "stain": drawn_stain,
}
"""Those that can be applied to many stacks at once."""


def some_views(stacks: Tensor, generator: Generator) -> Tensor:
    """Three to all of the views of (core, view, …), the same ones for all cores, in any order."""
    count = stacks.shape[1]
    kept = int(torch.randint(min(_LEAST_VIEWS, count), count + 1, (), generator=generator))
    return stacks[:, torch.randperm(count, generator=generator)[:kept]]


def _flipped(views: Tensor, generator: Generator) -> Tensor:
    for axis in (-1, -2):
        if torch.rand((), generator=generator) < 0.5:
            views = views.flip(axis)
    return views


def _turned(views: Tensor, generator: Generator) -> Tensor:
    """Flips, then any angle up to one of 0, 90, 180, 270 degrees, as the paper's library reads it.

    Nearest neighbours; the corners turn black. This breaks the direction of the blur.
    """
    flipped = _flipped(views, generator)
    most_deg = _TURNS_DEG[int(torch.randint(len(_TURNS_DEG), (), generator=generator))]
    angle = math.radians(most_deg) * float(2 * torch.rand((), generator=generator) - 1)
    if angle == 0.0:
        return flipped
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cosine, sine, 0.0], [-sine, cosine, 0.0]]).expand(len(views), 2, 3)
    grid = functional.affine_grid(turn, list(views.shape), align_corners=False)
    return functional.grid_sample(flipped, grid, mode="nearest", align_corners=False)


def _erased(view: Tensor, generator: Generator) -> Tensor:
    """With probability one half a black box of 2 to 33 % of the area."""
    if torch.rand((), generator=generator) >= 0.5:
        return view
    rows, columns = view.shape[-2:]
    for _ in range(_ATTEMPTS):
        area = rows * columns * _uniform(_ERASED_SHARE, generator)
        ratio = math.exp(_uniform(_ERASED_LOG_RATIO, generator))
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if height < rows and width < columns:
            top = int(torch.randint(rows - height + 1, (), generator=generator))
            left = int(torch.randint(columns - width + 1, (), generator=generator))
            view = view.clone()
            view[:, top : top + height, left : left + width] = 0.0
            break
    return view


def _uniform(bounds: tuple[float, float], generator: Generator) -> float:
    low, high = bounds
    return low + (high - low) * float(torch.rand((), generator=generator))
