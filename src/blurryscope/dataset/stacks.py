"""Stacks of a data set as a network asks for them: by number, of any size, drawn or fixed."""

from collections import OrderedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.picture_file import read_rgb
from blurryscope.artifacts.samples import VIEW_PX, Sample, read_stack
from blurryscope.artifacts.split import Part, Split
from blurryscope.basics.image import Rgb
from blurryscope.dataset.build import DataSet
from blurryscope.dataset.packed import PackedViews
from blurryscope.dataset.views import PreparedCore, prepare_core

_KEPT_BYTES = 2_000_000_000
"""Of prepared cores, in memory; at 64 pixels a view that is every core of most sets."""


class DataSetStacks:
    """The stacks of a data set under one split; can be sent to other processes."""

    def __init__(self, data: DataSet, split: Split, kept_bytes: int = _KEPT_BYTES) -> None:
        self.name = str(data.folder)
        self.samples: list[Sample] = data.samples
        self.packed: PackedViews | None = data.packed_views
        self._split = split
        self._kept_bytes = kept_bytes
        self._kept: OrderedDict[tuple[int, int], PreparedCore | Rgb] = OrderedDict()
        self._held_bytes = 0

    @property
    def largest_view_px(self) -> int:
        """The largest views that stacks of this set can have."""
        return VIEW_PX if self.packed is None else self.packed.packing.view_px

    @property
    def kept_views(self) -> NDArray[np.uint8] | None:
        """Of a packed set: (sample, view, row, col, rgb), the overview last."""
        return None if self.packed is None else self.packed.array

    def part(self, part: Part) -> list[int]:
        """Numbers of the samples of a part."""
        return self._split.indices(self.samples, part)

    def stack(
        self, index: int, view_px: int = VIEW_PX, rng: np.random.Generator | None = None
    ) -> Rgb:
        """(view, row, col, rgb) uint8, views of `view_px`; crops are drawn afresh by `rng`.

        Crops of a sample that is a stack already are what they are; those of a packed set are
        drawn among the ones that it keeps.
        """
        if self.packed is not None:
            return self.packed.stack(index, view_px, rng)
        prepared = self._prepared(index, view_px)
        return prepared.stack(rng) if isinstance(prepared, PreparedCore) else prepared

    def _prepared(self, index: int, view_px: int) -> PreparedCore | Rgb:
        key = (index, view_px)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        prepared = _prepare(self.samples[index], view_px)
        self._kept[key] = prepared
        self._held_bytes += _bytes(prepared)
        while self._held_bytes > self._kept_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._held_bytes -= _bytes(dropped)
        return prepared

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_kept": OrderedDict(), "_held_bytes": 0}


def _prepare(sample: Sample, view_px: int) -> PreparedCore | Rgb:
    if sample.pixel_size_um is None:
        stack = read_stack(sample.path)
        return np.stack(
            [cv2.resize(view, (view_px, view_px), interpolation=cv2.INTER_AREA) for view in stack]
        ).astype(np.uint8)
    rgb = read_rgb(sample.path, "Check the set: blurryscope dataset check")
    return prepare_core(rgb, pixel_size_um=sample.pixel_size_um, view_px=view_px)


def _bytes(prepared: PreparedCore | Rgb) -> int:
    return prepared.byte_count if isinstance(prepared, PreparedCore) else prepared.nbytes
