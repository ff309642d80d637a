"""eFIN equals the published network: names, counts, logits; and its cheap forms equal the plain."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from blurryscope.classify.efin import EFIN, SpectralFilter

_SHARED = Path(__file__).parents[2].parent / "shared" / "data"
_REFERENCE = _SHARED / "efin-reference.json"
_NAMES = _SHARED / "efin-state-dict.csv"
_needs_reference = pytest.mark.skipif(
    not _REFERENCE.is_file(), reason=f"{_REFERENCE.name} is not in shared/data beside the project"
)


def test_the_paper_counts_of_parameters_hold() -> None:
    assert sum(p.numel() for p in EFIN(4).parameters()) == 4_781_517
    assert sum(p.numel() for p in EFIN(2).parameters()) == 4_780_619


@_needs_reference
def test_names_and_shapes_are_those_of_the_published_checkpoint() -> None:
    with _NAMES.open(encoding="utf-8") as file:
        published = [(row["key"], row["shape"]) for row in csv.DictReader(file)]
    ours = [(name, "x".join(map(str, value.shape))) for name, value in EFIN(4).state_dict().items()]
    assert ours == published


@_needs_reference
@pytest.mark.parametrize(
    "case", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))], ids=str
)
def test_the_published_logits_come_out(case: int) -> None:
    wanted = json.loads(_REFERENCE.read_text(encoding="utf-8"))["cases"][case]
    network = EFIN(wanted["classes"], size_px=wanted["size"], width=wanted["width"])
    assert sum(p.numel() for p in network.parameters()) == wanted["parameters"]
    _fill_by_formula(network)
    with torch.inference_mode():
        logits = network(_views_by_formula(wanted["size"]))[0]
    np.testing.assert_allclose(logits.numpy(), wanted["logits"], atol=1e-4)


def test_the_summed_spectrum_equals_filtering_every_pair_of_channels() -> None:
    torch.manual_seed(1)
    layer = SpectralFilter(3, 8)
    features = torch.randn(2, 3, 24, 20, requires_grad=True)
    plain = _plain_filter(layer, features)
    (plain_gradient,) = torch.autograd.grad(plain.square().sum(), features)
    (gradient,) = torch.autograd.grad(layer(features).square().sum(), features)
    torch.testing.assert_close(layer(features), plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, plain_gradient, rtol=1e-4, atol=1e-5)


def test_checkpointing_changes_no_gradient() -> None:
    torch.manual_seed(2)
    network = EFIN(4, size_px=32, width=3)
    views = torch.rand(1, 15, 32, 32)
    gradients = []
    for checkpointing in (False, True):
        network.checkpointing = checkpointing
        network.zero_grad()
        network(views).square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))  # type: ignore[union-attr]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_pictures_too_small_for_the_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 px"):
        SpectralFilter(2, 8)(torch.zeros(1, 2, 12, 16))


def test_a_size_that_halves_unevenly_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        EFIN(4, size_px=100)


def _plain_filter(layer: SpectralFilter, features: Tensor) -> Tensor:
    """The layer as the paper's code spells it: a weight per pair of channels, full spectra."""
    channels, modes = layer.channels, layer.modes
    spectrum = torch.fft.rfft2(features)
    rows = torch.cat(
        [torch.arange(modes), torch.arange(features.shape[-2] - modes, features.shape[-2])]
    )
    kept = spectrum[:, :, rows, :modes]
    parts = layer.unet(kept.abs())
    kernel = torch.complex(parts[:, :channels], parts[:, channels:]) / channels**2
    pairs = kernel[:, None].expand(-1, channels, -1, -1, -1)  # (batch, in, out, row, col)
    filtered = torch.einsum("bixy,bioxy->boxy", kept, pairs)
    whole = torch.zeros_like(spectrum)
    whole[:, :, rows, :modes] = filtered
    picture: Tensor = torch.fft.irfft2(whole, s=features.shape[-2:])
    return picture


def _fill_by_formula(network: EFIN) -> None:
    """The filling that `efin-reference.json` describes."""
    for number, (name, value) in enumerate(network.state_dict().items()):
        wave = np.sin(0.37 * np.arange(value.numel()) + number)
        if value.ndim == 4:
            wave /= math.sqrt(value.numel() / value.shape[0])
        elif "prelu" in name or (
            "double_conv" in name and name.endswith((".2.weight", ".5.weight"))
        ):
            wave = 0.25 + 0.05 * wave
        else:
            wave = 0.1 * wave
        value.copy_(torch.from_numpy(wave.astype(np.float32)).reshape(value.shape))


def _views_by_formula(size_px: int) -> Tensor:
    index = np.arange(15 * size_px * size_px, dtype=np.float64)
    values = 0.5 + 0.5 * np.sin(0.0137 * index) * np.cos(0.00071 * index)
    return torch.from_numpy(values.astype(np.float32)).reshape(1, 15, size_px, size_px)
