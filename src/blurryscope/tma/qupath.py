"""A slide's cores as a grid for QuPath, and a grid that was corrected there as edits."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.array_layout import Layout, LayoutBlock
from blurryscope.artifacts.edit_log import Author, EditEntry
from blurryscope.artifacts.qupath_grid import GridCore, QuPathGrid
from blurryscope.artifacts.tissue_cores import CoreStatus, TissueCore
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.tma.edits import Table, move, set_status

Floats = NDArray[np.float64]

_MOVED_DIAMETERS = 0.05
"""Less is rounding, and what QuPath makes of a box."""


def grid_of_cores(
    cores: Sequence[TissueCore], layout: Layout, cases: Mapping[CoreName, str]
) -> QuPathGrid:
    """All places of the layout in its order; those without a core get the box where it would lie.

    Raises `InputError` where the blocks do not join to one grid, which is all that QuPath knows.
    """
    table = _joined(layout)
    by_name = {core.name: core for core in cores}
    usual_px = float(np.median([core.diameter_px for core in cores]))
    predicted = {
        name: xy for block in layout.blocks for name, xy in _predicted(block, by_name).items()
    }
    return QuPathGrid(
        width=len(table[0]),
        height=len(table),
        cores=tuple(
            _grid_core(
                layout.label(name), by_name.get(name), predicted[name], usual_px, cases.get(name)
            )
            for row in table
            for name in row
        ),
    )


def _joined(layout: Layout) -> list[list[CoreName]]:
    """Names of all blocks as one table, row by row."""
    by_place = {block.at: block for block in layout.blocks}
    downs = sorted({down for down, _ in by_place})
    rights = sorted({right for _, right in by_place})
    table: list[list[CoreName]] = []
    for down in downs:
        blocks = [by_place.get((down, right)) for right in rights]
        line = [block for block in blocks if block is not None]
        heights = {len(block.rows) for block in line}
        if len(line) < len(rights) or len(heights) > 1:
            raise _unjoinable()
        table += [_row_of_blocks(line, row) for row in range(heights.pop())]
    if len({len(row) for row in table}) > 1:
        raise _unjoinable()
    return table


def _row_of_blocks(blocks: Sequence[LayoutBlock], row: int) -> list[CoreName]:
    return [
        block.name_at(CoreName(row, column))
        for block in blocks
        for column in range(len(block.columns))
    ]


def _unjoinable() -> InputError:
    return InputError(
        "the layout",
        "has blocks that do not join to one grid, and QuPath knows no other",
        "Export the blocks one by one",
    )


def _predicted(
    block: LayoutBlock, cores: Mapping[CoreName, TissueCore]
) -> dict[CoreName, tuple[float, float]]:
    """Where each place of a block lies: its core, or the plane through those of the block."""
    places = [(place, block.name_at(place)) for place in block.places()]
    known = [(place, cores[name]) for place, name in places if name in cores]
    steps = np.array([(1, place.column, place.row) for place, _ in known], np.float64)
    xy = np.array([(core.x_px, core.y_px) for _, core in known], np.float64)
    if not known:
        raise InputError("the slide", "shows no core of a block", "Export without that block")
    plane = np.asarray(np.linalg.lstsq(steps, xy, rcond=None)[0], np.float64)
    return {name: _xy(np.array([1.0, place.column, place.row]) @ plane) for place, name in places}


def _xy(point: Floats) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _grid_core(
    label: str,
    core: TissueCore | None,
    predicted_xy: tuple[float, float],
    usual_px: float,
    case: str | None,
) -> GridCore:
    x_px, y_px = predicted_xy if core is None else (core.x_px, core.y_px)
    diameter_px = usual_px if core is None else core.diameter_px
    return GridCore(
        label=label,
        left_px=x_px + 0.5 - diameter_px / 2,
        top_px=y_px + 0.5 - diameter_px / 2,
        width_px=diameter_px,
        height_px=diameter_px,
        is_present=core is not None and core.status.has_tissue,
        case=case,
    )


def edits_of_grid(grid: QuPathGrid, table: Table, author: Author) -> list[EditEntry]:
    """What was moved, found or called missing in QuPath against `table`."""
    try:
        names = grid.names()
    except ValueError as error:
        raise InputError("the grid", str(error), "Keep the names that were exported") from error
    if unknown := sorted(set(names) - table.names):
        raise InputError("the grid", f"names {unknown[0]}, no place of this array", "Export again")
    entries: list[EditEntry] = []
    for name, core in zip(names, grid.cores, strict=True):
        entries += _edits_of_core(name, core, table, author)
    return entries


def _edits_of_core(name: CoreName, core: GridCore, table: Table, author: Author) -> list[EditEntry]:
    before = table.cores.get(name)
    was_there = before is not None and before.status.has_tissue
    if not core.is_present:
        return [set_status(table, name, CoreStatus.MISSING, author)] if was_there else []
    x_px, y_px = core.centre_px
    reach_px = _MOVED_DIAMETERS * table.diameter_px
    if was_there and before is not None and _away(before, x_px, y_px) < reach_px:
        return []
    return [move(table, name, (x_px, y_px), author)]


def _away(core: TissueCore, x_px: float, y_px: float) -> float:
    return float(np.hypot(core.x_px - x_px, core.y_px - y_px))
