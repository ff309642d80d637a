"""A table of text cells out of a CSV or XLSX file, with every trap of spreadsheets refused aloud.

Every cell is text. What a spreadsheet program changed silently (dates), computed (formulas) or hid
(merged cells, hidden rows) is an error that names the cell, since a shifted or altered map gives
one patient the score of another.
"""

import csv
import datetime
import io
import re
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import openpyxl
from openpyxl.cell.cell import Cell
from openpyxl.utils import get_column_letter
from openpyxl.workbook import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from blurryscope.artifacts.whole import present_file
from blurryscope.basics.errors import InputError

_MOST_UNPACKED_BYTES = 50_000_000
_MOST_PACKING_RATIO = 100
_MOST_CELLS = 500_000
_LOOKED_AT_LINES = 200
_OLE_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")  # old .xls, and every password-protected .xlsx


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Cells as stripped text, all rows equally long; rows and columns keep the file's places."""

    source: str
    """The file, and the tab if it has several: what an error names."""
    rows: tuple[tuple[str, ...], ...]
    tab: str | None = None
    """Title of the tab in an XLSX file."""

    def cell_name(self, row: int, column: int) -> str:
        """Where a cell is, for an error: ``map.xlsx, cell B3``."""
        return f"{self.source}, cell {get_column_letter(column + 1)}{row + 1}"


def read_sheet(path: Path, tab: str | None = None) -> Sheet:
    """Read a CSV or XLSX file; `tab` names the one to take where an XLSX file has several.

    Raises `InputError` for whatever could be misread: see the sentences in this file.
    """
    present_file(path, "Check the path of the map")
    with path.open("rb") as file:
        start = file.read(8)
    if start == _OLE_MAGIC:
        raise InputError(
            path,
            "is password-protected, or an old .xls file",
            "Save it as .xlsx without a password, or as CSV",
        )
    if is_xlsx(path):
        return _read_xlsx(path, tab)
    return _read_csv(path)


def _read_csv(path: Path) -> Sheet:
    # Cells may hold line ends: lines are parted where they end, and the cells keep theirs.
    lines = list(io.StringIO(_decoded(path), newline=""))
    told = _TOLD_DELIMITER.fullmatch(lines[0].rstrip("\r\n")) if lines else None
    if told:
        del lines[0]
    try:
        delimiter = told[1] if told else _delimiter(lines)
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError(path, f"is not a readable CSV file ({error})", _SAVE_AGAIN) from error
    return _sheet(str(path), rows)


_TOLD_DELIMITER = re.compile(r"sep=([,;\t])", re.IGNORECASE)
"""A first line that speaks to Excel, which takes it as no row."""


def _delimiter(lines: list[str]) -> str:
    """What most of the first lines have; titles above the headings have none."""
    unquoted = [re.sub(r'"[^"]*"', "", line) for line in lines[:_LOOKED_AT_LINES]]
    first = next((line for line in unquoted if line.strip()), "")
    return max(",;\t", key=lambda sign: (sum(sign in line for line in unquoted), first.count(sign)))


_SAVE_AGAIN = "Save it again as CSV (UTF-8) or XLSX"


def _decoded(path: Path) -> str:
    raw = path.read_bytes()
    if len(raw) > _MOST_UNPACKED_BYTES:
        raise InputError(path, "is too large to be a map of a slide", "Give the map alone")
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(path, "is not UTF-8 text", _SAVE_AGAIN) from error
    if "\0" in text:
        raise InputError(path, "is not a text file", _SAVE_AGAIN)
    return text


def _read_xlsx(path: Path, tab: str | None) -> Sheet:
    book = _open_book(path)
    try:
        return _sheet_of_tab(path, _chosen_tab(path, book.worksheets, tab))
    finally:
        book.close()


def _open_book(path: Path) -> Workbook:
    """Open after a look at the sizes; openpyxl parses with defusedxml, which is installed."""
    _refuse_dangerous_zip(path)
    try:
        return openpyxl.load_workbook(path, keep_links=False)
    except (KeyError, ValueError, TypeError, OSError, zipfile.BadZipFile, SyntaxError) as error:
        # SyntaxError: XML's ParseError is one; ValueError: so are defusedxml's refusals
        raise InputError(path, f"cannot be read as XLSX ({error})", _SAVE_AGAIN) from error


def _refuse_dangerous_zip(path: Path) -> None:
    """Look at the sizes a zip declares before unpacking: 200 KB of XLSX can fill the memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(path, "cannot be read as XLSX: it is damaged", _SAVE_AGAIN) from error
    unpacked = sum(member.file_size for member in members)
    packed = max(sum(member.compress_size for member in members), 1)
    if unpacked > _MOST_UNPACKED_BYTES or unpacked > _MOST_PACKING_RATIO * packed:
        raise InputError(
            path, f"unpacks to {unpacked / 1e6:.0f} MB, too much for a map", _SAVE_AGAIN
        )
    if any(member.flag_bits & 1 for member in members):
        raise InputError(path, "is password-protected", "Save it without a password")
    if any(member.filename.lower().endswith("vbaproject.bin") for member in members):
        raise InputError(path, "contains macros", "Save it as .xlsx without macros, or as CSV")


def _chosen_tab(path: Path, tabs: list[Worksheet], wanted: str | None) -> Worksheet:
    filled = _filled_tabs(tabs)
    named = [tab for tab in filled if wanted is not None and tab.title == wanted]
    if named:
        return named[0]
    if len(filled) == 1:
        return filled[0]
    if not filled:
        raise InputError(path, "has no cell with content", "Give a map with cores and scores")
    titles = ", ".join(tab.title for tab in filled)
    raise InputError(path, f"has several filled tabs ({titles})", "Name one with --slide")


def _filled_tabs(tabs: list[Worksheet]) -> list[Worksheet]:
    return [tab for tab in tabs if tab.sheet_state == "visible" and _has_content(tab)]


def _has_content(tab: Worksheet) -> bool:
    return any(cell.value is not None for row in tab.iter_rows() for cell in row)


def _sheet_of_tab(path: Path, tab: Worksheet) -> Sheet:
    source = f"{path}, tab {tab.title}" if len(tab.parent.worksheets) > 1 else str(path)
    if tab.max_row * tab.max_column > _MOST_CELLS:
        raise InputError(source, "has too many cells for a map", "Give the map alone")
    if tab.merged_cells.ranges:
        merged = ", ".join(str(area) for area in tab.merged_cells.ranges)
        raise InputError(source, f"has merged cells ({merged})", "Split the merged cells")
    hidden = sorted(number for number, row in tab.row_dimensions.items() if row.hidden)
    if hidden:
        raise InputError(source, f"has hidden rows ({hidden})", "Show or delete the hidden rows")
    hidden_columns = sorted(
        letter for letter, column in tab.column_dimensions.items() if column.hidden
    )
    if hidden_columns:
        raise InputError(
            source,
            f"has hidden columns (from {', '.join(hidden_columns)})",
            "Show or delete the hidden columns",
        )
    rows = [[_text(source, cell) for cell in row] for row in tab.iter_rows()]
    return replace(_sheet(source, rows), tab=str(tab.title))


def tabs_of(path: Path) -> tuple[str, ...]:
    """Titles of the visible, filled tabs of an XLSX file; none for a text file."""
    if not is_xlsx(path):
        return ()
    book = _open_book(path)
    try:
        return tuple(str(tab.title) for tab in _filled_tabs(book.worksheets))
    finally:
        book.close()


def is_xlsx(path: Path) -> bool:
    """Whether a file is a spreadsheet by its first bytes, or says so by its name."""
    with path.open("rb") as file:
        return file.read(2) == b"PK" or path.suffix.lower() in {".xlsx", ".xlsm"}


def _text(source: str, cell: Cell) -> str:
    value = cell.value
    where = f"{source}, cell {cell.coordinate}"
    if value is None:
        return ""
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        raise InputError(
            where,
            "holds a date, perhaps made by the spreadsheet out of text such as 1-2",
            "Format the column as text and type the value again",
        )
    if cell.data_type == "f" or isinstance(value, bool):
        raise InputError(where, "holds a formula or a truth value", "Replace it by its text")
    if cell.data_type == "e":
        raise InputError(where, f"holds the error {value}", "Correct the cell")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _sheet(source: str, rows: list[list[str]]) -> Sheet:
    if len(rows) > _MOST_CELLS:
        raise InputError(source, "has too many rows for a map", "Give the map alone")
    width = max((len(row) for row in rows), default=0)
    padded = tuple(tuple(cell.strip() for cell in row) + ("",) * (width - len(row)) for row in rows)
    if not any(any(row) for row in padded):
        raise InputError(source, "has no cell with content", "Give a map with cores and scores")
    return Sheet(source=source, rows=padded)
