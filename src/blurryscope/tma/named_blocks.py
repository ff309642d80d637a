"""Names for all blocks of an array: one block for a plain array, several where a layout says so."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.slide_map import SlideMap
from blurryscope.artifacts.tissue_cores import PlaceSource
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.tma.blocks import block_of_spots
from blurryscope.tma.doubts import doubts_about
from blurryscope.tma.lattice import Lattice, fit_lattice
from blurryscope.tma.layout import Layout, LayoutBlock
from blurryscope.tma.measure import NamedNode
from blurryscope.tma.naming import Naming, named_by_grid, named_by_map
from blurryscope.tma.nodes import NodeTable, look_at_nodes, with_brown_stain
from blurryscope.tma.placement import Orientation
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.sight import SlideSight
from blurryscope.tma.tissue import Spots


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBlock:
    """A lattice whose nodes have names."""

    lattice: Lattice
    naming: Naming
    nodes: tuple[NamedNode, ...]
    """Places where a core is expected or was seen, in full-resolution pixels."""
    first: CoreName
    """The name with the lowest row and column of the block; `last` with the highest."""
    last: CoreName
    reasons: tuple[str, ...]


def named_blocks(
    sight: SlideSight, slide_map: SlideMap | None, settings: TmaSettings
) -> list[NamedBlock]:
    """Fit and name each block; see `find_cores` for what is refused."""
    spots = sight.spots
    lattice = fit_lattice(spots.xy_px, spots.response, sight.diameter_px)
    if settings.layout is None:
        return [_plain_block(sight, lattice, slide_map, settings)]
    _refuse_turned(settings)
    listed = settings.layout.full_map() if slide_map is None else slide_map
    _refuse_unknown_places(settings.layout, listed)
    numbers = block_of_spots(settings.layout, lattice, spots)
    named = [
        _layout_block(sight, numbers, number, listed, settings)
        for number in range(len(settings.layout.blocks))
    ]
    return [block for block in named if block is not None]


def _plain_block(
    sight: SlideSight, lattice: Lattice, slide_map: SlideMap | None, settings: TmaSettings
) -> NamedBlock:
    if slide_map is None:
        nodes = _nodes_of(sight, lattice, sight.spots, 0)
        naming = named_by_grid(nodes)
    else:
        margin = max(slide_map.rows, slide_map.columns)
        nodes = _nodes_of(sight, lattice, sight.spots, margin)
        naming = named_by_map(nodes, slide_map, settings, doubts_about(lattice, sight.spots))
    return NamedBlock(
        lattice=lattice,
        naming=naming,
        nodes=tuple(_named_nodes(nodes, naming, slide_map, lattice, sight)),
        first=CoreName(0, 0),
        last=CoreName(naming.rows - 1, naming.columns - 1),
        reasons=naming.reasons,
    )


def _layout_block(
    sight: SlideSight,
    numbers: NDArray[np.int64],
    number: int,
    slide_map: SlideMap,
    settings: TmaSettings,
) -> NamedBlock | None:
    """Fit one block to its own spots; None where the map lists none of its cores."""
    block = _blocks_of(settings)[number]
    own_map = block.own_map(slide_map)
    if own_map is None:
        return None
    title = f"Block {number + 1}"
    own = numbers == number
    if not own.any():
        raise InputError(
            "the slide", f"shows no core of {title.lower()}", "Check map, layout and scan"
        )
    spots = Spots(xy_px=sight.spots.xy_px[own], response=sight.spots.response[own])
    lattice = fit_lattice(spots.xy_px, spots.response, sight.diameter_px)
    nodes = _nodes_of(sight, lattice, spots, max(own_map.rows, own_map.columns))
    nodes = _without_other_blocks(nodes, sight.spots, own)
    doubts = doubts_about(lattice, spots)
    naming = named_by_map(nodes, own_map, settings, doubts, block.name_at)
    named = _named_nodes(nodes, naming, own_map, lattice, sight)
    return NamedBlock(
        lattice=lattice,
        naming=naming,
        nodes=tuple(replace(node, name=block.name_at(node.name)) for node in named),
        first=CoreName(min(block.rows), min(block.columns)),
        last=CoreName(max(block.rows), max(block.columns)),
        reasons=tuple(f"{title}: {reason}" for reason in naming.reasons),
    )


def _blocks_of(settings: TmaSettings) -> tuple[LayoutBlock, ...]:
    return () if settings.layout is None else settings.layout.blocks


def _refuse_turned(settings: TmaSettings) -> None:
    if settings.orientation is not Orientation.AS_SCANNED:
        raise InputError(
            "--orientation",
            "cannot be changed for an array of several blocks",
            "Write the layout as the scan shows it: ranges may run backwards",
        )
    if settings.place not in {None, (0, 0)}:
        raise InputError(
            "--place",
            "can only confirm (0,0) an array of several blocks",
            "Change the rows and columns of the layout instead",
        )


def _refuse_unknown_places(layout: Layout, slide_map: SlideMap) -> None:
    unknown = sorted(
        name
        for name, entry in slide_map.entries.items()
        if entry.presence.expects_tissue and name not in set(layout.names())
    )
    if unknown:
        listed = ", ".join(str(name) for name in unknown[:8])
        raise InputError(
            "the map",
            f"lists cores that no block of the layout holds ({listed})",
            "Check that map and layout belong together",
        )


def _nodes_of(sight: SlideSight, lattice: Lattice, spots: Spots, margin: int) -> NodeTable:
    nodes = look_at_nodes(lattice, spots.xy_px, sight.tissue_map, sight.response, margin)
    return with_brown_stain(
        nodes, sight.working.rgb, sight.white.white, sight.tissue_map, sight.diameter_px
    )


def _without_other_blocks(nodes: NodeTable, spots: Spots, own: NDArray[np.bool_]) -> NodeTable:
    """Nodes closest to a core of another block are none of this one's business."""
    places = nodes.predicted.reshape(-1, 2)
    nearest = np.array(
        [np.argmin(((spots.xy_px - place) ** 2).sum(axis=1)) for place in places], np.int64
    )
    is_own = own[nearest].reshape(nodes.tissue.shape)
    return replace(
        nodes,
        tissue=np.where(is_own, nodes.tissue, 0.0),
        in_scan=np.asarray(nodes.in_scan & is_own),
        brown=np.where(is_own, nodes.brown, np.nan),
    )


def _named_nodes(
    nodes: NodeTable,
    naming: Naming,
    slide_map: SlideMap | None,
    lattice: Lattice,
    sight: SlideSight,
) -> Sequence[NamedNode]:
    working = sight.working
    pitch_px = lattice.nodes.vectors.pitch_px * working.shrink
    named = []
    for name, (row, column) in sorted(naming.places.items()):
        is_expected = slide_map is None or slide_map.expects_tissue(name)
        if not is_expected and nodes.tissue[row, column] <= 0:
            continue
        found, predicted = nodes.found[row, column], nodes.predicted[row, column]
        entry = None if slide_map is None else slide_map.entries.get(name)
        named.append(
            NamedNode(
                name=name,
                found_xy=(working.to_full(found[0]), working.to_full(found[1])),
                predicted_xy=(working.to_full(predicted[0]), working.to_full(predicted[1])),
                tissue_ratio=float(nodes.tissue[row, column]),
                is_expected=is_expected,
                in_scan=bool(nodes.in_scan[row, column]),
                label=None if entry is None else entry.score,
                source=PlaceSource.INFERRED if slide_map is None else PlaceSource.AUTO,
                pitch_px=pitch_px,
            )
        )
    return named
