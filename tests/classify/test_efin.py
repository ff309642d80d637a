"""eFIN equals the published network: names, counts, logits; and its cheap forms equal the plain."""

import csv
import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from blurryscope.classify.efin import EFIN, PAPER, SpectralFilter, Variant
from tests.classify.plain_efin import plain_logits

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


@pytest.mark.parametrize("classes", [2, 4])
def test_logits_and_all_gradients_are_those_of_a_plain_implementation(classes: int) -> None:
    torch.manual_seed(1)
    # In float32 rounding alone moves single gradients by more than 1e-5.
    network = EFIN(classes, size_px=32, width=3, checkpointing=True).double()
    plain = {name: value.clone().requires_grad_() for name, value in network.state_dict().items()}
    views, weights = torch.rand(2, 15, 32, 32).double(), torch.randn(2, classes).double()
    logits, wanted = network(views), plain_logits(plain, views)
    torch.testing.assert_close(logits, wanted, rtol=1e-5, atol=0)
    ours = torch.autograd.grad((weights * logits).sum(), list(network.parameters()))
    theirs = torch.autograd.grad((weights * wanted).sum(), list(plain.values()))
    for one, other in zip(ours, theirs, strict=True):
        assert _distance(one, other) < 1e-5


def test_logits_are_those_of_a_plain_implementation_in_float32_too() -> None:
    torch.manual_seed(1)
    network = EFIN(4, size_px=32, width=3)
    views = torch.rand(2, 15, 32, 32)
    assert _distance(network(views), plain_logits(network.state_dict(), views)) < 1e-5


@pytest.mark.parametrize(
    "variant",
    [
        PAPER,
        Variant(depthwise=True, log_magnitude=True),
        Variant(orthonormal=True, learnable_scale=True),
    ],
    ids=str,
)
def test_going_over_the_picture_in_pieces_changes_nothing(variant: Variant) -> None:
    torch.manual_seed(3)
    network = EFIN(4, size_px=32, width=3, variant=variant)
    views = torch.rand(2, 15, 32, 48)
    whole = network(views)
    with torch.inference_mode():
        by_pieces = network(views)
    assert _distance(by_pieces, whole) < 1e-5


def test_each_variant_is_another_network() -> None:
    views = torch.rand(1, 15, 32, 32)
    variants = [
        PAPER, Variant(depthwise=True), Variant(log_magnitude=True), Variant(orthonormal=True),
    ]  # fmt: skip
    said = []
    for variant in variants:
        torch.manual_seed(4)
        said.append(EFIN(4, size_px=32, width=2, variant=variant)(views))
    assert min(_distance(a, b) for a, b in combinations(said, 2)) > 1e-5


def test_a_learnable_scale_starts_as_the_paper_and_is_learnt() -> None:
    layer = SpectralFilter(3, 8, Variant(learnable_scale=True))
    loss = layer(torch.rand(1, 3, 16, 16)).square().sum()
    (gradient,) = torch.autograd.grad(loss, layer.learnt_scale)
    assert float(layer.learnt_scale.detach()) == pytest.approx(1 / 9)
    assert gradient != 0


def test_under_autocast_the_filters_stay_in_full_precision() -> None:
    torch.manual_seed(5)
    layer = SpectralFilter(3, 8)
    features = torch.randn(1, 3, 16, 16).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        filtered = layer(features)
    torch.testing.assert_close(filtered, layer(features.float()))


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


def _distance(one: Tensor, other: Tensor) -> float:
    """Of two results, relative to their size."""
    return float(((one - other).norm() / other.norm()).detach())


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
