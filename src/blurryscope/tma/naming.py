"""Which core has which name, how sure that is, and what a person should be asked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.slide_map import SlideMap
from blurryscope.artifacts.tissue_cores import Candidate
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.tma.nodes import NodeTable
from blurryscope.tma.placement import Orientation, Placement, all_placements, names_of_nodes
from blurryscope.tma.settings import TmaSettings

_TURNS = tuple(turn for turn in Orientation if not turn.is_mirrored)
_MOST_MARGIN = 999.0
"""Stands for: no other placement is possible."""
_ALARM = 3.0
"""Nats by which another orientation must fit better to raise an alarm."""
_CANDIDATE_COUNT = 5
_LEAST_FOUND_FRACTION = 0.5
_SURE = 2.5
"""Nats from which on a single place is called surely full or surely empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Names for nodes. Not confirmed as long as `reasons` says why a person should look."""

    places: Mapping[CoreName, tuple[int, int]]
    """(row, column) of the node table."""
    rows: int
    columns: int
    orientation: Orientation
    margin: float
    reasons: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    is_by_map: bool


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
        reasons=("There was no map: names count the rows and columns seen, they are no lab's",),
        candidates=(),
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
    allowed = _allowed_orientations(settings)
    fitting = _fitting_orientations(nodes, slide_map, allowed)
    placements = all_placements(nodes, slide_map, fitting)
    if not settings.uses_stain:
        placements.sort(key=lambda placement: -placement.score_without_stain)
    best = _placed_by_hand(placements, settings.place)
    margin = _margin(best, [other for other in placements if other is not best])
    places = names_of_nodes(best, slide_map.rows, slide_map.columns)
    others = [turn for turn in _TURNS if turn not in fitting]
    turned = all_placements(nodes, slide_map, tuple(others)) if settings.uses_stain else []
    reasons = (
        []
        if settings.place is not None
        else [
            *doubts,
            *_reasons_of_margin(best, placements, margin, settings.least_margin),
            *_reasons_of_turns(best, turned),
            *_reasons_of_map(slide_map),
            *_reasons_of_places(nodes, slide_map, places, lab_name),
        ]
    )
    return Naming(
        places=places,
        rows=slide_map.rows,
        columns=slide_map.columns,
        orientation=best.orientation,
        margin=margin,
        reasons=tuple(reasons),
        candidates=tuple(_candidate(p, best) for p in placements[:_CANDIDATE_COUNT]),
        is_by_map=True,
    )


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
    raise InputError(
        "the map",
        f"has {slide_map.rows} rows and {slide_map.columns} columns, but the scan has room for "
        f"{room_rows} rows and {room_columns} columns at the spacing of its cores",
        "Check that the map belongs to this slide, that the scan covers the whole array, and how "
        "the slide was turned (--orientation)",
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


def _reasons_of_margin(
    best: Placement, placements: list[Placement], margin: float, least: float
) -> list[str]:
    if margin >= least:
        return []
    others = [placement for placement in placements if placement is not best]
    rival = max(others, key=lambda placement: placement.score_without_stain)
    by_stain = (
        ", and what decides between them is only the brown stain against the map's scores"
        if best.stain - rival.stain > max(margin, 0.0) + 0.5
        else ""
    )
    return [
        f"The cores fit the map nearly as well {_move(best, rival)} "
        f"(margin {margin:.1f}, wanted {least:.1f}){by_stain}"
    ]


def _move(best: Placement, rival: Placement) -> str:
    down, right = rival.top - best.top, rival.left - best.left
    moves = [
        f"{abs(steps)} {line}{'s' if abs(steps) > 1 else ''} {ahead if steps > 0 else back}"
        for steps, line, ahead, back in (
            (down, "row", "down", "up"),
            (right, "column", "right", "left"),
        )
        if steps
    ]
    if rival.orientation is not best.orientation:
        return f"with the array {rival.orientation}"
    return f"with all names moved {' and '.join(moves)}"


def _reasons_of_turns(best: Placement, turned: list[Placement]) -> list[str]:
    better = [other for other in turned if other.score > best.score + _ALARM]
    if not better:
        return []
    return [
        f"The cores and their stain fit the map better with the array {better[0].orientation} "
        f"(by {better[0].score - best.score:.1f}); was the slide put in turned?"
    ]


def _reasons_of_map(slide_map: SlideMap) -> list[str]:
    """A list that starts at row B fits as well one row off: nothing on a slide tells rows' names.

    Places that the map itself calls empty are listed, and tell.
    """
    lines = (
        ("row A", min(name.row for name in slide_map.entries)),
        ("column 1", min(name.column for name in slide_map.entries)),
    )
    return [
        f"The map says nothing of {line}: was a line added to it or taken from it?"
        for line, first in lines
        if first > 0
    ]


def _reasons_of_places(
    nodes: NodeTable,
    slide_map: SlideMap,
    places: Mapping[CoreName, tuple[int, int]],
    lab_name: Callable[[CoreName], CoreName],
) -> list[str]:
    wanted = [name for name in places if slide_map.expects_tissue(name)]
    found = [name for name in wanted if nodes.tissue[places[name]] > 0]
    outside = [name for name in wanted if not nodes.in_scan[places[name]]]
    extra = [
        name
        for name in places
        if not slide_map.expects_tissue(name) and nodes.tissue[places[name]] > _SURE
    ]
    reasons = []
    if len(found) < _LEAST_FOUND_FRACTION * len(wanted):
        reasons.append(f"Only {len(found)} of {len(wanted)} cores of the map were found")
    if outside:
        reasons.append(f"The scan has no room for {_listed(map(lab_name, outside))}")
    if extra:
        reasons.append(
            f"Tissue lies where the map has no core ({_listed(map(lab_name, extra))}): "
            "is it the map of this slide?"
        )
    return reasons


def _listed(names: Iterable[CoreName]) -> str:
    every = [str(name) for name in sorted(names)]
    first = ", ".join(every[:8])
    return first if len(every) <= 8 else f"{first} and {len(every) - 8} more"


def _candidate(placement: Placement, best: Placement) -> Candidate:
    return Candidate(
        orientation=placement.orientation,
        row_shift=placement.top - best.top,
        column_shift=placement.left - best.left,
        score=placement.score,
        presence=placement.presence,
        scan=placement.scan,
        stain=placement.stain,
    )
