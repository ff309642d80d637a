"""Evidence in our network spelled out: no hooks, and no pass shared with another."""

import torch
from torch import Tensor
from torch.nn import functional

from blurryscope.classify.networks import CoreNet
from blurryscope.classify.unstained import without_brown


def plain_evidence(network: CoreNet, views: Tensor) -> Tensor:
    """(core, view, row, col) as `ViewEvidence.maps`, of views as `view_evidence` takes them."""
    unstained = without_brown(views)
    here, there = _maps(network, views), _maps(network, unstained)
    near, far = (_counts(network, torch.lerp(unstained, views, way)) for way in (0.25, 0.75))
    total = torch.zeros(views.shape[0] * views.shape[1], *views.shape[3:])
    for at_core, at_unstained, early, late in zip(here, there, near, far, strict=True):
        added = (0.5 * (early + late) * (at_core - at_unstained)).sum(dim=1, keepdim=True)
        total += functional.interpolate(added, views.shape[3:], mode="bilinear")[:, 0]
    return (
        (total / (views.shape[3] * views.shape[4]))
        .reshape(*views.shape[:2], *views.shape[3:])
        .detach()
    )


def _maps(network: CoreNet, views: Tensor) -> tuple[Tensor, Tensor]:
    """What the encoder and the histogram of colours make before they pool it."""
    assert network.colour is not None
    planes = network.planes(views)
    return network.encoder.layers(planes), network.colour.bins(functional.avg_pool2d(planes, 4))


def _counts(network: CoreNet, views: Tensor) -> list[Tensor]:
    """By how much the mean log-odds change with each channel, (core * view, channel, 1, 1)."""
    shapes, shares = _maps(network, views)
    pooled = [shapes.mean(dim=(2, 3)), shapes.amax(dim=(2, 3)), 4 * shares.mean(dim=(2, 3))]
    vectors = torch.cat(pooled, dim=1).reshape(*views.shape[:2], -1)
    log_odds = network.head(network.pool(vectors)[0]).mean(dim=1).sum()
    gradients = torch.autograd.grad(log_odds, (shapes, shares))
    return [gradient.sum(dim=(2, 3), keepdim=True) for gradient in gradients]
