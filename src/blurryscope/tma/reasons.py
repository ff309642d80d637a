"""Why a person should look at the names of a slide, as sentences."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from blurryscope.artifacts.slide_map import SlideMap
from blurryscope.basics.core_name import CoreName
from blurryscope.tma.nodes import NodeTable
from blurryscope.tma.outside import NodeOutside, lines_told
from blurryscope.tma.placement import Placement

_ALARM = 3.0
"""Nats by which an orientation that was not allowed must fit better to raise an alarm."""
_LEAST_FOUND_FRACTION = 0.5
SURE = 2.5
"""Nats from which on a single place is called surely full."""
_LEAST_OUTSIDE = 2
"""Cores beyond the map from which on it is asked about: a single one may be debris."""


def reasons_of_margin(
    best: Placement, rivals: Sequence[Placement], margin: float, least: float
) -> list[str]:
    """Another placement is nearly as likely."""
    if margin >= least:
        return []
    rival = max(rivals, key=lambda placement: placement.score_without_stain)
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


def better_turns(best: Placement, turned: Sequence[Placement]) -> list[Placement]:
    """Those that fit so much better that the slide seems to lie otherwise than it was told to."""
    return [other for other in turned if other.score > best.score + _ALARM]


def reasons_of_turns(best: Placement, better: Sequence[Placement]) -> list[str]:
    """The array seems to lie turned, or mirrored."""
    if not better:
        return []
    lay = "the wrong side up" if better[0].orientation.is_mirrored else "turned"
    return [
        f"The cores fit the map better with the array {better[0].orientation} "
        f"(by {better[0].score - best.score:.1f}); was the slide put in {lay}?"
    ]


def reasons_of_map(slide_map: SlideMap) -> list[str]:
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


def reasons_of_places(
    nodes: NodeTable,
    slide_map: SlideMap,
    places: Mapping[CoreName, tuple[int, int]],
    lab_name: Callable[[CoreName], CoreName],
) -> list[str]:
    """Cores that the map lists and the slide lacks, or the other way round."""
    wanted = [name for name in places if slide_map.expects_tissue(name)]
    found = [name for name in wanted if nodes.tissue[places[name]] > 0]
    outside = [name for name in wanted if not nodes.in_scan[places[name]]]
    extra = [
        name
        for name in places
        if not slide_map.expects_tissue(name) and nodes.tissue[places[name]] > SURE
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


def reasons_of_outside(outside: Sequence[NodeOutside]) -> list[str]:
    """A map that is a row or column short fits as well one line off, and every name with it."""
    if len(outside) < _LEAST_OUTSIDE:
        return []
    return [
        f"{len(outside)} cores lie outside the map's rows and columns ({lines_told(outside)}): "
        "was a row or column taken from it?"
    ]


def _listed(names: Iterable[CoreName]) -> str:
    every = [str(name) for name in sorted(names)]
    first = ", ".join(every[:8])
    return first if len(every) <= 8 else f"{first} and {len(every) - 8} more"
