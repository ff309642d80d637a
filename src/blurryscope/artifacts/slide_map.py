"""The lab's map of a slide: which core lies where, and what score was read.

A map is a long list (a row a core), a sheet laid out like the array, or one of QuPath's files.
Nothing in it is guessed: a value outside the tables of spellings is listed with its cell and
refused.
"""

from dataclasses import replace
from pathlib import Path

from blurryscope.artifacts.array_layout import Layout
from blurryscope.artifacts.lab_map import MapEntry, MapForm, Reading, SlideMap
from blurryscope.artifacts.map_array import (
    read_array,
    read_case_cells,
    read_score_cells,
    slides_of_array,
)
from blurryscope.artifacts.map_cells import MapReading
from blurryscope.artifacts.map_headings import find_heading_row
from blurryscope.artifacts.map_list import read_list, slides_of_list
from blurryscope.artifacts.qupath_grid import map_of_grid, read_qpmap_sheet, read_qptma
from blurryscope.artifacts.score_words import Presence
from blurryscope.artifacts.sheet import Sheet, read_sheet, tabs_of

__all__ = [
    "MapEntry",
    "MapReading",
    "Presence",
    "Reading",
    "SlideMap",
    "layout_or_none",
    "read_slide_map",
    "slides_in_map",
]

_AS_IT_IS = MapReading()


def read_slide_map(path: Path, slide: str | None = None, how: MapReading = _AS_IT_IS) -> SlideMap:
    """Read a map from CSV, XLSX, `.qpmap` or `.qptma`.

    `slide` picks one where the file holds several: a `slide` column, a tab each, or arrays with
    their names above them. `how` says what the file cannot. An `InputError` names the cell, what
    is wrong and what to do.
    """
    if path.suffix.lower() == ".qptma":
        return map_of_grid(read_qptma(path), slide)
    if path.suffix.lower() == ".qpmap":
        return _with_form(read_array(read_qpmap_sheet(path), slide, read_case_cells))
    sheet = read_sheet(path, slide)
    heading_row = find_heading_row(sheet)
    if heading_row is not None:
        return read_list(sheet, heading_row, slide, how)
    return read_array(sheet, slide, read_score_cells)


def slides_in_map(path: Path) -> tuple[str, ...]:
    """Names of the slides that a file tells of, in order; empty where it names none."""
    if path.suffix.lower() in {".qptma", ".qpmap"}:
        return ()
    tabs = tabs_of(path) if path.is_file() else ()
    if len(tabs) > 1:
        return tabs
    return _slides_on(read_sheet(path))


def _slides_on(sheet: Sheet) -> tuple[str, ...]:
    heading_row = find_heading_row(sheet)
    if heading_row is not None:
        return slides_of_list(sheet, heading_row)
    return slides_of_array(sheet)


def _with_form(slide_map: SlideMap) -> SlideMap:
    return replace(slide_map, form=MapForm.QPMAP)


def layout_or_none(told: Layout | None, slide_map: SlideMap | None) -> Layout | None:
    """The layout that was told, else the one that the map itself shows."""
    return told if told is not None or slide_map is None else slide_map.layout
