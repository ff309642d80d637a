"""Stacks that no network should see: what is wrong with them, from a few measured figures.

What each limit rests on stands in docs/reference/gate.md; `benchmarks/gate_figures.py` prints
the figures of good and of spoiled stacks again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.training_set import reduced_views
from blurryscope.basics.image import Rgb
from blurryscope.basics.percent import percent
from blurryscope.classify.networks import StainPlanes
from blurryscope.classify.spots import spot_count

MEASURED_PX = 128
"""Side of a view as it is measured: 2.9 µm a pixel. Smaller ones cannot be judged."""
_TISSUE_DENSITY = 0.02
_GLASS_QUANTILE = 98
_DARKEST_GLASS = 150.0
_NEAR_PX = 1
_FAR_PX = 10
_FRAGMENT_PX = 5
"""Side of the square over which colours are averaged before they are judged: two nuclei."""
_LEAST_GLASS_PX = 200
"""Of all views; on fewer noise is not measured."""
_BLACK = 12
_REPEAT_PX = 24
"""Shift, 70 µm, beyond which a view should not look like itself."""
_STEP_PX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StackQuality:
    """What can be said of a stack before it is scored. Shares and ratios unless a unit is told."""

    blank: float
    """Share of the overview that has exactly its brightest colour: masked, never scanned, or
    overexposed. Glass that was filmed has noise."""
    black: float
    """Share of all views that is black: blocks that were lost."""
    spots: int
    """Separate round pieces of tissue, alike in size, in the view with the most of them."""
    overview_tissue: float
    """Share of the overview that is denser than glass, 0 to 1."""
    crop_tissue: float
    """The same for the crops together."""
    focus: float
    """Brightness change across the scan axis over 3 µm against that over 30 µm, where there is
    tissue: 0 is a blur without detail. Motion blur, along x, leaves it alone."""
    relief: float
    """How much the density of haematoxylin changes across the scan axis over 30 µm, where there is
    tissue: nuclei against what lies between them. It falls with the contrast; motion blur leaves
    it alone."""
    rim: float
    """Brightness of the overview's corners against the brightest there is: glass in every scan of
    a round core, dark where the picture is inverted."""
    cast: float
    """Optical density by which the glass differs from grey: its darkest channel against its
    brightest."""
    colour: float
    """How far the channels differ in the tissue, as a share of its density: 0 is grey."""
    foreign: float
    """Share of the density that is neither haematoxylin nor DAB."""
    noise: float
    """Standard deviation between neighbours on clear glass, in grey levels of views 128 pixels
    wide; 0 where there is too little glass."""
    step: float
    """The largest step in optical density that runs straight through a whole crop."""
    likeness: float
    """How much a crop looks like itself moved by 70 µm or more along one axis; 1 is the same."""


def stack_quality(stack: Rgb) -> StackQuality:
    """Measure a stack, (view, row, col, rgb) uint8, the overview last; full or reduced."""
    small = reduced_views(stack[None], max(stack.shape[1] // MEASURED_PX, 1))[0]
    red, green, blue = (small[..., colour] for colour in range(3))
    grey = np.minimum(np.minimum(red, green), blue).astype(np.float32)
    glass = max(float(np.percentile(grey, _GLASS_QUANTILE)), _DARKEST_GLASS)
    smooth = np.stack([cv2.blur(view, (_FRAGMENT_PX, _FRAGMENT_PX)) for view in grey])
    tissue = np.asarray(smooth < glass * 10**-_TISSUE_DENSITY)
    density, clear = _density(small)
    colour, foreign = _stains(density[tissue])
    return StackQuality(
        blank=float((small[-1] == small[-1].max(axis=(0, 1))).all(axis=-1).mean()),
        spots=spot_count(grey, glass, _TISSUE_DENSITY),
        black=float((np.maximum(np.maximum(red, green), blue) < _BLACK).mean()),
        overview_tissue=float(tissue[-1].mean()),
        crop_tissue=float(tissue[:-1].mean()),
        focus=_focus(grey[:-1], tissue[:-1]),
        relief=_mean_step(density[:-1] @ _unmixing()[0], tissue[:-1], _FAR_PX),
        rim=_corner_brightness(grey[-1]) / glass,
        cast=float(np.log10(clear.max() / clear.min())),
        colour=colour,
        foreign=foreign,
        noise=_noise(grey, tissue),
        step=max(_straight_step(view) for view in _mean_of_colours(density[:-1])),
        likeness=max(_self_likeness(view) for view in grey[:-1]),
    )


@dataclass(frozen=True, slots=True)
class _Rule:
    """One thing that can be wrong: the figure, its limits, and what to say."""

    figure: Callable[[StackQuality], float]
    least: float
    most: float
    reason: str
    """In it `value` is the figure, `share` the same as a percentage."""


_ANY = float("inf")
_RULES = (
    _Rule(
        lambda q: q.blank, 0.0, 0.6,
        "{share} of the overview is blank: not scanned, or overexposed",
    ),
    _Rule(lambda q: q.black, 0.0, 0.05, "{share} of the views is black: frames were lost"),
    _Rule(
        lambda q: q.spots, 0, 5,
        "a picture of many cores, not of one: {value} separate round pieces of tissue",
    ),
    _Rule(
        lambda q: q.crop_tissue, 0.10, 1.0,
        "hardly any tissue, or too pale to be seen: {share} of the crops",
    ),
    _Rule(
        lambda q: q.overview_tissue, 0.04, 1.0,
        "mostly glass: tissue on {share} of the overview",
    ),
    _Rule(lambda q: q.rim, 0.5, _ANY, "no glass around the core: is the picture inverted?"),
    _Rule(lambda q: q.cast, 0.0, 0.2, "colour cast: the glass is not grey"),
    _Rule(lambda q: q.focus, 0.17, _ANY, "out of focus: no detail across the scan direction"),
    _Rule(lambda q: q.colour, 0.03, _ANY, "no colour: stains cannot be told in a grey picture"),
    _Rule(lambda q: q.focus, 0.0, 0.9, "grain without structure: noise, or no picture of tissue"),
    _Rule(
        lambda q: q.foreign, 0.0, 0.40,
        "not the colours of haematoxylin and DAB: {share} of the density is another",
    ),
    _Rule(lambda q: q.noise, 0.0, 3.5, "noise of {value:.1f} grey levels"),
    _Rule(lambda q: q.step, 0.0, 0.16, "a straight edge through a crop: pen, seam or cover slip"),
    _Rule(lambda q: q.likeness, 0.0, 0.98, "a crop repeats itself: the stage stood still"),
)  # fmt: skip
"""In the order in which they are told."""


def objection(quality: StackQuality) -> str | None:
    """Why a stack of this quality is not scored, in words; None if it may be."""
    for rule in _RULES:
        value = rule.figure(quality)
        if not rule.least <= value <= rule.most:
            return rule.reason.format(value=value, share=percent(value))
    return None


def _density(small: Rgb) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Optical density, (view, row, col, rgb), and the glass that it is against, (rgb,)."""
    sparse = small[:, ::2, ::2].reshape(-1, 3)
    clear = np.maximum(np.percentile(sparse, _GLASS_QUANTILE, axis=0), 1.0)
    light = [cv2.blur(view, (_FRAGMENT_PX, _FRAGMENT_PX)) for view in small]
    levels = np.log10(clear[None] / np.maximum(np.arange(256.0), 1.0)[:, None]).astype(np.float32)
    return np.stack([cv2.LUT(view, levels[None]) for view in light]), clear


def _stains(dyed: NDArray[np.float32]) -> tuple[float, float]:
    """`colour` and `foreign` of the densities of tissue, (pixel, rgb)."""
    if len(dyed) == 0:
        return 0.0, 0.0
    by_colour = np.ascontiguousarray(np.maximum(dyed, 0.0).T)
    blue, brown, rest = _unmixing() @ by_colour
    amount = float(np.abs(blue).sum() + np.abs(brown).sum() + np.abs(rest).sum())
    strange = np.abs(rest) + np.maximum(-blue, 0.0) + np.maximum(-brown, 0.0)
    spread = float((by_colour.max(axis=0) - by_colour.min(axis=0)).sum())
    total = float(by_colour.sum()) / 3
    return spread / max(total, 1e-6), float(strange.sum()) / max(amount, 1e-6)


@cache
def _unmixing() -> NDArray[np.float32]:
    """(stain, rgb): from optical density to haematoxylin, DAB and the rest, as the network."""
    return np.ascontiguousarray(StainPlanes().unmix.numpy())


def _focus(grey: NDArray[np.float32], tissue: NDArray[np.bool_]) -> float:
    far = _mean_step(grey, tissue, _FAR_PX)
    return _mean_step(grey, tissue, _NEAR_PX) / far if far > 0 else 0.0


def _mean_step(grey: NDArray[np.float32], tissue: NDArray[np.bool_], rows: int) -> float:
    both = tissue[:, rows:] & tissue[:, :-rows]
    if not both.any():
        return 0.0
    return float(np.abs(grey[:, rows:] - grey[:, :-rows])[both].mean())


def _corner_brightness(grey: NDArray[np.float32]) -> float:
    side = len(grey) // 10
    ends = (slice(None, side), slice(-side, None))
    return float(np.median([grey[rows, columns] for rows in ends for columns in ends]))


def _noise(grey: NDArray[np.float32], tissue: NDArray[np.bool_]) -> float:
    around = np.stack([cv2.dilate(view.astype(np.uint8), np.ones((7, 7))) for view in tissue])
    glass = around == 0
    if glass.sum() < _LEAST_GLASS_PX:
        return 0.0
    rough = np.stack([view - cv2.blur(view, (3, 3)) for view in grey])[glass]
    # Of nine equal parts one is the pixel itself, so 8/9 of its variance is left.
    return float(np.sqrt(np.mean(rough**2) * 9 / 8))


def _straight_step(density: NDArray[np.float32]) -> float:
    """Tissue borders bend; only a seam or a stroke is a step at most places of a row or column."""
    down = np.abs(np.median(density[_STEP_PX:] - density[:-_STEP_PX], axis=1)).max()
    right = np.abs(np.median(density[:, _STEP_PX:] - density[:, :-_STEP_PX], axis=0)).max()
    return float(max(down, right))


def _mean_of_colours(density: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis, in a quarter of the time that NumPy takes for so short a one."""
    return (density[..., 0] + density[..., 1] + density[..., 2]) / np.float32(3)


def _self_likeness(grey: NDArray[np.float32]) -> float:
    flat = grey - cv2.blur(grey, (31, 31))
    return max(_likeness_of_rows(flat), _likeness_of_rows(flat.T))


def _likeness_of_rows(flat: NDArray[np.float32]) -> float:
    """The best correlation of the rows with those that lie some way below them.

    All sums over pixels are sums along the diagonals of one product, of each row by each.
    """
    products = flat @ flat.T
    power = np.concatenate([[0.0], np.cumsum(products.diagonal(), dtype=np.float64)])
    best = 0.0
    for shift in range(_REPEAT_PX, len(flat) // 2 + 1):
        norm = float(np.sqrt((power[-1] - power[shift]) * power[-1 - shift]))
        shared = float(products.trace(shift, dtype=np.float64))
        best = max(best, shared / norm if norm > 0 else 0.0)
    return best
