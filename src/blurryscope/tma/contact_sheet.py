"""All cores of a slide in the array's own order, row A at the top, however the slide lay."""

from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from blurryscope.artifacts.array_layout import Layout
from blurryscope.artifacts.tissue_cores import CoreStatus, TissueCore
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import SlidePicture

_LONG_SIDE_PX = 3000
_CELL_PX = (72, 220)
_WORDS_FRACTION = 0.2
"""Of a cell, for the name below the picture."""
_GAP_FRACTION = 0.35
"""Of a cell, between two blocks."""
_CROP_DIAMETERS = 1.15
_FOOTER_PX = 50
_INK, _PALE, _PAPER = (40, 40, 40), (205, 205, 205), (255, 255, 255)
_COLOURS = {
    CoreStatus.OK: (30, 130, 60),
    CoreStatus.MISSING: (200, 30, 40),
    CoreStatus.EXTRA: (40, 90, 190),
}
_ATTENTION = (215, 120, 0)


def places_on_sheet(layout: Layout) -> dict[CoreName, tuple[float, float]]:
    """Where each name stands, (row, column) in cells from the top left, with gaps for blocks."""
    tops = _starts(layout, 0)
    lefts = _starts(layout, 1)
    return {
        block.name_at(place): (
            tops[block.at[0]] + place.row,
            lefts[block.at[1]] + place.column,
        )
        for block in layout.blocks
        for place in block.places()
    }


def _starts(layout: Layout, axis: int) -> dict[int, float]:
    """Where each row (or column) of blocks begins, in cells."""
    sizes: dict[int, int] = {}
    for block in layout.blocks:
        size = len(block.rows if axis == 0 else block.columns)
        sizes[block.at[axis]] = max(sizes.get(block.at[axis], 0), size)
    starts: dict[int, float] = {}
    at = 0.0
    for place in sorted(sizes):
        starts[place] = at
        at += sizes[place] + _GAP_FRACTION
    return starts


def draw_contact_sheet(found: Dearrayed, picture: SlidePicture, layout: Layout) -> Rgb:
    """Draw all places, (row, col, rgb) uint8: each core turned back upright, with its name.

    A missing core has an empty frame with a cross; a place that needs no core is left blank.
    """
    places = places_on_sheet(layout)
    rows = 1 + max(row for row, _ in places.values())
    columns = 1 + max(column for _, column in places.values())
    cell = round(float(np.clip(_LONG_SIDE_PX / max(rows, columns), *_CELL_PX)))
    size = (round(rows * cell) + 1, round(columns * cell) + 1)
    sheet = np.full((size[0] + _FOOTER_PX, size[1], 3), _PAPER, np.uint8)
    by_name: Mapping[CoreName, TissueCore] = {core.name: core for core in found.cores}
    for name, (row, column) in places.items():
        corner = (round(row * cell), round(column * cell))
        _draw_cell(sheet, corner, cell, name, by_name.get(name))
    for core in _with_tissue(by_name, places):
        row, column = places[core.name]
        corner = (round(row * cell), round(column * cell))
        _draw_core(sheet, corner, cell, _upright(found, picture, core, cell))
    for line, text in enumerate((summary(found), RESEARCH_USE_ONLY)):
        at = (6, size[0] + 20 * (line + 1))
        cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    return sheet


def summary(found: Dearrayed) -> str:
    """What a person should know before looking: how it lay, whose scores, what is not final."""
    missing = sum(not core.status.has_tissue for core in found.cores)
    told = [f"array {found.grid.orientation}", f"{len(found.cores)} places", f"{missing} missing"]
    if any(core.label is not None for core in found.cores):
        told.append("scores of the lab's map")
    if found.grid.needs_confirmation:
        told.append("NAMES ARE NOT CONFIRMED")
    return ", ".join(told)


def _with_tissue(
    cores: Mapping[CoreName, TissueCore], places: Iterable[CoreName]
) -> list[TissueCore]:
    known = set(places)
    return [core for name, core in cores.items() if core.status.has_tissue and name in known]


def _upright(found: Dearrayed, picture: SlidePicture, core: TissueCore, cell: int) -> Rgb:
    """The core at sheet size, white-balanced and turned back to how the array was designed."""
    want = _picture_side(cell)
    span_px = _CROP_DIAMETERS * max(core.diameter_px, found.grid.diameter_px)
    level = 0
    while level + 1 < picture.level_count and span_px / 2 ** (level + 1) >= want:
        level += 1
    side = max(round(span_px / 2**level), 2)
    top, left = (round((at + 0.5) / 2**level - side / 2) for at in (core.y_px, core.x_px))
    crop = found.white.apply(picture.read(top, left, (side, side), level))
    method = cv2.INTER_AREA if side >= want else cv2.INTER_LINEAR
    small = to_uint8(np.asarray(cv2.resize(crop, (want, want), interpolation=method)))
    orientation = Orientation(found.grid.orientation)
    turned = np.rot90(small, orientation.quarter_turns)
    return np.ascontiguousarray(np.fliplr(turned) if orientation.is_mirrored else turned)


def _picture_side(cell: int) -> int:
    return cell - round(_WORDS_FRACTION * cell) - 4


def _draw_core(sheet: Rgb, corner: tuple[int, int], cell: int, crop: Rgb) -> None:
    side = len(crop)
    top, left = corner[0] + 2, corner[1] + (cell - side) // 2
    sheet[top : top + side, left : left + side] = crop


def _draw_cell(
    sheet: Rgb, corner: tuple[int, int], cell: int, name: CoreName, core: TissueCore | None
) -> None:
    top, left = corner
    cv2.rectangle(sheet, (left, top), (left + cell, top + cell), _PALE, 1)
    if core is None:
        _write(sheet, (left, top + cell - 5), cell, str(name), _PALE)
        return
    colour = _COLOURS.get(core.status, _ATTENTION)
    if not core.status.has_tissue:
        side = _picture_side(cell)
        inset = (cell - side) // 2
        for start, end in (((0, 0), (side, side)), ((0, side), (side, 0))):
            cv2.line(
                sheet,
                (left + inset + start[0], top + 2 + start[1]),
                (left + inset + end[0], top + 2 + end[1]),
                colour,
                1,
                cv2.LINE_AA,
            )
    told = [str(name)]
    if core.label is not None:
        told.append(core.label.label)
    if core.status is not CoreStatus.OK:
        told.append(core.status)
    _write(sheet, (left, top + cell - 5), cell, " ".join(told), colour)


def _write(
    sheet: Rgb, corner: tuple[int, int], cell: int, text: str, colour: tuple[int, int, int]
) -> None:
    """Centred below the picture, as large as the cell allows."""
    scale = cell / 260.0
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    if width > cell - 6:
        scale *= (cell - 6) / width
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    at = (corner[0] + (cell - width) // 2, corner[1])
    cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
