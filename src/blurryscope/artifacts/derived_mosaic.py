"""A second picture of a slide, beside the mosaic, that says in itself what it is."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import zarr

from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.whole import whole_folder

Told = Mapping[str, str | float | Sequence[float]]

DERIVED = "blurryscope:derived"
"""Attribute of the zarr group: what the picture was made from, and how."""


@contextmanager
def derived_mosaic(
    folder: Path, size_px: tuple[int, int], pixel_size_um: float, told: Told
) -> Iterator[MosaicWriter]:
    """Give a writer of a mosaic whose attributes carry `told` under `DERIVED`.

    The folder appears, whole and labelled, only when the block ends well.
    """
    with whole_folder(folder) as partial:
        inner = partial / folder.name
        with MosaicWriter(inner, size_px, pixel_size_um) as writer:
            yield writer
        zarr.open_group(inner, mode="r+", zarr_format=2).attrs[DERIVED] = dict(told)
        for path in list(inner.iterdir()):
            path.rename(partial / path.name)
        inner.rmdir()


def derivation_of(folder: Path) -> dict[str, object] | None:
    """What a mosaic says it was derived from and how; None for a mosaic that is the scan itself."""
    told = zarr.open_group(folder, mode="r", zarr_format=2).attrs.asdict().get(DERIVED)
    return dict(told) if isinstance(told, Mapping) else None
