"""Views made once and kept side by side: a set that is read as fast as memory gives it.

A packed set holds no pictures of cores but, for each sample, a few crops and the overview as
`prepare_core` makes them, all in one file of bytes, (sample, view, row, col, rgb) uint8. The first
crops are those that a core is scored by; the others were drawn where there is tissue, and training
draws among all of them.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.samples import VIEW_PX, Sample
from blurryscope.artifacts.training_set import drawn_views, reduced_views
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb
from blurryscope.dataset.views import CROP_COUNT, PreparedCore, prepare_core

VIEWS_FILE = "views.u8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How much of each core is kept."""

    view_px: int = 128
    """Side of a view; no network that wants larger ones can learn from the set."""
    crop_count: int = 10
    """Crops kept of each core, the four that it is scored by among them."""

    def __post_init__(self) -> None:
        if self.view_px not in (32, 64, 128, 256, 512):
            raise ValueError(f"view_px must be 32, 64, 128, 256 or 512, got {self.view_px}")
        if self.crop_count < CROP_COUNT:
            raise ValueError(f"crop_count must be at least {CROP_COUNT}, got {self.crop_count}")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of one sample: (view, row, col, rgb), the overview last."""
        return self.crop_count + 1, self.view_px, self.view_px, 3

    @property
    def byte_count(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedCore:
    """One sample of a packed set before it is written; the sample's path counts for nothing."""

    sample: Sample
    views: Rgb
    """Of `Packing.shape`."""


def packed_views(
    core_rgb: Rgb, *, pixel_size_um: float, packing: Packing, rng: np.random.Generator
) -> Rgb:
    """The views that are kept of a core, of `packing.shape`; arguments as for `make_stack`."""
    prepared = prepare_core(core_rgb, pixel_size_um=pixel_size_um, view_px=packing.view_px)
    return np.stack([*_crops(prepared, packing.crop_count, rng), prepared.overview])


def _crops(prepared: PreparedCore, count: int, rng: np.random.Generator) -> list[Rgb]:
    crops: list[Rgb] = list(prepared.stack()[:CROP_COUNT])
    while len(crops) < count:
        crops += list(prepared.stack(rng)[:CROP_COUNT])
    return crops[:count]


def sha256_of_views(views: Rgb) -> str:
    """Checksum of one sample's views."""
    return sha256(np.ascontiguousarray(views).tobytes()).hexdigest()


class PackedViews:
    """The views of a packed set, read where they lie; can be sent to other processes."""

    def __init__(self, path: Path, count: int, packing: Packing) -> None:
        self._path, self._count, self.packing = path, count, packing
        self._opened: NDArray[np.uint8] | None = None
        expected = count * packing.byte_count
        found = path.stat().st_size if path.is_file() else 0
        if found != expected:
            raise InputError(
                path,
                f"holds {found} bytes, not the {expected} of {count} samples",
                "Build the data set again: blurryscope dataset build",
            )

    @property
    def array(self) -> NDArray[np.uint8]:
        """(sample, view, row, col, rgb), mapped from the disk."""
        if self._opened is None:
            shape = (self._count, *self.packing.shape)
            self._opened = np.memmap(self._path, np.uint8, "r", shape=shape)
        return self._opened

    def stack(self, index: int, view_px: int, rng: np.random.Generator | None = None) -> Rgb:
        """(view, row, col, rgb) uint8: four crops and the overview; see `drawn_views`."""
        picked = self.array[index][drawn_views(self.packing.shape[0], rng)]
        return np.asarray(reduced_views(picked[None], self.reduction(view_px))[0])

    def reduction(self, view_px: int) -> int:
        """How many pixels of a kept view make one of `view_px`, along each side."""
        if view_px > self.packing.view_px or self.packing.view_px % view_px:
            raise InputError(
                self._path,
                f"keeps views of {self.packing.view_px} pixels, and {view_px} are wanted",
                f"Build the set with --view-px {min(view_px, VIEW_PX)}",
            )
        return self.packing.view_px // view_px

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_opened": None}
