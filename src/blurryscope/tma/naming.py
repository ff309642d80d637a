"""Which core has which name, how sure that is, and what a person should be asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.slide_map import SlideMap
from blurryscope.artifacts.tissue_cores import Candidate
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.tma.nodes import NodeTable
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.outside import NodeOutside, nodes_outside
from blurryscope.tma.placement import Placement, all_placements, names_of_nodes
from blurryscope.tma.reasons import (
    SURE,
    better_turns,
    reasons_of_map,
    reasons_of_margin,
    reasons_of_outside,
    reasons_of_places,
    reasons_of_turns,
)
from blurryscope.tma.settings import TmaSettings

_TURNS = tuple(turn for turn in Orientation if not turn.is_mirrored)
_MOST_MARGIN = 999.0
"""Stands for: no other placement is possible."""
_CANDIDATE_COUNT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSeen:
    """A place of the map as one candidate puts it on the slide."""

    xy: tuple[float, float]
    """In the picture that the nodes were looked for in."""
    is_expected: bool
    """Whether the map lists a core there."""
    has_tissue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A candidate with the places that it gives, for a person to choose from."""

    candidate: Candidate
    places: Mapping[CoreName, PlaceSeen]
    unnamed_count: int
    """Pieces of tissue on the lattice that get no name of a core in the map."""
    outside: tuple[NodeOutside, ...]
    """Those of them that lie beyond the rows and columns of the map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Names for nodes. Not confirmed as long as `reasons` says why a person should look."""

    places: Mapping[CoreName, tuple[int, int]]
    """(row, column) of the node table."""
    rows: int
    columns: int
    orientation: Orientation
    margin: float
    evidence: float
    """Nats by which this explains the tissue better than calling all of it debris."""
    reasons: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    """The likeliest placements; the one taken comes first."""
    is_by_map: bool
    outside: tuple[NodeOutside, ...] = ()
    """Sure cores beyond the rows and columns of the map; they have no name."""

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(alternative.candidate for alternative in self.alternatives)


def named_by_grid(nodes: NodeTable) -> Naming:
    """Count rows and columns as they are seen; such names are no lab's."""
    seen = nodes.tissue > 0
    rows, columns = (_well_filled(seen.sum(axis=axis)) for axis in (1, 0))
    return Naming(
        places={
            CoreName(row - rows.start, column - columns.start): (row, column)
            for row in rows
            for column in columns
            if seen[row, column]
        },
        rows=len(rows),
        columns=len(columns),
        orientation=Orientation.AS_SCANNED,
        margin=0.0,
        evidence=0.0,
        reasons=("There was no map: names count the rows and columns seen, they are no lab's",),
        alternatives=(),
        is_by_map=False,
    )


def _well_filled(counts: NDArray[np.int_]) -> range:
    """From the first to the last line that holds more than a stray piece."""
    enough = np.flatnonzero(counts >= max(0.2 * np.median(counts[counts > 0]), 1))
    return range(int(enough[0]), int(enough[-1]) + 1)


def named_by_map(
    nodes: NodeTable,
    slide_map: SlideMap,
    settings: TmaSettings,
    doubts: Sequence[str] = (),
    lab_name: Callable[[CoreName], CoreName] = lambda name: name,
) -> Naming:
    """Lay the map onto the nodes in the likeliest way; ask where another is nearly as likely.

    `doubts` are reasons to ask that are known already; `lab_name` turns a name of `slide_map`
    into what a person should read.
    """
    fitting = _fitting_orientations(nodes, slide_map, _allowed_orientations(settings))
    every = _weighed(nodes, slide_map, tuple(Orientation), settings)
    placements = [placement for placement in every if placement.orientation in fitting]
    if not placements:
        raise _too_small(slide_map)
    best = _placed_by_hand(placements, settings.place)
    rivals = [placement for placement in placements if placement is not best]
    better = better_turns(best, [other for other in every if other.orientation not in fitting])
    margin = _margin(best, rivals)
    places = names_of_nodes(best, slide_map.rows, slide_map.columns)
    outside = nodes_outside(nodes, places, lab_name, SURE)
    reasons = (
        []
        if settings.place is not None
        else [
            *doubts,
            *reasons_of_margin(best, rivals, margin, settings.least_margin),
            *reasons_of_turns(best, better),
            *reasons_of_map(slide_map),
            *reasons_of_places(nodes, slide_map, places, lab_name),
            *reasons_of_outside(outside),
        ]
    )
    shown = [best, *better[:1], *rivals][:_CANDIDATE_COUNT]
    return Naming(
        places=places,
        rows=slide_map.rows,
        columns=slide_map.columns,
        orientation=best.orientation,
        margin=margin,
        evidence=best.score,
        reasons=tuple(reasons),
        alternatives=tuple(
            _alternative(nodes, slide_map, placement, _candidate(placement, best, every), lab_name)
            for placement in shown
        ),
        is_by_map=True,
        outside=tuple(outside),
    )


def _weighed(
    nodes: NodeTable,
    slide_map: SlideMap,
    orientations: tuple[Orientation, ...],
    settings: TmaSettings,
) -> list[Placement]:
    """Best first."""
    placements = all_placements(nodes, slide_map, orientations)
    if settings.uses_stain:
        return placements
    return [
        replace(placement, stain=0.0)
        for placement in sorted(placements, key=lambda p: -p.score_without_stain)
    ]


def _allowed_orientations(settings: TmaSettings) -> tuple[Orientation, ...]:
    if settings.orientation is not None:
        return (settings.orientation,)
    return tuple(Orientation) if settings.may_be_mirrored else _TURNS


def _fitting_orientations(
    nodes: NodeTable, slide_map: SlideMap, allowed: tuple[Orientation, ...]
) -> tuple[Orientation, ...]:
    """Those in which the slide has room for all rows and columns of the map."""
    room_rows = int(np.count_nonzero(nodes.in_scan.any(axis=1)))
    room_columns = int(np.count_nonzero(nodes.in_scan.any(axis=0)))
    fitting = tuple(
        turn for turn in allowed if _has_room((room_rows, room_columns), slide_map, turn)
    )
    if fitting:
        return fitting
    turned = (
        f" ({slide_map.columns} rows and {slide_map.rows} columns in the scan if {allowed[0]})"
        if all(turn.swaps_axes for turn in allowed)
        else ""
    )
    raise InputError(
        "the map",
        f"has {slide_map.rows} rows and {slide_map.columns} columns{turned}, but the scan has room "
        f"for {room_rows} rows and {room_columns} columns at the spacing of its cores",
        "Check that the map belongs to this slide, that the scan covers the whole array, and how "
        "the slide was turned (--orientation)",
    )


def _too_small(slide_map: SlideMap) -> InputError:
    return InputError(
        "the map",
        f"has {slide_map.rows} row{'s' * (slide_map.rows > 1)} and {slide_map.columns} "
        f"column{'s' * (slide_map.columns > 1)}, which cover too few of the cores seen",
        "Check that the map belongs to this slide, and that it lists the whole array",
    )


def _has_room(room: tuple[int, int], slide_map: SlideMap, turn: Orientation) -> bool:
    rows, columns = slide_map.rows, slide_map.columns
    needed = (columns, rows) if turn.swaps_axes else (rows, columns)
    return needed[0] <= room[0] and needed[1] <= room[1]


def _placed_by_hand(placements: list[Placement], place: tuple[int, int] | None) -> Placement:
    """The best placement, or the one that lies `place` rows and columns from it."""
    best = placements[0]
    if place is None:
        return best
    wanted = (best.orientation, best.top + place[0], best.left + place[1])
    for placement in placements:
        if (placement.orientation, placement.top, placement.left) == wanted:
            return placement
    raise InputError(
        "--place",
        f"{place[0]},{place[1]} leaves hardly any core with a name",
        "Look at cores/overview.png and count again; 0,0 leaves the names as they are",
    )


def _margin(best: Placement, others: list[Placement]) -> float:
    """Lead of the best placement without the help of stain; negative if stain overruled it."""
    leads = [best.score_without_stain - other.score_without_stain for other in others]
    return min([_MOST_MARGIN, *leads])


def _candidate(placement: Placement, best: Placement, every: Sequence[Placement]) -> Candidate:
    """`every` is best first."""
    of_its_turn = next(other for other in every if other.orientation is placement.orientation)
    return Candidate(
        orientation=placement.orientation,
        row_shift=placement.top - best.top,
        column_shift=placement.left - best.left,
        score=placement.score,
        presence=placement.presence,
        scan=placement.scan,
        stain=placement.stain,
        answer=(
            f"--orientation {placement.orientation} "
            f"--place {placement.top - of_its_turn.top},{placement.left - of_its_turn.left}"
        ),
    )


def _alternative(
    nodes: NodeTable,
    slide_map: SlideMap,
    placement: Placement,
    candidate: Candidate,
    lab_name: Callable[[CoreName], CoreName],
) -> Alternative:
    places = {}
    named_count = 0
    laid = names_of_nodes(placement, slide_map.rows, slide_map.columns)
    for name, at in laid.items():
        is_expected, has_tissue = slide_map.expects_tissue(name), bool(nodes.tissue[at] > 0)
        named_count += is_expected and has_tissue
        x, y = nodes.found[at] if has_tissue else nodes.predicted[at]
        places[lab_name(name)] = PlaceSeen(
            xy=(float(x), float(y)), is_expected=is_expected, has_tissue=has_tissue
        )
    return Alternative(
        candidate=candidate,
        places=places,
        unnamed_count=int(np.count_nonzero(nodes.tissue > 0)) - named_count,
        outside=tuple(nodes_outside(nodes, laid, lab_name, 0.0)),
    )
