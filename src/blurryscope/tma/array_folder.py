"""`array/`: what a slide's array is, by map and layout, in the array's own order."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from blurryscope.artifacts.array_layout import Layout, LayoutBlock, PlaceKind, SpecialPlace
from blurryscope.artifacts.core_labels import AxisLabels
from blurryscope.artifacts.lab_map import SlideMap
from blurryscope.artifacts.layout_file import read_layout, write_layout
from blurryscope.artifacts.map_table import read_map_table, write_differences, write_map_table
from blurryscope.artifacts.qupath_grid import write_qpmap, write_qptma
from blurryscope.artifacts.repeat_folders import repeat_folder
from blurryscope.artifacts.score_words import Presence
from blurryscope.artifacts.tissue_cores import (
    CoreGrid,
    read_core_grid,
    read_tissue_cores,
    write_tissue_cores,
)
from blurryscope.artifacts.whole import present_folder, whole_folder
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.tma.contact_sheet import draw_contact_sheet
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.layout import inferred_layout, whole_map
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import SlidePicture
from blurryscope.tma.qupath import grid_of_cores

FOLDER = "array"
TABLE, SHEET, LAYOUT, MAP, DIFFERENCES = (
    "cores.csv", "contact-sheet.png", "layout.toml", "map.csv", "differences.csv",
)  # fmt: skip
"""`cores.csv` here is the table as the program last wrote it: what was changed by hand shows."""


def used_layout(told: Layout | None, slide_map: SlideMap | None, found: Dearrayed) -> Layout:
    """The layout that the names follow, with the sizes found on the slide.

    Places that the map leaves out, and where no tissue was seen, are empty from now on.
    """
    grid = found.grid
    layout = Layout((_even_block(grid),)) if told is None else told
    if slide_map is not None:
        layout = _with_empty_places(told or inferred_layout(slide_map), slide_map, found)
    if grid.pixel_size_um is None:
        return layout
    pitch = tuple(round(pitch_px * grid.pixel_size_um, 1) for pitch_px in grid.pitch_px)
    along, down = pitch[::-1] if Orientation(grid.orientation).swaps_axes else pitch
    return replace(
        layout,
        core_diameter_um=layout.core_diameter_um or round(grid.diameter_px * grid.pixel_size_um, 1),
        pitch_um=layout.pitch_um or (along, down),
    )


def _with_empty_places(layout: Layout, slide_map: SlideMap, found: Dearrayed) -> Layout:
    seen = {core.name for core in found.cores if core.status.has_tissue}
    told = {place.name: place for place in layout.special if place.kind is not PlaceKind.EMPTY}
    unlisted = [
        name
        for name in sorted(layout.names())
        if name not in told and name not in seen and _is_left_out(slide_map, name)
    ]
    empty = (SpecialPlace(name=name, kind=PlaceKind.EMPTY) for name in unlisted)
    return replace(layout, special=(*empty, *told.values()))


def _is_left_out(slide_map: SlideMap, name: CoreName) -> bool:
    entry = slide_map.entries.get(name)
    return entry is None or entry.presence is Presence.EMPTY


def _even_block(grid: CoreGrid) -> LayoutBlock:
    return LayoutBlock(
        row_labels=AxisLabels(numbers=tuple(range(grid.rows)), is_lettered=True),
        column_labels=AxisLabels(numbers=tuple(range(grid.columns)), is_lettered=False),
        at=(0, 0),
    )


def write_array(
    found: Dearrayed,
    picture: SlidePicture,
    out_dir: Path,
    *,
    slide_map: SlideMap | None,
    layout: Layout | None,
) -> None:
    """Write `array/` whole: contact sheet, layout, the map as read, and where the slide differs."""
    used = used_layout(layout, slide_map, found)
    listed = slide_map if slide_map is None or layout is None else whole_map(layout, slide_map)
    with whole_folder(out_dir / FOLDER) as folder:
        write_layout(folder / LAYOUT, used)
        if listed is not None:
            told = replace(listed, rule=None if slide_map is None else slide_map.rule)
            write_map_table(folder / MAP, told)
        _write_slide(folder, found, picture, used)


def write_array_again(
    found: Dearrayed, picture: SlidePicture, out_dir: Path, layout: Layout
) -> None:
    """Write `array/` after an edit: layout and map are those of before."""
    old = out_dir / FOLDER
    kept: Mapping[str, bytes] = {
        name: (old / name).read_bytes() for name in (LAYOUT, MAP) if (old / name).is_file()
    }
    with whole_folder(old) as folder:
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        _write_slide(folder, found, picture, layout)


def _write_slide(folder: Path, found: Dearrayed, picture: SlidePicture, layout: Layout) -> None:
    if (folder / MAP).is_file():
        listed = read_map_table(folder / MAP)
        write_differences(folder / DIFFERENCES, listed, found.cores, found.grid.outside)
    sheet = draw_contact_sheet(found, picture, layout)
    encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1]
    (folder / SHEET).write_bytes(np.asarray(encoded).tobytes())
    write_tissue_cores(folder / TABLE, found.cores)


def confirmed_layout(slide_dir: Path) -> Layout:
    """The layout of a slide whose names are final; an `InputError` says what is still open.

    Of a slide with repeats it is that of the first.
    """
    folder = _named_folder(slide_dir)
    grid = read_core_grid(folder / "cores.json")
    if grid.needs_confirmation:
        reason = grid.reasons[0] if grid.reasons else "its placement was not proven"
        raise InputError(
            folder, f"has names that are not confirmed: {reason}", "Answer with --place first"
        )
    return read_layout(folder / FOLDER / LAYOUT)


def write_for_qupath(slide_dir: Path, out: Path) -> None:
    """Write the grid (`.qptma`) or the case numbers (`.qpmap`) of a slide for QuPath."""
    folder = _named_folder(slide_dir)
    layout = read_layout(folder / FOLDER / LAYOUT)
    listed = folder / FOLDER / MAP
    told = read_map_table(listed) if listed.is_file() else {}
    cases = {name: case for name, (_, case) in told.items()}
    if out.suffix.lower() == ".qpmap":
        write_qpmap(out, layout, cases)
    elif out.suffix.lower() == ".qptma":
        write_qptma(out, grid_of_cores(read_tissue_cores(folder / "cores.csv"), layout, cases))
    else:
        raise InputError(out, "is neither .qptma nor .qpmap", "Name the kind of file by its ending")


def _named_folder(slide_dir: Path) -> Path:
    first = repeat_folder(present_folder(slide_dir, "the slide's folder"), 1)
    folder = first if (first / FOLDER).is_dir() else slide_dir
    if not (folder / FOLDER / LAYOUT).is_file():
        raise InputError(
            slide_dir, "holds no named cores", "Find the cores first: blurryscope cores"
        )
    return folder
