"""From the picture of a slide and the lab's map to cores with names, and how sure they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from blurryscope.artifacts.slide_map import SlideMap
from blurryscope.artifacts.tissue_cores import (
    Block,
    CoreGrid,
    CoreOutside,
    CoreStatus,
    TissueCore,
)
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.tma.measure import measured_cores
from blurryscope.tma.named_blocks import NamedBlock, named_blocks
from blurryscope.tma.naming import Alternative, Naming
from blurryscope.tma.picture import SlidePicture
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.sight import SlideSight, look_at_slide
from blurryscope.tma.white_balance import WhiteBalance

_DOUBTFUL_CONFIDENCE = 0.73
"""A nat of evidence."""
_MOST_DOUBTFUL_FRACTION = 0.015


@dataclass(frozen=True, slots=True, kw_only=True)
class Dearrayed:
    """The cores of a slide: what `cores.csv` and `cores.json` say, and the slide's white."""

    cores: tuple[TissueCore, ...]
    grid: CoreGrid
    white: WhiteBalance
    alternatives: tuple[Alternative, ...] = ()
    """Ways to place the names, or those of the least sure block; the one taken comes first."""


def find_cores(
    picture: SlidePicture, slide_map: SlideMap | None, settings: TmaSettings
) -> Dearrayed:
    """Find the cores of a slide and name them by the map, or by the grid seen without one.

    Raises `InputError` where there is no tissue, where the map has more rows or columns than the
    slide has room for, or where map and layout disagree.
    """
    sight = look_at_slide(picture, settings)
    blocks = named_blocks(sight, slide_map, settings)
    nodes = sorted((node for block in blocks for node in block.nodes), key=lambda node: node.name)
    diameter_px = sight.diameter_px * sight.working.shrink
    cores = measured_cores(picture, sight.white, nodes, diameter_px)
    grid = _core_grid(picture, sight, blocks, cores, is_confirmed=settings.place is not None)
    return Dearrayed(
        cores=tuple(cores),
        grid=grid,
        white=sight.white,
        alternatives=_least_sure(blocks).alternatives,
    )


def _least_sure(blocks: Sequence[NamedBlock]) -> Naming:
    return min((block.naming for block in blocks), key=lambda naming: naming.margin)


def _core_grid(
    picture: SlidePicture,
    sight: SlideSight,
    blocks: Sequence[NamedBlock],
    cores: Sequence[TissueCore],
    *,
    is_confirmed: bool,
) -> CoreGrid:
    least_sure = _least_sure(blocks)
    reasons = tuple(reason for block in blocks for reason in block.reasons)
    if not is_confirmed:
        reasons += tuple(_reasons_of_faint_cores(cores))
    vectors = [block.lattice.nodes.vectors for block in blocks]
    rows, columns = (
        float(np.median([np.hypot(*vector) for vector in axis])) * sight.working.shrink
        for axis in (
            [vector.along_row for vector in vectors],
            [vector.down_column for vector in vectors],
        )
    )
    red, green, blue = (float(level) for level in sight.white.white)
    return CoreGrid(
        rows=1 + max(block.last.row for block in blocks),
        columns=1 + max(block.last.column for block in blocks),
        layout=tuple(_stored_block(block) for block in blocks),
        orientation=least_sure.orientation,
        placement_margin=least_sure.margin,
        needs_confirmation=bool(reasons),
        confirmed_by_hand=is_confirmed,
        reasons=reasons,
        names_from="map" if least_sure.is_by_map else "grid",
        candidates=least_sure.candidates,
        outside=tuple(_outside(sight, blocks)),
        pixel_size_um=picture.pixel_size_um,
        diameter_px=float(np.median([core.diameter_px for core in cores])),
        pitch_px=(rows, columns),
        tilt_deg=float(np.median([block.lattice.tilt_deg for block in blocks])),
        white=(red, green, blue),
        research_use_only=RESEARCH_USE_ONLY,
    )


def _outside(sight: SlideSight, blocks: Sequence[NamedBlock]) -> Iterator[CoreOutside]:
    for block in blocks:
        for node in block.naming.outside:
            x_px, y_px = (sight.working.to_full(value) for value in node.xy)
            yield CoreOutside(x_px=x_px, y_px=y_px, line=node.line)


def _reasons_of_faint_cores(cores: Sequence[TissueCore]) -> list[str]:
    """A faint core or two that are told as lost matter little; many would be missed results."""
    doubtful = [
        core
        for core in cores
        if core.status is CoreStatus.MISSING and core.confidence < _DOUBTFUL_CONFIDENCE
    ]
    if len(doubtful) <= max(1, _MOST_DOUBTFUL_FRACTION * len(cores)):
        return []
    return [
        f"{len(doubtful)} places that are told as missing may hold a faint core "
        f"({', '.join(str(core.name) for core in doubtful[:8])})"
    ]


def _stored_block(block: NamedBlock) -> Block:
    return Block(
        first_row=block.first.row,
        first_column=block.first.column,
        rows=block.last.row - block.first.row + 1,
        columns=block.last.column - block.first.column + 1,
    )
