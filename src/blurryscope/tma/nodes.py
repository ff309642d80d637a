"""A second look: what is at every node of the lattice, with a lower threshold than the first."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey, Rgb, optical_density
from blurryscope.tma.lattice import Lattice
from blurryscope.tma.tissue import TissueMap

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SEARCH_PITCHES = 0.2
"""How far from where the lattice says a faint core may lie; jitter is about 0.06."""
_TAKEN_PITCHES = 0.5
"""What lies this close to a core with a node of its own is that core."""
_SURE = 4.0
"""Nats: no single node is trusted further than odds of 55."""
_LEAST_RESPONSE = 0.10
_LEAST_OF_USUAL = 0.25
"""A response of this share of the usual one is as likely a core as dirt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTable:
    """What was seen at the nodes of a rectangle of lattice, as tables (row, column)."""

    predicted: Floats
    """(rows, columns, 2) where the lattice says that a core lies, x and y."""
    found: Floats
    """(rows, columns, 2) where the most tissue is near there."""
    tissue: Floats
    """Log-likelihood ratio of a core against none; 0 where nothing was scanned."""
    in_scan: NDArray[np.bool_]
    brown: Floats
    """Mean brown stain of the tissue, as optical density blue minus red; NaN without tissue."""
    middle_of_scan: tuple[float, float]
    """In rows and columns of these tables, not whole."""


def look_at_nodes(
    lattice: Lattice,
    spots_xy: Floats,
    tissue_map: TissueMap,
    response: Grey,
    margin: int,
) -> NodeTable:
    """Look at all nodes from the outermost ones found to `margin` rows and columns beyond."""
    columns, rows = lattice.growth.nodes.T
    row_steps = np.arange(rows.min() - margin, rows.max() + margin + 1)
    column_steps = np.arange(columns.min() - margin, columns.max() + margin + 1)
    grid = np.stack(np.meshgrid(column_steps, row_steps), axis=-1)
    predicted = lattice.nodes(grid.reshape(-1, 2))
    in_scan = _in_scan(predicted, tissue_map)
    found, strength = highest_near(
        predicted, response, _SEARCH_PITCHES * lattice.nodes.vectors.pitch_px
    )
    at = (rows - row_steps[0]) * len(column_steps) + (columns - column_steps[0])
    spots = spots_xy[lattice.growth.spots]
    found[at] = spots
    strength[at] = _values_at(response, spots)
    in_scan[at] = True
    usual = float(np.median(strength[at]))
    is_twice = _taken(found, at, _TAKEN_PITCHES * lattice.nodes.vectors.pitch_px)
    found[is_twice], strength[is_twice] = predicted[is_twice], 0.0
    shape = (len(row_steps), len(column_steps))
    middle = lattice.nodes.inverse(np.array([response.shape[::-1]]) / 2.0)[0]
    return NodeTable(
        predicted=predicted.reshape(*shape, 2),
        found=found.reshape(*shape, 2),
        tissue=np.where(in_scan, core_against_none(strength, usual), 0.0).reshape(shape),
        in_scan=in_scan.reshape(shape),
        brown=np.full(shape, np.nan),
        middle_of_scan=(float(middle[1] - row_steps[0]), float(middle[0] - column_steps[0])),
    )


def _taken(found: Floats, spot_rows: Ints, reach_px: float) -> NDArray[np.bool_]:
    """Which nodes found, on the second look, nothing but the spot of another node."""
    spots = found[spot_rows]
    is_taken = np.array(
        [((spots - place) ** 2).sum(axis=1).min() < reach_px**2 for place in found], bool
    )
    is_taken[spot_rows] = False
    return is_taken


def core_against_none(strength: Floats, usual: float) -> Floats:
    """Log-likelihood ratio of a core, by its response and that of the usual core."""
    even = max(_LEAST_RESPONSE, _LEAST_OF_USUAL * usual)
    return np.asarray(np.clip((strength - even) / (0.25 * even), -_SURE, _SURE))


def _in_scan(xy: Floats, tissue_map: TissueMap) -> NDArray[np.bool_]:
    rows, columns = tissue_map.scanned.shape
    x, y = np.rint(xy).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
    inside[inside] = tissue_map.scanned[y[inside], x[inside]]
    return np.asarray(inside)


def _values_at(picture: Grey, xy: Floats) -> Floats:
    rows, columns = picture.shape
    x, y = np.rint(xy).astype(int).T
    return np.asarray(picture[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)], np.float64)


def highest_near(xy: Floats, response: Grey, reach_px: float) -> tuple[Floats, Floats]:
    """The place of the highest response within reach of each node, and its height."""
    reach = max(int(reach_px), 1)
    steps = np.arange(-reach, reach + 1)
    dx, dy = (step.ravel() for step in np.meshgrid(steps, steps))
    near = np.hypot(dx, dy) <= reach
    dx, dy = dx[near], dy[near]
    rows, columns = response.shape
    x, y = np.rint(xy).astype(int).T
    all_x, all_y = x[:, None] + dx, y[:, None] + dy
    inside = (all_x >= 0) & (all_y >= 0) & (all_x < columns) & (all_y < rows)
    values = response[np.clip(all_y, 0, rows - 1), np.clip(all_x, 0, columns - 1)]
    values = np.where(inside, values, 0.0)
    best = np.argmax(values, axis=1)
    each = np.arange(len(xy))
    found = np.stack([all_x[each, best], all_y[each, best]], axis=1).astype(np.float64)
    strength = values[each, best].astype(np.float64)
    return np.where(strength[:, None] > 0, found, xy), strength


def with_brown_stain(
    table: NodeTable, rgb: Rgb, white: Floats, tissue_map: TissueMap, diameter_px: float
) -> NodeTable:
    """Add how brown the tissue at each node is.

    Blue light minus red light absorbed: brown (DAB) is positive, blue (haematoxylin) negative.
    """
    od = optical_density(rgb, white)
    stain = od[..., 2] - od[..., 0]
    reach = max(int(0.4 * diameter_px), 1)
    brown = np.full(table.tissue.shape, np.nan)
    for row, column in zip(*np.nonzero(table.tissue > 0), strict=True):
        x, y = np.rint(table.found[row, column]).astype(int)
        here = np.s_[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        weight = tissue_map.tissue[here]
        if weight.sum() > 0:
            brown[row, column] = float((weight * stain[here]).sum() / weight.sum())
    return replace(table, brown=brown)
