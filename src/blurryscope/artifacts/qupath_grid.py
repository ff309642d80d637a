"""QuPath's files of a tissue microarray: `.qptma`, a grid of cores, and `.qpmap`, case numbers.

Both follow QuPath's readers as they are (0.6 to 0.8): a `.qptma` needs every place of the grid, in
order, with numbers; a `.qpmap` loses empty cells at the end of a line, so an empty cell holds a
space.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blurryscope.artifacts.array_layout import Layout, LayoutBlock
from blurryscope.artifacts.core_labels import AxisLabels, parse_label
from blurryscope.artifacts.lab_map import MapEntry, MapForm, SlideMap
from blurryscope.artifacts.score_words import Presence
from blurryscope.artifacts.sheet import Sheet
from blurryscope.artifacts.whole import present_file, write_text_whole
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError

_COLUMNS = ("Core name", "X", "Y", "Width", "Height", "Present", "Case ID")
_CASE_COLUMNS = frozenset({"case id", "unique id"})
"""Releases before a rename wrote `Unique ID`."""
_SIZE = re.compile(r"TMA grid (width|height):\s*([1-9][0-9]{0,3})\s*")
_WRITE_AGAIN = "Export the grid from QuPath again"
_LARGEST_FILE = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCore:
    """One place of a QuPath grid; a box in pixels of the whole image."""

    label: str
    left_px: float
    top_px: float
    width_px: float
    height_px: float
    is_present: bool
    case: str | None

    def __post_init__(self) -> None:
        lengths = (self.left_px, self.top_px, self.width_px, self.height_px)
        if not all(map(math.isfinite, lengths)) or min(self.width_px, self.height_px) <= 0:
            raise ValueError(f"core {self.label} has no box: {lengths}")

    @property
    def centre_px(self) -> tuple[float, float]:
        """(x, y) with pixel centres at integers, as everywhere here; QuPath counts corners."""
        return (
            self.left_px + self.width_px / 2 - 0.5,
            self.top_px + self.height_px / 2 - 0.5,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuPathGrid:
    """A grid of cores, row by row."""

    width: int
    """Columns; `height` counts rows."""
    height: int
    cores: tuple[GridCore, ...]

    def __post_init__(self) -> None:
        if len(self.cores) != self.width * self.height:
            raise ValueError(
                f"a grid of {self.height} rows and {self.width} columns needs "
                f"{self.width * self.height} cores, got {len(self.cores)}"
            )

    def names(self) -> tuple[CoreName, ...]:
        """Their names as here; a ValueError where QuPath's names are not those of an array."""
        names = tuple(parse_label(core.label)[0] for core in self.cores)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"core {twice} is there twice")
        return names


def write_qptma(path: Path, grid: QuPathGrid) -> None:
    """Write a grid to be dragged onto the image in QuPath, whole or not at all."""
    lines = [
        f"TMA grid width: {grid.width}",
        f"TMA grid height: {grid.height}",
        "\t".join(_COLUMNS),
        *("\t".join(_cells(core)) for core in grid.cores),
    ]
    write_text_whole(path, "\n".join(lines) + "\n")


def _cells(core: GridCore) -> Iterator[str]:
    yield _one_line(core.label)
    for length in (core.left_px, core.top_px, core.width_px, core.height_px):
        yield f"{length:.2f}"
    yield "true" if core.is_present else "false"
    yield _one_line(core.case or "")


def _one_line(text: str) -> str:
    """Without what QuPath would take for the next cell."""
    return " ".join(text.split())


def read_qptma(path: Path) -> QuPathGrid:
    """Read a `.qptma`; an `InputError` names the line that cannot be used.

    Missing cores that QuPath wrote without numbers are refused, as by QuPath itself.
    """
    lines = _lines(path)
    sizes: dict[str, int] = {}
    head = -1
    for number, line in enumerate(lines):
        if match := _SIZE.fullmatch(line):
            sizes[match[1]] = int(match[2])
        if line.startswith(_COLUMNS[0] + "\t"):
            head = number
            break
    if head < 0 or sizes.keys() != {"width", "height"}:
        raise InputError(path, "is not a grid of QuPath's", _WRITE_AGAIN)
    places = _columns(path, lines[head])
    cores = tuple(
        _core(f"{path}, line {number + 1}", lines[number].split("\t"), places)
        for number in range(head + 1, len(lines))
        if lines[number].strip()
    )
    try:
        return QuPathGrid(width=sizes["width"], height=sizes["height"], cores=cores)
    except ValueError as error:
        raise InputError(path, f"is not whole ({error})", _WRITE_AGAIN) from error


def _lines(path: Path) -> list[str]:
    present_file(path, "Check the path")
    raw = path.read_bytes()
    if len(raw) > _LARGEST_FILE:
        raise InputError(path, "is too large for a grid of cores", _WRITE_AGAIN)
    try:
        return raw.decode("utf-8-sig").split("\n" if b"\r" not in raw else "\r\n")
    except UnicodeDecodeError as error:
        raise InputError(path, "is not UTF-8 text", _WRITE_AGAIN) from error


def _columns(path: Path, line: str) -> tuple[int, ...]:
    """Where the columns are, in the order of `_COLUMNS`; the case may be absent (-1)."""
    headings = [heading.strip().casefold() for heading in line.split("\t")]
    absent = [name for name in _COLUMNS[:6] if name.casefold() not in headings]
    if absent:
        raise InputError(path, f"has no column {', '.join(absent)}", _WRITE_AGAIN)
    case = next((at for at, name in enumerate(headings) if name in _CASE_COLUMNS), -1)
    return (*(headings.index(name.casefold()) for name in _COLUMNS[:6]), case)


def _core(where: str, cells: Sequence[str], places: tuple[int, ...]) -> GridCore:
    padded = [*cells, *[""] * (max(places) + 1 - len(cells))]
    label, left, top, width, height, present = (padded[at].strip() for at in places[:6])
    if present.casefold() not in {"true", "false"}:
        raise InputError(where, f"{present!r} is neither true nor false", _WRITE_AGAIN)
    try:
        return GridCore(
            label=label,
            left_px=float(left),
            top_px=float(top),
            width_px=float(width),
            height_px=float(height),
            is_present=present.casefold() == "true",
            case=(padded[places[6]].strip() or None) if places[6] >= 0 else None,
        )
    except ValueError as error:
        raise InputError(where, f"cannot be read ({error})", _WRITE_AGAIN) from error


def map_of_grid(grid: QuPathGrid, slide: str | None = None) -> SlideMap:
    """A grid taken as a map: who lies where, and what QuPath calls missing."""
    try:
        names = grid.names()
    except ValueError as error:
        raise InputError("the grid", f"has names that are none ({error})", _NAME_THEM) from error
    entries = {
        name: MapEntry(
            score=None,
            case=core.case,
            presence=Presence.UNSCORED if core.is_present else Presence.LOST,
        )
        for name, core in zip(names, grid.cores, strict=True)
    }
    if not any(entry.presence.expects_tissue for entry in entries.values()):
        raise InputError("the grid", "has no core that is there", _WRITE_AGAIN)
    return SlideMap(
        slide=slide,
        entries=entries,
        layout=layout_of_grid(grid),
        form=MapForm.QPTMA,
        notes=("It holds no scores.",),
    )


_NAME_THEM = "Give rows letters and columns numbers, or the reverse (QuPath: relabel TMA grid)"


def layout_of_grid(grid: QuPathGrid) -> Layout | None:
    """The design by the grid's own labels; None for one even grid counted from the top left.

    An `InputError` where the labels are not those of rows and columns.
    """
    try:
        return _layout_of_names(grid, grid.names())
    except ValueError as error:
        raise InputError(
            "the grid", f"has labels that are not rows and columns ({error})", _NAME_THEM
        ) from error


def _layout_of_names(grid: QuPathGrid, names: Sequence[CoreName]) -> Layout | None:
    """A ValueError where the names are not those of rows and columns."""
    table = [names[row * grid.width : (row + 1) * grid.width] for row in range(grid.height)]
    letters_down = [row[0].row for row in table]
    is_across = any(name.row != table[0][0].row for name in table[0])
    rows = [row[0].column for row in table] if is_across else letters_down
    columns = [name.row if is_across else name.column for name in table[0]]
    block = LayoutBlock(
        row_labels=AxisLabels(numbers=tuple(rows), is_lettered=not is_across),
        column_labels=AxisLabels(numbers=tuple(columns), is_lettered=is_across),
        at=(0, 0),
        is_lettered_across=is_across,
    )
    for told, name in zip(names, block.names(), strict=True):
        if told != name:
            raise ValueError(f"{told} stands where {name} should")
    is_plain = rows == list(range(len(rows))) and columns == list(range(len(columns)))
    return None if is_plain and not is_across else Layout((block,))


def write_qpmap(path: Path, layout: Layout, cases: Mapping[CoreName, str]) -> None:
    """Write case numbers with labels around them, to be dragged onto a grid in QuPath.

    Places without a case hold a space. Raises `InputError` for an array of several blocks: QuPath
    knows one grid.
    """
    if len(layout.blocks) > 1:
        raise InputError(path, "QuPath knows one grid, not several blocks", "Write one per block")
    block = layout.blocks[0]
    rows, columns = block.row_labels, block.column_labels
    lines = ["\t".join([" ", *(columns.text(number) for number in columns.numbers)])]
    for at, number in enumerate(rows.numbers):
        names = [block.name_at(CoreName(at, column)) for column in range(len(columns.numbers))]
        cells = [_one_line(cases.get(name, "")) or " " for name in names]
        lines.append("\t".join([rows.text(number), *cells]))
    write_text_whole(path, "\n".join(lines) + "\n")


def read_qpmap_sheet(path: Path) -> Sheet:
    """The cells of a `.qpmap`: tabs, or commas; reading stops at the first line without one."""
    rows: list[list[str]] = []
    for line in _lines(path):
        delimiter = "\t" if "\t" in line else ","
        if delimiter not in line:
            break
        rows.append([cell.strip() for cell in line.split(delimiter)])
    width = max((len(row) for row in rows), default=0)
    if not any(any(row) for row in rows):
        raise InputError(path, "is not a map of QuPath's", "Write case numbers between tabs")
    return Sheet(
        source=str(path),
        rows=tuple((*row, *[""] * (width - len(row))) for row in rows),
    )
