"""Names for all blocks of an array: one block for a plain array, several where a layout says so."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.array_layout import Layout, LayoutBlock
from blurryscope.artifacts.slide_map import SlideMap, layout_or_none
from blurryscope.artifacts.tissue_cores import PlaceSource
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.tma.blocks import block_of_spots
from blurryscope.tma.doubts import doubts_about
from blurryscope.tma.lattice import Lattice, fit_lattice
from blurryscope.tma.layout import own_map, whole_map
from blurryscope.tma.measure import NamedNode
from blurryscope.tma.naming import Naming, named_by_grid, named_by_map
from blurryscope.tma.nodes import NodeTable, look_at_nodes, with_brown_stain
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.sight import SlideSight
from blurryscope.tma.tissue import Spots

_UPRIGHT = Orientation.AS_SCANNED
_TURNS = tuple(turn for turn in Orientation if not turn.is_mirrored)
_HALF_TURN: dict[Orientation | None, tuple[Orientation, ...]] = {
    Orientation.AS_SCANNED: (Orientation.TURNED_180,),
    Orientation.TURNED_180: (Orientation.AS_SCANNED,),
    Orientation.TURNED_90: (Orientation.TURNED_270,),
    Orientation.TURNED_270: (Orientation.TURNED_90,),
}
"""What a slide put in the wrong way round looks like: tried too where a person said how it lies."""
_ALARM = 3.0
"""Nats by which it must fit better to doubt that person."""


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
    layout = layout_or_none(settings.layout, slide_map)
    if layout is None:
        return [_plain_block(sight, lattice, slide_map, settings)]
    listed = whole_map(layout, slide_map)
    if len(layout.blocks) == 1:
        return [_only_block(sight, lattice, layout.blocks[0], listed, settings)]
    _refuse_moved(settings)
    every = replace(lattice, growth=lattice.joined)  # gaps need not be whole pitches wide
    return _blocks_in_best_turn(sight, every, layout, listed, settings)


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


def _only_block(
    sight: SlideSight,
    lattice: Lattice,
    block: LayoutBlock,
    slide_map: SlideMap,
    settings: TmaSettings,
) -> NamedBlock:
    """An array of one block, which may lie in any orientation, as one without a layout."""
    listed = own_map(block, slide_map)
    if listed is None:
        raise InputError("the map", "lists no core of the layout", "Check --map and --layout")
    nodes = _nodes_of(sight, lattice, sight.spots, max(listed.rows, listed.columns))
    doubts = doubts_about(lattice, sight.spots)
    naming = named_by_map(nodes, listed, settings, doubts, block.name_at)
    named = _named_nodes(nodes, naming, listed, lattice, sight)
    return _in_labs_names(block, lattice, naming, named, naming.reasons)


def _blocks_in_best_turn(
    sight: SlideSight,
    lattice: Lattice,
    layout: Layout,
    slide_map: SlideMap,
    settings: TmaSettings,
) -> list[NamedBlock]:
    """The blocks in the orientation told, or in the likeliest; asks where another is as likely."""
    told = settings.orientation
    allowed = _TURNS if told is None else (told,)
    tried: dict[Orientation, list[NamedBlock]] = {}
    refused: list[InputError] = []
    for turn in dict.fromkeys((*allowed, *_HALF_TURN.get(told, ()))):
        turned = layout.turned(turn.quarter_turns, is_mirrored=turn.is_mirrored)
        try:
            tried[turn] = _layout_blocks(sight, lattice, turned, slide_map, settings)
        except InputError as error:
            if turn in allowed:
                refused.append(error)
    evidence = {
        turn: sum(block.naming.evidence for block in blocks) for turn, blocks in tried.items()
    }
    fitting = [turn for turn in allowed if turn in tried]
    if not fitting:
        raise refused[0]
    best = max(fitting, key=lambda turn: evidence[turn])
    lead = evidence[best] - max(
        (evidence[turn] for turn in tried if turn is not best), default=-np.inf
    )
    if told is not None:
        lead += settings.least_margin + _ALARM  # a person's word: only much better ones count
    return [_judged(block, best, lead, settings) for block in tried[best]]


def _judged(block: NamedBlock, turn: Orientation, lead: float, settings: TmaSettings) -> NamedBlock:
    """A block as it lies, and how far its orientation leads; a small lead is a reason to ask."""
    reasons = block.reasons
    if lead < settings.least_margin and settings.place is None:
        reasons = (
            *reasons,
            f"The blocks fit nearly as well, or better, turned otherwise than {turn} "
            "(say how the slide lies with --orientation)",
        )
    naming = replace(block.naming, orientation=turn, margin=min(block.naming.margin, float(lead)))
    return replace(block, naming=naming, reasons=reasons)


def _layout_blocks(
    sight: SlideSight,
    lattice: Lattice,
    layout: Layout,
    slide_map: SlideMap,
    settings: TmaSettings,
) -> list[NamedBlock]:
    """All blocks of a layout that is stated as the scan shows it."""
    numbers = block_of_spots(layout, lattice, sight.spots)
    upright = replace(settings, orientation=_UPRIGHT)
    named = [
        _layout_block(sight, numbers == number, (layout, number), slide_map, upright)
        for number in range(len(layout.blocks))
    ]
    return [block for block in named if block is not None]


def _layout_block(
    sight: SlideSight,
    own: NDArray[np.bool_],
    at: tuple[Layout, int],
    slide_map: SlideMap,
    settings: TmaSettings,
) -> NamedBlock | None:
    """Fit one block to its own spots; None where the map lists none of its cores."""
    layout, number = at
    block = layout.blocks[number]
    listed = own_map(block, slide_map)
    if listed is None:
        return None
    title = f"Block {number + 1}"
    if not own.any():
        raise InputError(
            "the slide", f"shows no core of {title.lower()}", "Check map, layout and scan"
        )
    spots = Spots(xy_px=sight.spots.xy_px[own], response=sight.spots.response[own])
    lattice = fit_lattice(spots.xy_px, spots.response, sight.diameter_px)
    nodes = _nodes_of(sight, lattice, spots, max(listed.rows, listed.columns))
    nodes = _without_other_blocks(nodes, sight.spots, own)
    naming = named_by_map(nodes, listed, settings, doubts_about(lattice, spots), block.name_at)
    reasons = tuple(f"{title}: {reason}" for reason in naming.reasons)
    named = _named_nodes(nodes, naming, listed, lattice, sight)
    return _in_labs_names(block, lattice, naming, named, reasons)


def _in_labs_names(
    block: LayoutBlock,
    lattice: Lattice,
    naming: Naming,
    named: Sequence[NamedNode],
    reasons: tuple[str, ...],
) -> NamedBlock:
    """A block whose names were counted within it, under the names that the lab gives."""
    names = block.names()
    return NamedBlock(
        lattice=lattice,
        naming=naming,
        nodes=tuple(replace(node, name=block.name_at(node.name)) for node in named),
        first=CoreName(min(name.row for name in names), min(name.column for name in names)),
        last=CoreName(max(name.row for name in names), max(name.column for name in names)),
        reasons=reasons,
    )


def _refuse_moved(settings: TmaSettings) -> None:
    if settings.place not in {None, (0, 0)}:
        raise InputError(
            "--place",
            "can only confirm (0,0) an array of several blocks",
            "Change the rows and columns of the layout instead",
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
