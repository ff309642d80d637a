"""Signs that one even lattice does not describe the array: gaps, and cores that lie off it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from blurryscope.tma.lattice import Lattice
from blurryscope.tma.tissue import Spots

Floats = NDArray[np.float64]

_CORE_LIKE = 0.7
"""Of the usual response: debris and edges are weaker."""
_LEAST_OFF_LATTICE = 3
_MOST_OFF_LATTICE_FRACTION = 0.02
_UNEVEN_PITCHES = 0.3
_LEAST_PAIRS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Seam:
    """How much wider or narrower two neighbouring columns (or rows) lie than the pitch."""

    after: int
    """Node coordinate of the column (row) before it."""
    shift_pitches: float
    """Median over the pairs of cores across; positive is wider."""
    pair_count: int


def doubts_about(lattice: Lattice, spots: Spots) -> list[str]:
    """What a person should be told, as sentences; empty where one lattice describes all."""
    doubts = []
    off = _off_lattice_count(lattice, spots)
    if off >= max(_LEAST_OFF_LATTICE, _MOST_OFF_LATTICE_FRACTION * len(lattice.growth.spots)):
        doubts.append(f"{off} pieces of tissue as large as cores lie off the lattice")
    axes: tuple[tuple[Literal[0, 1], str], ...] = ((0, "columns"), (1, "rows"))
    for axis, lines in axes:
        uneven = [
            seam
            for seam in seams(lattice, spots, axis)
            if abs(seam.shift_pitches) > _UNEVEN_PITCHES and seam.pair_count >= _LEAST_PAIRS
        ]
        if uneven:
            worst = max(abs(seam.shift_pitches) for seam in uneven)
            doubts.append(
                f"{len(uneven)} pair{'s' if len(uneven) > 1 else ''} of neighbouring {lines} lie "
                f"up to {worst:.1f} pitches off the even spacing: does the array have blocks with "
                "gaps? Then state them with --layout"
            )
    return doubts


def _off_lattice_count(lattice: Lattice, spots: Spots) -> int:
    usual = float(np.median(spots.response[lattice.growth.spots]))
    is_off = np.ones(len(spots.response), bool)
    is_off[lattice.growth.spots] = False
    return int(np.count_nonzero(is_off & (spots.response > _CORE_LIKE * usual)))


def seams(lattice: Lattice, spots: Spots, axis: Literal[0, 1]) -> list[Seam]:
    """All seams between neighbouring columns (axis 0) or rows (axis 1), in order."""
    vector = lattice.nodes.vectors.matrix[axis]
    at = {
        (int(column), int(row)): spots.xy_px[spot]
        for (column, row), spot in zip(lattice.growth.nodes, lattice.growth.spots, strict=True)
    }
    shifts: dict[int, list[float]] = {}
    for node, here in at.items():
        for steps in (1, 2, 3):
            other = (node[0] + steps, node[1]) if axis == 0 else (node[0], node[1] + steps)
            if other in at:
                along = (at[other] - here) @ vector / (vector @ vector)
                shifts.setdefault(node[axis], []).append(float(along) - steps)
                break
    return [
        Seam(after=after, shift_pitches=float(np.median(values)), pair_count=len(values))
        for after, values in sorted(shifts.items())
    ]
