"""Our network: ordered cuts, classes that agree, any number of views in any order."""

from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.classify.networks import (
    CoreNet,
    CoreVariant,
    FourierBlock,
    StainPlanes,
    class_probabilities,
)


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=3))
def test_four_classes_and_two_agree(logits: list[float]) -> None:
    ordered = torch.tensor([sorted(logits, reverse=True)], dtype=torch.float64)
    probabilities = class_probabilities(ordered)[0]
    assert probabilities.sum() == pytest.approx(1.0)
    assert probabilities.min() > 0
    positive = float(probabilities[2:].sum())
    assert positive == pytest.approx(float(torch.sigmoid(ordered[0, 1])), abs=1e-5)


def test_the_cuts_come_in_order_whatever_the_weights() -> None:
    torch.manual_seed(0)
    head = CoreNet(width=4).eval().head
    for parameter in head.parameters():
        parameter.data = 3 * torch.randn_like(parameter)
    logits = head(torch.randn(64, 2 * 3 * 4 + 32))
    assert (logits.diff(dim=1) <= 0).all()


def test_the_order_of_the_views_does_not_matter() -> None:
    network, views = _network_and_views()
    with torch.inference_mode():
        straight, turned = network(views), network(views.flip(1))
    torch.testing.assert_close(straight.cumulative_logits, turned.cumulative_logits)
    torch.testing.assert_close(straight.attention, turned.attention.flip(1))


def test_any_number_of_views_will_do_and_attention_sums_to_one() -> None:
    network, views = _network_and_views()
    with torch.inference_mode():
        for count in (1, 3, 5):
            attention = network(views[:, :count]).attention
            assert attention.shape == (2, count)
            torch.testing.assert_close(attention.sum(dim=1), torch.ones(2))


def test_stain_planes_tell_the_stains_apart_and_forget_the_lamp() -> None:
    brown = torch.tensor([0.350, 0.575, 0.740])
    picture = torch.full((1, 1, 3, 32, 32), 240.0)
    picture[..., 8:16, 8:16] = (240 * 10 ** -(0.3 * brown))[None, None, :, None, None]
    planes = StainPlanes()
    bright = planes(picture)
    haematoxylin, dab = bright[0, 0, 12, 12], bright[0, 1, 12, 12]
    assert dab > 0.9
    assert abs(haematoxylin) < 0.1
    torch.testing.assert_close(planes(picture * 0.8), bright, rtol=1e-4, atol=1e-4)


def test_the_network_is_small_enough_to_ship() -> None:
    assert sum(value.numel() for value in CoreNet().parameters()) * 4 < 3_000_000


def _network_and_views() -> tuple[CoreNet, torch.Tensor]:
    torch.manual_seed(1)
    return CoreNet(width=8).eval(), 255 * torch.rand(2, 5, 3, 64, 64)


@pytest.mark.parametrize("encoder", ["convolutional", "fourier", "both"])
@pytest.mark.parametrize("view_px", [128, 256])
def test_every_variant_scores_views_of_its_size(
    encoder: Literal["convolutional", "fourier", "both"], view_px: Literal[128, 256]
) -> None:
    variant = CoreVariant(view_px=view_px, encoder=encoder, sees="colours", census=False)
    network = CoreNet(width=4, variant=variant).eval()
    with torch.inference_mode():
        output = network(255 * torch.rand(2, 3, 3, view_px, view_px))
    assert output.cumulative_logits.shape == (2, 3)
    assert output.attention.shape == (2, 3)


def test_a_filter_in_the_frequency_domain_sees_every_place_alike() -> None:
    torch.manual_seed(3)
    block = FourierBlock(4, 16).eval()
    maps = torch.randn(1, 4, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(
            block(maps.roll((3, 5), (2, 3))), block(maps).roll((3, 5), (2, 3)), rtol=1e-4, atol=1e-5
        )
