"""The same core without its brown: what a score is held against to say where it comes from."""

import torch
from torch import Tensor

from blurryscope.classify.networks import StainPlanes

_DAB = 1
"""Place of brown among the stains that `StainPlanes` tells apart."""


def without_brown(views: Tensor) -> Tensor:
    """Views as they would look if their DAB had not been there.

    The optical density along the direction of DAB is taken away, by Beer-Lambert against the glass
    of the same core; haematoxylin, and what neither explains, stay. Places with less DAB than none,
    where colours are off, stay as they are.

    `views` and the result are (core, view, rgb, row, col) float32 in 0..255.
    """
    unmix = StainPlanes().unmix.to(views.device)
    glass = StainPlanes.glass(views)
    density = torch.log10(glass / views.clamp_min(1.0))
    stains = torch.einsum("sc,nvchw->nvshw", unmix, density)
    brown = stains[:, :, _DAB : _DAB + 1].clamp_min(0.0)
    direction = torch.linalg.inv(unmix)[:, _DAB].reshape(1, 1, 3, 1, 1)
    lighter: Tensor = views.clamp_min(1.0) * 10 ** (direction * brown)
    return lighter
