"""Our own small network: views → stain planes → shared encoder → gated attention → ordinal head.

Blur along x leaves a scan no detail finer than about ten micrometres in that direction, so the
network looks at pictures reduced fourfold (2.9 µm a pixel) and spends its effort on colour, on
where colour lies, and on how much of it there is.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_STAINS = ((0.683, 0.623, 0.382), (0.350, 0.575, 0.740), (-0.56, 0.74, -0.37))
"""Directions of haematoxylin, DAB and what neither explains, in optical density (r, g, b);
Ruifrok & Johnston 2001 give the method, the directions are those usual for scanned HER2 cores."""
_GLASS_QUANTILE = 0.98
_DARKEST_GLASS = 150.0
"""Where no glass shows at all, nothing darker than this is taken for it."""
_PLANES = 6
_LATENT_EPSILON = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreVariant:
    """What the network is made of; the defaults are those of what is shipped."""

    view_px: Literal[128, 256] = 128
    """Side of a view as it sees it."""
    sees: Literal["stains", "colours"] = "stains"
    """Amounts of stain against the glass of the same core, or red, green and blue as they come."""
    encoder: Literal["convolutional", "fourier", "both"] = "convolutional"
    """Of each view: 3 x 3 convolutions, a filter in the frequency domain for each channel as in
    GFNet (Rao et al. 2021), or one after the other."""
    census: bool = True
    """Whether a learnt histogram of colours stands beside the encoder."""

    def __post_init__(self) -> None:
        if self.view_px not in (128, 256):
            raise ValueError(f"view_px must be 128 or 256, got {self.view_px}")


CORENET_1 = CoreVariant()


class CoreOutput(NamedTuple):
    """What the network says of each core."""

    cumulative_logits: Tensor
    """(core, 3): log-odds that the score is at least 1+, 2+, 3+."""
    attention: Tensor
    """(core, view): how much each view counted; rows sum to 1."""
    features: Tensor
    """(core, feature), pooled; for finding cores unlike those trained on."""


class CoreNet(nn.Module):
    """Scores a core from however many views there are.

    Takes reduced views, (core, view, rgb, row, col) float32 in 0..255.
    """

    def __init__(
        self, width: int = 32, dropout: float = 0.2, variant: CoreVariant = CORENET_1
    ) -> None:
        super().__init__()
        self.variant = variant
        self.planes: nn.Module = StainPlanes() if variant.sees == "stains" else ColourPlanes()
        self.encoder = ViewEncoder(width, variant)
        self.colour = ColourCensus(_plane_count(variant)) if variant.census else None
        size = self.encoder.out_features
        size += self.colour.out_features if self.colour is not None else 0
        self.pool = GatedAttention(size, 64)
        self.head = OrdinalHead(size, 64, dropout)

    def forward(self, views: Tensor) -> CoreOutput:
        cores, count = views.shape[:2]
        planes = self.planes(views)
        features = self.encoder(planes)
        if self.colour is not None:
            features = torch.cat([features, self.colour(planes)], dim=1)
        pooled, attention = self.pool(features.reshape(cores, count, -1))
        return CoreOutput(self.head(pooled), attention, pooled)


def _plane_count(variant: CoreVariant) -> int:
    return _PLANES if variant.sees == "stains" else 3


class ColourPlanes(nn.Module):
    """Red, green and blue as they come, about -1 to 1."""

    def forward(self, views: Tensor) -> Tensor:
        """(core, view, rgb, row, col) in 0..255 to (core * view, plane, row, col)."""
        return views.flatten(0, 1) / 127.5 - 1.0


class StainPlanes(nn.Module):
    """Colour as amounts of stain by Beer-Lambert, against the glass seen in the same core.

    Planes: haematoxylin, DAB, the rest, the share of DAB in both, the logarithm of all density
    (the last two stay the same when glare or a dark exposure takes contrast), and red.
    """

    unmix: Tensor

    def __init__(self) -> None:
        super().__init__()
        directions = torch.tensor(_STAINS)
        directions = directions / directions.norm(dim=1, keepdim=True)
        self.register_buffer("unmix", torch.linalg.inv(directions).T.contiguous())

    def forward(self, views: Tensor) -> Tensor:
        """(core, view, rgb, row, col) in 0..255 to (core * view, plane, row, col)."""
        cores, count, _, rows, columns = views.shape
        density = torch.log10(self.glass(views) / views.clamp_min(1.0))
        density = density.reshape(cores * count, 3, rows, columns)
        # Not under autocast: pale stain is a small difference of channels.
        with torch.autocast(views.device.type, enabled=False):
            stains = functional.conv2d(density, self.unmix[:, :, None, None])
        blue, brown = stains[:, 0:1], stains[:, 1:2]
        total = blue.clamp_min(0) + brown.clamp_min(0)
        share = brown.clamp_min(0) / (total + 0.02)
        return torch.cat(
            [4 * stains, share, 0.5 * torch.log(total + 0.02) + 1.5, 4 * density[:, 0:1]], dim=1
        )

    @staticmethod
    def glass(views: Tensor) -> Tensor:
        """What clear glass gives, nearly the brightest there is: (core, 1, rgb, 1, 1)."""
        cores = views.shape[0]
        sparse = views[..., ::4, ::4].transpose(1, 2).reshape(cores, 3, -1)
        rank = max(1, round(_GLASS_QUANTILE * sparse.shape[2]))
        glass = sparse.kthvalue(rank, dim=2).values.clamp_min(_DARKEST_GLASS)
        return glass[:, None, :, None, None]


class ViewEncoder(nn.Module):
    """A compact network, the same for each view; means and maxima of its maps."""

    def __init__(self, width: int, variant: CoreVariant = CORENET_1) -> None:
        super().__init__()
        widths = (width, 2 * width, 3 * width)
        planes, size_px = _plane_count(variant), variant.view_px // 4
        layers: list[nn.Module] = [_normed(nn.Conv2d(planes, width, 4, stride=4, bias=False))]
        for narrow, wide in zip((width, *widths), widths, strict=False):
            if wide != narrow:
                layers.append(_normed(nn.Conv2d(narrow, wide, 2, stride=2, bias=False)))
                size_px //= 2
            layers += _blocks(wide, size_px, variant)
        self.layers = nn.Sequential(*layers)
        self.out_features = 2 * widths[-1]

    def forward(self, planes: Tensor) -> Tensor:
        maps = self.layers(planes)
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


def _blocks(channels: int, size_px: int, variant: CoreVariant) -> list[nn.Module]:
    if variant.encoder == "convolutional":
        return [_ResidualBlock(channels)]
    if variant.encoder == "fourier":
        return [FourierBlock(channels, size_px), FourierBlock(channels, size_px)]
    return [FourierBlock(channels, size_px), _ResidualBlock(channels)]


class FourierBlock(nn.Module):
    """A global filter for each channel by itself, then a mixing of channels; both added."""

    def __init__(self, channels: int, size_px: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        filters = 0.02 * torch.randn(channels, size_px, size_px // 2 + 1, 2)
        self.filters = nn.Parameter(filters)
        """Real and imaginary part of each frequency's factor, last axis; row and column order of
        an unshifted real transform."""
        self.mix = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.GELU(),
            nn.Conv2d(2 * channels, channels, 1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        # Not under autocast: there is no half-precision transform of complex numbers.
        with torch.autocast(maps.device.type, enabled=False):
            spectrum = torch.fft.rfft2(self.norm(maps.float()), norm="ortho")
            spectrum = spectrum * torch.view_as_complex(self.filters)
            filtered = torch.fft.irfft2(spectrum, s=maps.shape[-2:], norm="ortho")
        maps = maps + filtered
        mixed: Tensor = maps + self.mix(maps)
        return mixed


class _ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, whose result is added to the input.

    Separable ones have fewer parameters but ran four times slower on a processor.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _normed(nn.Conv2d(channels, channels, 3, padding=1, bias=False)),
            nn.ReLU(inplace=True),
            _normed(nn.Conv2d(channels, channels, 3, padding=1, bias=False)),
        )

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = functional.relu(maps + self.layers(maps))
        return result


def _normed(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels))


class ColourCensus(nn.Module):
    """Which colours there are and how much of each: a learnt histogram, blind to shape."""

    def __init__(self, planes: int = _PLANES, bins: int = 32) -> None:
        super().__init__()
        self.bins = nn.Sequential(
            nn.Conv2d(planes, 48, 1), nn.GELU(), nn.Conv2d(48, bins, 1), nn.Sigmoid()
        )
        self.out_features = bins

    def forward(self, planes: Tensor) -> Tensor:
        shares: Tensor = self.bins(functional.avg_pool2d(planes, 4)).mean(dim=(2, 3))
        return 4 * shares


class GatedAttention(nn.Module):
    """A weighted mean over the views; the weights come from the views (Ilse et al. 2018)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.content = nn.Linear(features, hidden)
        self.gate = nn.Linear(features, hidden)
        self.weight = nn.Linear(hidden, 1)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """(core, view, feature) to (core, feature) and (core, view)."""
        normed = self.norm(views)
        gated = torch.tanh(self.content(normed)) * torch.sigmoid(self.gate(normed))
        attention = torch.softmax(self.weight(gated)[..., 0], dim=1)
        return (attention[..., None] * views).sum(dim=1), attention


class OrdinalHead(nn.Module):
    """One scale of staining with three cuts: log-odds of reaching 1+, 2+ and 3+, always in order.

    How steep the cuts are depends on the core, so that the network can be unsure as a whole.
    """

    def __init__(self, features: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm1d(features), nn.Linear(features, hidden), nn.GELU(), nn.Dropout(dropout)
        )
        self.place = nn.Linear(hidden, 1)
        self.steepness = nn.Linear(hidden, 1)
        self.middle = nn.Parameter(torch.zeros(()))
        self.gaps = nn.Parameter(torch.ones(2))

    def forward(self, pooled: Tensor) -> Tensor:
        hidden = self.body(pooled)
        lower, upper = functional.softplus(self.gaps)
        cuts = torch.stack([self.middle - lower, self.middle, self.middle + upper])
        logits: Tensor = functional.softplus(self.steepness(hidden) + 1.0) * (
            self.place(hidden) - cuts
        )
        return logits


def class_probabilities(cumulative_logits: Tensor) -> Tensor:
    """Log-odds of at least 1+, 2+, 3+ to probabilities of 0, 1+, 2+, 3+, (core, 4).

    p2 + p3 is the probability of at least 2+, so the four-class and two-class answers agree.
    """
    reached = torch.sigmoid(cumulative_logits)
    one = torch.ones_like(reached[:, :1])
    probabilities = torch.cat([one, reached], dim=1) - torch.cat([reached, 0 * one], dim=1)
    kept = probabilities.clamp_min(_LATENT_EPSILON)
    normed: Tensor = kept / kept.sum(dim=1, keepdim=True)
    return normed
