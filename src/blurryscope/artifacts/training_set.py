"""What a network learns from: stacks with their scores, wherever they come from."""

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.samples import STACK_VIEWS, Sample
from blurryscope.artifacts.split import Part
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb

REDUCTION = 4
"""Pixels of a view per pixel that our network sees, along each side."""

STACK_CROPS = STACK_VIEWS - 1
"""Views of a stack beside the overview."""


class LabelledStacks(Protocol):
    """Stacks by number; a data set under one split is one."""

    @property
    def name(self) -> str:
        """What messages call it: its folder."""
        ...

    @property
    def samples(self) -> Sequence[Sample]:
        """What each is; all have a score."""
        ...

    @property
    def largest_view_px(self) -> int:
        """The largest views that stacks can have."""
        ...

    @property
    def kept_views(self) -> NDArray[np.uint8] | None:
        """Where views were made once: (sample, view, row, col, rgb), the overview last."""
        ...

    def part(self, part: Part) -> Sequence[int]:
        """Numbers of the samples of a part."""
        ...

    def stack(self, index: int, view_px: int, rng: np.random.Generator | None = None) -> Rgb:
        """(view, row, col, rgb) uint8, views of `view_px`; crops are drawn afresh by `rng`."""
        ...


def drawn_views(view_count: int, rng: np.random.Generator | None) -> list[int]:
    """Which of the kept views make a stack: the crops that cores are scored by, or drawn ones."""
    overview = view_count - 1
    if rng is None:
        return [*range(STACK_CROPS), overview]
    return [*(int(place) for place in rng.permutation(overview)[:STACK_CROPS]), overview]


def refuse_smaller_views(data: LabelledStacks, view_px: int) -> None:
    """An `InputError` where stacks are kept smaller than a network sees them."""
    if data.largest_view_px < view_px:
        raise InputError(
            data.name,
            f"keeps views of {data.largest_view_px} pixels, and {view_px} are wanted",
            f"Build the set with --view-px {view_px}, or take a network that sees smaller views",
        )


def scores_of(data: LabelledStacks, indices: Sequence[int]) -> NDArray[np.int64]:
    """The scores of some samples as class indices."""
    scores = []
    for index in indices:
        sample = data.samples[index]
        if sample.score is None:
            raise ValueError(f"{sample.slide} {sample.core} has no score")
        scores.append(int(sample.score))
    return np.array(scores, np.int64)


def fixed_stacks(data: LabelledStacks, indices: Sequence[int], view_px: int) -> NDArray[np.uint8]:
    """The stacks of some samples as they are scored, (stack, view, row, col, rgb)."""
    return np.stack([data.stack(index, view_px) for index in indices])


def reduced_views(stacks: Rgb, reduction: int = REDUCTION) -> NDArray[np.uint8]:
    """Average stacks, (stack, view, row, col, rgb) uint8, over `reduction` x `reduction` pixels."""
    if reduction == 1:
        return stacks
    count, views, rows, columns, _ = stacks.shape
    small = (columns // reduction, rows // reduction)
    flat = stacks.reshape(count * views, rows, columns, 3)
    reduced = [cv2.resize(view, small, interpolation=cv2.INTER_AREA) for view in flat]
    return np.asarray(reduced, np.uint8).reshape(count, views, small[1], small[0], 3)
