"""The network of the BlurryScope paper, eFIN, exact to the last layer and parameter name.

    pictures + coordinate grid ── stem ── f0
    for each of six groups:  z = all feature maps so far;  f = z + T(Block(Block(z)))
    all feature maps ── tail ── mean over the picture ── logits

Each Block filters in the frequency domain, and a small U-Net makes the filter from the spectrum it
is going to filter. The parameter names are those of the published checkpoint, so that its weights
load; the structure follows the paper (arXiv 2410.17557) and the published behaviour, in our own
words.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from blurryscope.classify.efin_by_pieces import logits_by_pieces

_VIEW_CHANNELS = 15
_STEM_HIDDEN = 12
_MODE_DIVISORS = (1, 1, 1, 2, 2, 2)
"""Groups 4 to 6 keep only the lower half of the spectrum."""
_SHARED_GROUPS = (False, False, True, False, True, True)
"""Whether the two Blocks of a group are the same one, applied twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Departures from the paper; as it stands there is none."""

    depthwise: bool = False
    """Each channel's filter works on that channel. The published layer filters the sum of all."""
    log_magnitude: bool = False
    """The filter is made from log(1 + |Z|), which the mean brightness does not dominate."""
    orthonormal: bool = False
    """Transforms keep the energy, so that spectra are as large as pictures."""
    learnable_scale: bool = False
    """The factor 1/C² on each filter, which lets late groups start almost without, is learnt."""


PAPER = Variant()


class EFIN(nn.Module):
    """Five views of a core in, class scores out.

    Parameters
    ----------
    classes
        4 for the HER2 scores, 2 for negative (0, 1+) against positive (2+, 3+).
    size_px
        Side of a view, divisible by 16. The parameter count does not depend on it.
    width
        Channels after the stem; the paper's 7 gives 4,781,517 parameters with four classes.
    checkpointing
        Recompute each Block in the backward pass: the same gradients from a fraction of the
        8.2 GiB that one stack of 512 px otherwise saves.
    variant
        What to do otherwise than the paper.
    """

    def __init__(
        self,
        classes: int = 4,
        *,
        size_px: int = 512,
        width: int = 7,
        variant: Variant = PAPER,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if size_px % 16 != 0 or size_px <= 0:
            raise ValueError(f"size_px must be a positive multiple of 16, got {size_px}")
        self.checkpointing = checkpointing
        modes = size_px // 2
        group_channels = [width * 2**group for group in range(len(_MODE_DIVISORS))]
        self.group_channels = group_channels
        blocks = [
            (channels, modes // divisor)
            for channels, divisor, shared in zip(
                group_channels, _MODE_DIVISORS, _SHARED_GROUPS, strict=True
            )
            for _ in range(1 if shared else 2)
        ]
        tail_channels = 2 * group_channels[-1]
        # The order of these lines is the order of the published parameters.
        self.conv_begin_0 = nn.Conv2d(_VIEW_CHANNELS + 2, _STEM_HIDDEN, 1)
        self.prelu_begin = nn.PReLU(_STEM_HIDDEN)
        self.conv_begin_1 = nn.Conv2d(_STEM_HIDDEN, width, 1)
        self.conv_list = nn.ModuleList(nn.Conv2d(c, c, 1) for c, _ in blocks)
        self.SConv2d_list = nn.ModuleList(SpectralFilter(c, m, variant) for c, m in blocks)
        self.w_list = nn.ModuleList(nn.Conv2d(c, c, 1) for c, _ in blocks)
        self.prelu_list = nn.ModuleList(nn.PReLU(c) for c, _ in blocks)
        self.ssc_list = nn.ModuleList(nn.Conv2d(c, c, 1) for c in group_channels)
        self.conv_end1 = nn.Conv2d(tail_channels, tail_channels, 1)
        self.conv_end2 = nn.Conv2d(tail_channels, classes, 1)
        self.prelu_end = nn.PReLU(tail_channels)

    def forward(self, views: Tensor) -> Tensor:
        """Logits (batch, classes) from views (batch, 15, size, size), float32 in 0..1.

        Channel 3 * view + colour, view 4 being the overview; the published weights expect BGR.
        """
        if not torch.is_grad_enabled() and views.device.type == "cpu":
            return logits_by_pieces(self, views)
        features: list[Tensor] = [self.stem(views)]
        blocks = iter(self.block_order)
        for widen in self.ssc_list:
            joined = torch.cat(features, dim=1)
            once = self._run_block(next(blocks), joined)
            twice = self._run_block(next(blocks), once)
            features.append(joined + widen(twice))
        ended: Tensor = self.prelu_end(self.conv_end1(torch.cat(features, dim=1)))
        # The mean of the last convolution is the last convolution of the mean.
        logits: Tensor = self.conv_end2(ended.mean(dim=(2, 3), keepdim=True)).flatten(1)
        return logits

    @property
    def block_order(self) -> list[int]:
        """Which Block comes when, two a group; a shared one comes twice in sequence."""
        order: list[int] = []
        for shared in _SHARED_GROUPS:
            first = order[-1] + 1 if order else 0
            order += [first, first if shared else first + 1]
        return order

    def stem(self, views: Tensor) -> Tensor:
        """The first feature maps, (batch, width, row, col)."""
        first: Tensor = self.conv_begin_1(self.prelu_begin(self.conv_begin_0(with_grid(views))))
        return first

    def _run_block(self, index: int, features: Tensor) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            result: Tensor = checkpoint(self._block, index, features, use_reentrant=False)
            return result
        return self._block(index, features)

    def _block(self, index: int, features: Tensor) -> Tensor:
        mixed = self.conv_list[index](features)
        filtered = self.SConv2d_list[index](mixed) + self.w_list[index](mixed)
        return features + torch.as_tensor(self.prelu_list[index](filtered))


class SpectralFilter(nn.Module):
    """A global filter that the input's own spectrum decides (the paper's dSPAF).

    The published layer multiplies every output channel with the *sum* of all channels' spectra.
    Summing once and multiplying once is the same result without the product of all pairs.
    """

    def __init__(self, channels: int, modes: int, variant: Variant = PAPER) -> None:
        super().__init__()
        self.channels = channels
        self.modes = modes
        self.variant = variant
        self.unet = FilterGenerator(channels, 2 * channels)
        if variant.learnable_scale:
            self.learnt_scale = nn.Parameter(torch.tensor(1.0 / channels**2))

    def forward(self, features: Tensor) -> Tensor:
        """Filter (batch, channel, row, col); rows and columns must be at least twice the modes."""
        rows, columns = features.shape[-2:]
        # bfloat16 has no complex form and float16 overflows: the largest value is about 2.4e5.
        with torch.autocast(features.device.type, enabled=False):
            kept = self.low_modes(_at_least_float32(features))
            real, imaginary = self.unet(self.magnitude(kept)).chunk(2, dim=1)
            kernel = torch.complex(real, imaginary) * self.scale()
            return self.to_picture(kernel * self.filtered_spectrum(kept), rows, columns)

    def scale(self) -> Tensor | float:
        """The factor on the filter, 1/C² in the paper."""
        return self.learnt_scale if self.variant.learnable_scale else 1.0 / self.channels**2

    def magnitude(self, kept: Tensor) -> Tensor:
        """What the generator sees of a spectrum."""
        return kept.abs().log1p() if self.variant.log_magnitude else kept.abs()

    def filtered_spectrum(self, kept: Tensor) -> Tensor:
        """What the filters work on, with one channel for all where they share the sum."""
        return kept if self.variant.depthwise else kept.sum(dim=1, keepdim=True)

    def low_modes(self, features: Tensor) -> Tensor:
        """Rows [0, m) and [-m, 0) and columns [0, m) of the spectrum, (batch, channel, 2 m, m)."""
        if min(features.shape[-2:]) < 2 * self.modes:
            raise ValueError(
                f"pictures of {features.shape[-2]} x {features.shape[-1]} px are too small for "
                f"{self.modes} modes; at least {2 * self.modes} px are needed"
            )
        # Columns that are not kept are never transformed along the rows.
        columns = torch.fft.rfft(features, norm=self._norm)[..., : self.modes]
        spectrum: Tensor = torch.fft.fft(columns, dim=-2, norm=self._norm)
        if features.shape[-2] == 2 * self.modes:
            return spectrum
        return torch.cat([spectrum[..., : self.modes, :], spectrum[..., -self.modes :, :]], dim=-2)

    def to_picture(self, kept: Tensor, rows: int, columns: int) -> Tensor:
        """The picture, (batch, channel, row, col), whose spectrum is `kept` and zero elsewhere."""
        missing = rows - 2 * self.modes
        if missing:
            top, bottom = kept.chunk(2, dim=-2)
            gap = kept.new_zeros(*kept.shape[:-2], missing, self.modes)
            kept = torch.cat([top, gap, bottom], dim=-2)
        # The columns that were cut are zero; irfft appends them.
        filtered = torch.fft.ifft(kept, dim=-2, norm=self._norm)
        picture: Tensor = torch.fft.irfft(filtered, n=columns, dim=-1, norm=self._norm)
        return picture

    def zero_mode_of_ones(self, rows: int, columns: int) -> float:
        """Where a picture of nothing but ones shows: its spectrum at frequency zero."""
        pixels = float(rows * columns)
        return math.sqrt(pixels) if self.variant.orthonormal else pixels

    @property
    def _norm(self) -> str:
        return "ortho" if self.variant.orthonormal else "backward"


def _at_least_float32(features: Tensor) -> Tensor:
    return features if features.dtype == torch.float64 else features.float()


class FilterGenerator(nn.Module):
    """A U-Net with two down-samplings, from magnitudes to the two parts of a complex filter."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.inc = _DoubleConvolution(channels_in, 32)
        self.down1 = _Down(32, 64)
        self.down2 = _Down(64, 128)
        self.up2 = _Up(128, 64)
        self.up3 = _Up(64, 32)
        self.outc = _Pointwise(32, channels_out)

    def forward(self, magnitude: Tensor) -> Tensor:
        full = self.inc(magnitude)
        half = self.down1(full)
        quarter = self.down2(half)
        result: Tensor = self.outc(self.up3(full, self.up2(half, quarter)))
        return result


class _DoubleConvolution(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels_out),
            nn.PReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels_out),
            nn.PReLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.double_conv(features)
        return result


class _Down(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(
            nn.MaxPool2d(2), _DoubleConvolution(channels_in, channels_out)
        )

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.maxpool_conv(features)
        return result


class _Up(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels_in, channels_out, 2, stride=2)
        self.conv = _DoubleConvolution(2 * channels_out, channels_out)

    def forward(self, skipped: Tensor, below: Tensor) -> Tensor:
        result: Tensor = self.conv(torch.cat([skipped, self.up(below)], dim=1))
        return result


class _Pointwise(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.conv(features)
        return result


def red_first(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that make of views with red first what the given ones make of views with blue first.

    Only the first layer sees colours; the two planes of the grid stay where they are.
    """
    first = weights["conv_begin_0.weight"]
    views, grid = first[:, :_VIEW_CHANNELS], first[:, _VIEW_CHANNELS:]
    turned = views.reshape(len(views), -1, 3, 1, 1).flip(2).flatten(1, 2)
    return {**weights, "conv_begin_0.weight": torch.cat([turned, grid], dim=1)}


def with_grid(views: Tensor) -> Tensor:
    """Append two planes, the row and the column position, each from 0 to 1 with both ends."""
    batch, _, rows, columns = views.shape
    row = torch.linspace(0, 1, rows, device=views.device, dtype=views.dtype)
    column = torch.linspace(0, 1, columns, device=views.device, dtype=views.dtype)
    grid = torch.stack(torch.meshgrid(row, column, indexing="ij"))
    return torch.cat([views, grid.expand(batch, 2, rows, columns)], dim=1)
