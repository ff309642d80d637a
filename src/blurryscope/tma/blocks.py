"""Which spots belong to which block of the layout: the array is cut along its gaps."""

from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.array_layout import Layout
from blurryscope.basics.errors import InputError
from blurryscope.tma.doubts import seams
from blurryscope.tma.lattice import Lattice
from blurryscope.tma.tissue import Spots

Ints = NDArray[np.int64]

_UNEVEN_PITCHES = 0.2
"""A seam this much off the pitch is worth as much as a block that is one column off its width."""
_LEAST_PAIRS = 3


def block_of_spots(layout: Layout, lattice: Lattice, spots: Spots) -> Ints:
    """(n,) the number of the block that each spot belongs to.

    `lattice` is one lattice over all blocks, grown across the gaps: it may count a gap wrongly,
    but it keeps rows and columns of one block together. Raises `InputError` where the slide shows
    too few rows or columns to hold the blocks.
    """
    columns = _groups(layout, lattice, spots, 0)
    rows = _groups(layout, lattice, spots, 1)
    number_at = {block.at: number for number, block in enumerate(layout.blocks)}
    blocks = np.array(
        [
            number_at.get((int(row), int(column)), -1)
            for row, column in zip(rows, columns, strict=True)
        ]
    )
    nearest = _nearest_on_lattice(lattice, spots)
    return np.asarray(blocks[nearest], np.int64)


def _nearest_on_lattice(lattice: Lattice, spots: Spots) -> Ints:
    """For each spot the closest of those that have a node, as an index into `growth.spots`."""
    known = spots.xy_px[lattice.growth.spots]
    distance = np.hypot(*(spots.xy_px[:, None] - known[None]).transpose(2, 0, 1))
    return np.asarray(np.argmin(distance, axis=1), np.int64)


def _groups(layout: Layout, lattice: Lattice, spots: Spots, axis: Literal[0, 1]) -> Ints:
    """The column (axis 0) or row (axis 1) of the grid of blocks for each spot with a node."""
    wanted = _wanted_widths(layout, axis)
    lines = lattice.growth.nodes[:, axis]
    if len(wanted) == 1:
        return np.zeros(len(lines), np.int64)
    occupied = np.unique(lines)
    if len(occupied) < len(wanted):
        raise InputError(
            "the layout",
            f"has {len(wanted)} blocks in a line, but the slide shows {len(occupied)} "
            f"{'columns' if axis == 0 else 'rows'} only",
            "Check that the layout belongs to this slide",
        )
    seam_worth = _seam_worth(lattice, spots, axis)
    best = max(
        combinations(range(1, len(occupied)), len(wanted) - 1),
        key=lambda cuts: _worth(cuts, occupied, wanted, seam_worth),
    )
    starts = occupied[list(best)]
    return np.asarray(np.searchsorted(starts, lines, side="right"), np.int64)


def _wanted_widths(layout: Layout, axis: Literal[0, 1]) -> list[int]:
    """How many columns (rows) the blocks of each column (row) of the grid of blocks hold."""
    widths: dict[int, int] = {}
    for block in layout.blocks:
        place = block.at[1 - axis]
        width = len(block.columns if axis == 0 else block.rows)
        widths[place] = max(widths.get(place, 0), width)
    return [widths[place] for place in sorted(widths)]


def _seam_worth(lattice: Lattice, spots: Spots, axis: Literal[0, 1]) -> dict[int, float]:
    """How much speaks for a gap after each column (row)."""
    return {
        seam.after: min(abs(seam.shift_pitches) / _UNEVEN_PITCHES, 2.0)
        for seam in seams(lattice, spots, axis)
        if seam.pair_count >= _LEAST_PAIRS
    }


def _worth(
    cuts: tuple[int, ...], occupied: Ints, wanted: list[int], seam_worth: dict[int, float]
) -> float:
    edges = (0, *cuts, len(occupied))
    worth = 0.0
    for start, end, width in zip(edges[:-1], edges[1:], wanted, strict=True):
        worth -= abs(int(occupied[end - 1] - occupied[start]) + 1 - width)
    for cut in cuts:
        before, after = int(occupied[cut - 1]), int(occupied[cut])
        worth += seam_worth.get(before, 0.0) + (1.0 if after - before > 1 else 0.0)
    return worth
