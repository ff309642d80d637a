"""Where a network sees evidence for its score: Grad-CAM for each view, laid together over the core.

The last maps that a part of the network makes before it pools them say what it found where; the
gradient of its scale of staining says how much each kind of find counts (Selvaraju et al. 2017).
What the same core gives without its brown is taken off, and gradients are those met on the way from
there to here (Sundararajan et al. 2017): left is what brown, where it lies, does to the score.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from blurryscope.artifacts.view_places import ViewPlace
from blurryscope.basics.image import Grey
from blurryscope.classify.networks import CoreOutput
from blurryscope.classify.unstained import without_brown

_STEPS = 2
"""Gradients on the way from the core without brown to the core; more change nothing to speak of."""
_SMOOTHING = 1 / 64
"""Standard deviation of the map's blur against the width of the core's square: some 18 µm, about
half of what the motion smears."""
_LEAST_WEIGHT = 0.02
"""Where only views of next to no weight look there is nothing to tell."""

_Maps = dict[str, Tensor]
"""By the module of the network that makes them."""
_Hook = Callable[[nn.Module, tuple[object, ...], object], object]


class Seen(NamedTuple):
    """What a network saw in the views of some cores on its way to their scores."""

    maps: Mapping[str, Tensor]
    """(core, view, channel, row, col) by the module that makes them: the last maps of each part of
    the network that pools some."""
    attention: Tensor
    """(core, view): how much each view counted; rows sum to 1."""

    def by_core(self) -> list["Seen"]:
        """The same, of one core each."""
        return [
            Seen(
                {name: maps[core : core + 1] for name, maps in self.maps.items()},
                self.attention[core : core + 1],
            )
            for core in range(len(self.attention))
        ]


class ViewEvidence(NamedTuple):
    """What each place of the views adds to the score."""

    maps: NDArray[np.float32]
    """(core, view, row, col), log-odds: what the brown of each place adds to the mean of the
    log-odds of at least 1+, 2+ and 3+. Positive speaks for a higher score; without brown it is 0.
    """
    attention: NDArray[np.float32]
    """(core, view): how much each view counted; rows sum to 1."""


def see(network: nn.Module, views: Tensor) -> tuple[CoreOutput, Seen]:
    """Score some views and keep what is pooled on the way.

    `views` is (core, view, rgb, row, col) float32 in 0..255; `network` gives a `CoreOutput` and
    pools maps of its views in one or more of its parts, as every form of `CoreNet` does.
    """
    with torch.no_grad(), _last_maps(network) as kept:
        output = network(views)
    return output, Seen(_by_view(kept, views), output.attention)


def view_evidence(network: nn.Module, views: Tensor, seen: Seen | None = None) -> ViewEvidence:
    """Say which places of the views speak for a higher score and which for a lower one.

    The arguments are those of `see`; with what was `seen` there already a pass less is needed.
    """
    seen = see(network, views)[1] if seen is None else seen
    of_unstained, counts = _counts(network, views, seen)
    size_px = (views.shape[3], views.shape[4])
    total = torch.zeros(views.shape[0] * views.shape[1], 1, *size_px)
    for name, counted in counts.items():
        added = (counted * (seen.maps[name] - of_unstained[name])).sum(dim=2, keepdim=True)
        fine = functional.interpolate(
            added.flatten(0, 1), size_px, mode="bilinear", align_corners=False
        )
        total += fine / (size_px[0] * size_px[1])
    return ViewEvidence(
        total.reshape(*views.shape[:2], *size_px).numpy(),
        seen.attention.float().numpy(),
    )


def _counts(network: nn.Module, views: Tensor, seen: Seen) -> tuple[_Maps, _Maps]:
    """The maps of the cores without brown, and what a channel counts on the way from there.

    Both (core, view, channel, row, col), the latter with one row and one column.
    """
    unstained = without_brown(views)
    counts = {name: torch.zeros(()) for name in seen.maps}
    with _begun_at(network, seen.maps) as begun:
        with torch.no_grad():
            network(unstained)
        of_unstained = {name: maps.detach() for name, maps in begun.items()}
        for step in range(_STEPS):
            share = (step + 0.5) / _STEPS
            with torch.enable_grad():
                output = network(torch.lerp(unstained, views, share))
                log_odds = output.cumulative_logits.mean(dim=1).sum()
                gradients = torch.autograd.grad(log_odds, [begun[name] for name in counts])
            for name, gradient in zip(counts, gradients, strict=True):
                # What a channel counts is the same everywhere: a maximum would else show one place.
                counts[name] = counts[name] + gradient.sum(dim=(2, 3), keepdim=True) / _STEPS
    return _by_view(of_unstained, views), _by_view(counts, views)


def _by_view(maps: _Maps, views: Tensor) -> _Maps:
    """(core * view, channel, row, col) to (core, view, channel, row, col)."""
    return {name: one.reshape(*views.shape[:2], *one.shape[1:]) for name, one in maps.items()}


@contextmanager
def _begun_at(network: nn.Module, makers: Iterable[str]) -> Iterator[_Maps]:
    """Let gradients end at the maps of these modules: nothing need be kept of what made them.

    The dictionary that is given holds the maps, (core * view, channel, row, col), after a pass.
    """
    begun: _Maps = {}

    def begin(name: str) -> _Hook:
        def hook(_: nn.Module, __: tuple[object, ...], output: object) -> object:
            if not isinstance(output, Tensor):
                raise TypeError(f"{name} gives {type(output).__name__}, which is no maps")
            begun[name] = output.detach().requires_grad_()
            return begun[name]

        return hook

    hooks = [network.get_submodule(name).register_forward_hook(begin(name)) for name in makers]
    try:
        yield begun
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _last_maps(network: nn.Module) -> Iterator[_Maps]:
    """Keep, of each part of the network that makes vectors out of maps, the maps before the last.

    The dictionary that is given is filled by every pass, by the module that made the maps.
    """
    kept: _Maps = {}
    running: _Maps = {}

    def seen(name: str) -> _Hook:
        def hook(_: nn.Module, __: tuple[object, ...], output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                running.clear()
                running[name] = output

        return hook

    def pooled(_: nn.Module, given: tuple[object, ...], output: object) -> None:
        takes_maps = any(isinstance(one, Tensor) and one.ndim == 4 for one in given)
        if takes_maps and isinstance(output, Tensor) and output.ndim == 2:
            kept.update(running)

    hooks = [
        inner.register_forward_hook(seen(f"{part}.{name}"))
        for part, whole in network.named_children()
        for name, inner in whole.named_modules()
        if inner is not whole
    ]
    hooks += [part.register_forward_hook(pooled) for part in network.children()]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def core_map(
    maps: NDArray[np.float32],
    attention: NDArray[np.float32],
    places: Sequence[ViewPlace],
    size_px: tuple[int, int],
) -> Grey:
    """Lay the maps of one core's views together.

    Parameters
    ----------
    maps, attention
        (view, row, col) and (view,) of one core.
    places
        Of the views, the last of which shows the whole core.
    size_px
        (rows, columns) of the core's picture.

    Returns
    -------
    (row, col) float32 over the core's picture, as fine as the last view shows it: what the
    log-odds would gain if all that is seen looked as this place does. Where several views
    show a place, their answers are averaged, each with its attention. Signed.
    """
    whole = places[-1]
    side = maps.shape[-1]
    total = np.zeros((side, side), np.float32)
    weight = np.full((side, side), _LEAST_WEIGHT, np.float32)
    for view, counted, place in zip(maps, attention, places, strict=True):
        onto = _onto(place, whole, view.shape[0], side)
        how = cv2.INTER_LINEAR
        mean_of = _box(view, onto[0, 0])
        total += cv2.warpAffine(mean_of * np.float32(view.size), onto, (side, side), flags=how)
        ones = np.full(view.shape, counted, np.float32)
        weight += cv2.warpAffine(ones, onto, (side, side), flags=how)
    sigma = _SMOOTHING * side
    smooth = cv2.GaussianBlur(total, (0, 0), sigma) / cv2.GaussianBlur(weight, (0, 0), sigma)
    return _cut_to_picture(np.asarray(smooth, np.float32), whole, size_px)


def _onto(place: ViewPlace, whole: ViewPlace, view_px: int, side: int) -> NDArray[np.float64]:
    """(2, 3): from a view's pixels, centred at integers, to those of the whole core's square."""
    unit = whole.side_px / side
    scale = place.side_px / view_px / unit
    shift = [
        (start - begin) / unit + 0.5 * scale - 0.5
        for start, begin in ((place.left_px, whole.left_px), (place.top_px, whole.top_px))
    ]
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def _box(view: Grey, scale: float) -> Grey:
    """The mean around each pixel over as many as become one, so that none is skipped."""
    side = max(1, round(1 / scale))
    return np.asarray(cv2.blur(view, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _cut_to_picture(square: Grey, whole: ViewPlace, size_px: tuple[int, int]) -> Grey:
    per_px = len(square) / whole.side_px
    top, left = round(-whole.top_px * per_px), round(-whole.left_px * per_px)
    rows, columns = (max(1, round(length * per_px)) for length in size_px)
    return np.ascontiguousarray(square[max(top, 0) : top + rows, max(left, 0) : left + columns])
