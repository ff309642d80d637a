"""Cores on the lattice beyond the rows and columns of the map: no place of it explains them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.core_name import CoreName, row_letters
from blurryscope.tma.nodes import NodeTable

At = tuple[int, int]
"""(row, column) of the node table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOutside:
    """A node with tissue that has no name, since the map ends before it."""

    xy: tuple[float, float]
    """In the picture that the nodes were looked for in."""
    line: str
    """The outermost line of the map that it lies beyond, such as `row A`."""


def nodes_outside(
    nodes: NodeTable,
    places: Mapping[CoreName, At],
    lab_name: Callable[[CoreName], CoreName],
    least: float,
) -> list[NodeOutside]:
    """Nodes outside the rectangle of `places` where tissue is likelier than `least` nats."""
    is_outside = np.ones(nodes.tissue.shape, bool)
    is_outside[tuple(np.array(list(places.values())).T)] = False
    name_at = {at: lab_name(name) for name, at in places.items()}
    found = []
    for row, column in zip(*np.nonzero(is_outside & (nodes.tissue > least)), strict=True):
        x, y = nodes.found[row, column]
        line = _line_before((int(row), int(column)), name_at)
        found.append(NodeOutside(xy=(float(x), float(y)), line=line))
    return found


def lines_told(outside: Sequence[NodeOutside]) -> str:
    """`beyond row A: 3, beyond column 8: 1`, most first."""
    counts = Counter(node.line for node in outside)
    return ", ".join(f"beyond {line}: {count}" for line, count in counts.most_common())


def _line_before(at: At, name_at: Mapping[At, CoreName]) -> str:
    """The lab's row or column at the edge that a node lies beyond, whichever way the array lies."""
    least, most = _corners(name_at)
    edge = np.clip(at, least, most)
    beyond = edge - at
    axis = int(np.argmax(np.abs(beyond)))
    inward = edge.copy()
    inward[axis] += np.sign(beyond[axis])
    here, inner = name_at[_at(edge)], name_at.get(_at(inward))
    if inner is None:  # the map has but one such line
        return f"core {here}"
    is_row = inner.row != here.row
    return f"row {row_letters(here.row)}" if is_row else f"column {here.column + 1}"


def _corners(places: Iterable[At]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    every = np.array(list(places), np.int64)
    return every.min(axis=0), every.max(axis=0)


def _at(place: NDArray[np.int64]) -> At:
    return int(place[0]), int(place[1])
