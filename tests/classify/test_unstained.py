"""Brown is taken out of a picture, and nothing else."""

import numpy as np
import pytest
import torch
from torch import Tensor

from blurryscope.classify.networks import StainPlanes
from blurryscope.classify.unstained import without_brown

_GLASS = 240.0


def _stained(blue: Tensor, brown: Tensor) -> Tensor:
    """A core of one view with these amounts of stain, by Beer-Lambert."""
    directions = torch.linalg.inv(StainPlanes().unmix)
    density = directions[:, 0, None, None] * blue + directions[:, 1, None, None] * brown
    core: Tensor = (_GLASS * 10**-density)[None, None]
    return core


def test_what_is_left_is_the_core_as_it_would_look_without_its_dab() -> None:
    rng = np.random.default_rng(86)
    blue, brown = (
        torch.from_numpy(rng.uniform(0, 0.3, (32, 32)).astype(np.float32)) for _ in range(2)
    )
    for stain in (blue, brown):
        stain[:, 28:] = 0.0  # glass
    expected = _stained(blue, torch.zeros_like(brown))
    torch.testing.assert_close(without_brown(_stained(blue, brown)), expected, rtol=1e-3, atol=0.2)


def test_a_core_without_brown_stays_as_it_is() -> None:
    blue = torch.linspace(0, 0.4, 32).repeat(32, 1)
    views = _stained(blue, torch.zeros_like(blue))
    assert without_brown(views).numpy() == pytest.approx(views.numpy(), abs=0.1)
