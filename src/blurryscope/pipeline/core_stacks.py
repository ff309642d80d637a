"""Stacks of a scan's cores, made ahead by threads while the network is at work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from blurryscope.artifacts.picture_file import read_rgb
from blurryscope.artifacts.samples import Sample
from blurryscope.artifacts.small_pictures import SMALL_PX, fitted
from blurryscope.basics.image import Mask, Rgb, is_unscanned
from blurryscope.basics.side_by_side import side_by_side
from blurryscope.dataset.views import PlacedStack, find_tissue, prepare_core

_FURTHER_STACKS = 2
"""Twelve crops in all show nearly all of a core. Each costs one that is unsure 0.012 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreStack:
    """What scoring needs of one core."""

    sample: Sample
    placed: PlacedStack
    further: Rgb
    """(stack, view, row, col, rgb) uint8, other crops: no score shall hang on where four lie."""
    size_px: tuple[int, int]
    """(rows, columns) of its picture."""
    small: Rgb
    """The picture, made to fit `SMALL_PX`: maps are laid over it."""
    pixel_size_um: float
    """Of the picture before it was made small."""

    @property
    def reduction(self) -> float:
        """How many times smaller `small` is."""
        return float(self.size_px[0] / self.small.shape[0])

    @property
    def tissue(self) -> Mask:
        """Where `small` shows tissue, (row, col)."""
        seen = find_tissue(self.small, self.pixel_size_um * self.reduction)
        return np.asarray(seen & ~is_unscanned(self.small))


def core_stacks(
    samples: Sequence[Sample], pixel_size_um: float, view_px: int
) -> Iterator[CoreStack]:
    """Make the stack of each sample's picture, in order; views of `view_px`."""

    def stack_of(sample: Sample) -> CoreStack:
        return _core_stack(sample, pixel_size_um, view_px)

    return side_by_side(stack_of, samples)


def _core_stack(sample: Sample, pixel_size_um: float, view_px: int) -> CoreStack:
    rgb = read_rgb(sample.path, "Find the cores again: blurryscope cores")
    prepared = prepare_core(rgb, pixel_size_um=pixel_size_um, view_px=view_px)
    return CoreStack(
        sample=sample,
        placed=prepared.placed_stack(),
        further=prepared.further_stacks(_FURTHER_STACKS),
        size_px=(rgb.shape[0], rgb.shape[1]),
        small=fitted(rgb, SMALL_PX),
        pixel_size_um=pixel_size_um,
    )
