"""eFIN spelled out from its description, without any of the project's code or any of its savings.

A function of a state dict. Every output channel filters every input channel's spectrum with a
weight of its own, and sums; whole spectra are transformed; nothing is merged or left out.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, max_pool2d, prelu

Weights = Mapping[str, Tensor]

# Group by group: which Block of the lists comes first and second, and how many modes there are.
_GROUPS = (((0, 1), 1), ((2, 3), 1), ((4, 4), 1), ((5, 6), 2), ((7, 7), 2), ((8, 8), 2))


def plain_logits(weights: Weights, views: Tensor) -> Tensor:
    """Logits (batch, classes) from (batch, 15, size, size)."""
    batch, _, rows, columns = views.shape
    down = torch.linspace(0, 1, rows, dtype=views.dtype).reshape(1, 1, rows, 1)
    right = torch.linspace(0, 1, columns, dtype=views.dtype).reshape(1, 1, 1, columns)
    planes = [views, down.expand(batch, 1, rows, columns), right.expand(batch, 1, rows, columns)]
    stem = _pointwise(weights, "conv_begin_0", torch.cat(planes, dim=1))
    stem = prelu(stem, weights["prelu_begin.weight"])
    maps = [_pointwise(weights, "conv_begin_1", stem)]
    for group, ((first, second), divisor) in enumerate(_GROUPS):
        before = torch.cat(maps, dim=1)
        modes = rows // 2 // divisor
        after = _block(weights, second, modes, _block(weights, first, modes, before))
        maps.append(before + _pointwise(weights, f"ssc_list.{group}", after))
    end = _pointwise(weights, "conv_end1", torch.cat(maps, dim=1))
    end = _pointwise(weights, "conv_end2", prelu(end, weights["prelu_end.weight"]))
    return end.mean(dim=(2, 3))


def _block(weights: Weights, index: int, modes: int, features: Tensor) -> Tensor:
    mixed = _pointwise(weights, f"conv_list.{index}", features)
    filtered = _filter(weights, f"SConv2d_list.{index}.unet.", modes, mixed)
    joined = filtered + _pointwise(weights, f"w_list.{index}", mixed)
    return features + prelu(joined, weights[f"prelu_list.{index}.weight"])


def _filter(weights: Weights, prefix: str, modes: int, features: Tensor) -> Tensor:
    batch, channels, rows, columns = features.shape
    spectrum = torch.fft.rfft2(features)
    kept = [*range(modes), *range(rows - modes, rows)]
    low = spectrum[:, :, kept, :modes]
    parts = _generator(weights, prefix, low.abs())
    kernel = torch.complex(parts[:, :channels], parts[:, channels:]) / channels**2
    pairs = kernel[:, None].expand(batch, channels, channels, 2 * modes, modes)
    whole = torch.zeros_like(spectrum)
    whole[:, :, kept, :modes] = torch.einsum("bixy,bioxy->boxy", low, pairs)
    picture: Tensor = torch.fft.irfft2(whole, s=(rows, columns))
    return picture


def _generator(weights: Weights, prefix: str, magnitude: Tensor) -> Tensor:
    full = _twice(weights, prefix + "inc.double_conv.", magnitude)
    half = _twice(weights, prefix + "down1.maxpool_conv.1.double_conv.", max_pool2d(full, 2))
    least = _twice(weights, prefix + "down2.maxpool_conv.1.double_conv.", max_pool2d(half, 2))
    half = _up(weights, prefix + "up2.", half, least)
    full = _up(weights, prefix + "up3.", full, half)
    return _pointwise(weights, prefix + "outc.conv", full)


def _up(weights: Weights, prefix: str, skipped: Tensor, below: Tensor) -> Tensor:
    grown = conv_transpose2d(
        below, weights[prefix + "up.weight"], weights[prefix + "up.bias"], stride=2
    )
    return _twice(weights, prefix + "conv.double_conv.", torch.cat([skipped, grown], dim=1))


def _twice(weights: Weights, prefix: str, features: Tensor) -> Tensor:
    for convolution, slope in ((0, 2), (3, 5)):
        convolved = conv2d(features, weights[f"{prefix}{convolution}.weight"], padding=1)
        mean = convolved.mean(dim=(2, 3), keepdim=True)
        variance = (convolved - mean).square().mean(dim=(2, 3), keepdim=True)
        normed = (convolved - mean) / torch.sqrt(variance + 1e-5)
        features = prelu(normed, weights[f"{prefix}{slope}.weight"])
    return features


def _pointwise(weights: Weights, name: str, features: Tensor) -> Tensor:
    return conv2d(features, weights[f"{name}.weight"], weights[f"{name}.bias"])
