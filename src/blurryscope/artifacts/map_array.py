"""A map that is laid out like the array: cells lie as the cores do.

With row and column labels around it, or bare. Labels may run backwards, letters may stand on top,
and blank lines between labelled ones are gaps between blocks. Several arrays, one below another,
are several slides, each with its name above it or in its corner.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from blurryscope.artifacts.array_layout import Layout, LayoutBlock
from blurryscope.artifacts.core_labels import AxisLabels, read_axis
from blurryscope.artifacts.lab_map import MapEntry, MapForm, SlideMap
from blurryscope.artifacts.map_cells import HEADINGS_WANTED, read_words
from blurryscope.artifacts.score_words import Presence, read_word
from blurryscope.artifacts.sheet import Sheet
from blurryscope.basics.core_name import MOST_COLUMNS, MOST_ROWS, CoreName
from blurryscope.basics.errors import InputError

Places = Mapping[CoreName, tuple[int, int]]
"""The cell of each place, (row, column) from 0."""
ReadCells = Callable[[Sheet, Places], dict[CoreName, MapEntry]]
"""What the cells mean: scores, or case numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labelled:
    """An array with its labels. Each line is its place in the sheet and its number."""

    title: str | None
    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    is_lettered_across: bool
    widths: tuple[int, int]
    """Digits that the labels of rows and of columns have at least."""


def slides_of_array(sheet: Sheet) -> tuple[str, ...]:
    """Names of the arrays on a sheet, in order; empty for one without a name."""
    return tuple(table.title for table in _tables(sheet) if table.title is not None)


def read_array(sheet: Sheet, slide: str | None, read_cells: ReadCells) -> SlideMap:
    """Read the array of one slide; an `InputError` names the cell that cannot be used."""
    tables = _tables(sheet)
    if not tables:
        _refuse_half_labelled(sheet)
        _refuse_larger_than_an_array(sheet)
        places = {
            CoreName(row, column): (row, column)
            for row in range(len(sheet.rows))
            for column in range(len(sheet.rows[row]))
        }
        notes = ("It has no labels: the first cell of the sheet is taken as A1.",)
        return _slide_map(sheet, slide, read_cells(sheet, places), notes, None)
    table = _chosen(sheet, tables, slide)
    layout = _layout(sheet, table)
    entries = read_cells(sheet, _places(table))
    name = slide if table.title is None or slide is not None else table.title
    return _slide_map(sheet, name, entries, tuple(_notes(table)), layout)


def read_score_cells(sheet: Sheet, places: Places) -> dict[CoreName, MapEntry]:
    """Cells are scores; a blank one is a place without a core."""
    if (0, 0) in places.values():  # no labels stand around them
        _refuse_counted_edge(sheet)
    words = read_words(sheet, places.values(), Presence.EMPTY)
    return {
        name: MapEntry(score=words[cell].score, case=None, presence=words[cell].presence)
        for name, cell in places.items()
    }


def read_case_cells(sheet: Sheet, places: Places) -> dict[CoreName, MapEntry]:
    """Cells are case numbers; a blank one is a place without a core.

    Words such as `empty` or `lost` are no case; a bare number is one, not a score.
    """
    entries = {}
    for name, (row, column) in places.items():
        text = sheet.rows[row][column]
        word = read_word(text)
        presence = Presence.UNSCORED if text else Presence.EMPTY
        if word is not None and word.score is None:
            text, presence = "", word.presence
        entries[name] = MapEntry(score=None, case=text or None, presence=presence)
    return entries


def _slide_map(
    sheet: Sheet,
    slide: str | None,
    entries: Mapping[CoreName, MapEntry],
    notes: tuple[str, ...],
    layout: Layout | None,
) -> SlideMap:
    if not any(entry.presence.expects_tissue for entry in entries.values()):
        raise InputError(sheet.source, "lists no core that should be there", HEADINGS_WANTED)
    return SlideMap(slide=slide, entries=entries, layout=layout, form=MapForm.ARRAY, notes=notes)


def _tables(sheet: Sheet) -> list[_Labelled]:
    """All labelled arrays of a sheet, from top to bottom; every other cell must be a title."""
    tables: list[_Labelled] = []
    titles: list[str] = []
    row = 0
    while row < len(sheet.rows):
        found = _table_at(sheet, row, titles[-1] if titles else None)
        if found is not None:
            tables.append(found)
            titles = []
            row = found.rows[-1][0] + 1
            continue
        filled = [cell for cell in sheet.rows[row] if cell]
        if tables and len(filled) > 1:
            raise InputError(
                f"{sheet.source}, row {row + 1}",
                "belongs to no labelled row of the array above it",
                "Label all rows and columns in order, and put nothing else on the sheet",
            )
        titles += filled[:1]
        row += 1
    return tables


def _table_at(sheet: Sheet, top: int, title: str | None) -> _Labelled | None:
    """The array whose column labels stand in row `top`, if one does."""
    for left in range(len(sheet.rows[top]) - 1):
        columns = _labels(enumerate(sheet.rows[top][left + 1 :], start=left + 1))
        if columns is None:
            continue
        rows = _labels(_side(sheet, top, left, is_lettered=not columns.is_lettered))
        if rows is None and not columns.is_lettered and not sheet.rows[top][left]:
            rows = _numbers_beyond_scores(columns, _side(sheet, top, left, is_lettered=False))
        if rows is None:
            return None
        corner = sheet.rows[top][left]
        if _is_label_before(corner, rows):
            return None  # a row of the array itself, whose scores look like column numbers
        _refuse_unlabelled(sheet, (top, left), columns, rows)
        return _Labelled(
            title=corner or title,
            rows=rows.lines,
            columns=columns.lines,
            is_lettered_across=columns.is_lettered,
            widths=(rows.width, columns.width),
        )
    return None


def _numbers_beyond_scores(columns: "_Labels", side: list[tuple[int, str]]) -> "_Labels | None":
    """Rows that are numbered as columns are, if no score could look like both."""
    rows = _labels(side)
    highest_score = 3
    if rows is None or min(len(rows.lines), len(columns.lines)) <= highest_score:
        return None
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labels:
    """Labels along one side: (place in the sheet, number) of each."""

    lines: tuple[tuple[int, int], ...]
    is_lettered: bool
    width: int


def _labels(cells: Iterable[tuple[int, str]]) -> _Labels | None:
    """Understand labels with their places; None where they are none, or out of order."""
    filled = [(at, text) for at, text in cells if text]
    if not filled or any(read_word(text) and text.isalpha() for _, text in filled):
        return None
    try:
        axis = read_axis([text for _, text in filled])
    except ValueError:
        return None
    if any(len(text) > 3 for _, text in filled) or "-" in "".join(text for _, text in filled):
        return None
    lines = tuple((at, n) for (at, _), n in zip(filled, axis.numbers, strict=True))
    neighbours = [b[1] - a[1] for a, b in pairwise(lines) if b[0] - a[0] == 1]
    if any(step not in {neighbours[0], -neighbours[0]} or abs(step) != 1 for step in neighbours):
        return None
    return _Labels(lines=lines, is_lettered=axis.is_lettered, width=axis.width)


def _side(sheet: Sheet, top: int, left: int, *, is_lettered: bool) -> list[tuple[int, str]]:
    """Row labels from below `top` on: letters where columns have numbers, and the reverse."""
    side: list[tuple[int, str]] = []
    for row in range(top + 1, len(sheet.rows)):
        text = sheet.rows[row][left]
        if not text and any(sheet.rows[row]):
            break
        if not text:
            continue
        is_label = len(text) <= 3 and (text.isalpha() if is_lettered else text.isdigit())
        if not is_label or _starts_another(sheet, row, left):
            break
        side.append((row, text))
    return side


def _starts_another(sheet: Sheet, row: int, left: int) -> bool:
    """A label with nothing beside it, below a blank line, is the title of what follows."""
    return not any(sheet.rows[row][left + 1 :]) and not any(sheet.rows[row - 1])


def _is_label_before(corner: str, rows: _Labels) -> bool:
    labels = _labels([(0, corner)])
    return (
        labels is not None
        and labels.is_lettered == rows.is_lettered
        and abs(labels.lines[0][1] - rows.lines[0][1]) == 1
    )


def _refuse_unlabelled(
    sheet: Sheet, corner: tuple[int, int], columns: _Labels, rows: _Labels
) -> None:
    """A filled cell beside the array, or in a gap, would be lost."""
    labelled = {at for at, _ in columns.lines} | {corner[1]}
    for row, _ in rows.lines:
        for column, text in enumerate(sheet.rows[row]):
            if text and column not in labelled:
                raise InputError(
                    sheet.cell_name(row, column),
                    f"{text!r} stands in no labelled column",
                    "Label the column, or put remarks on another tab",
                )


def _refuse_half_labelled(sheet: Sheet) -> None:
    """Row letters without usable column numbers, or letters out of order: never guess."""
    letters = [row[0] for row in sheet.rows[1:]]
    if any(text.isalpha() and read_word(text) is None for text in letters):
        raise InputError(
            sheet.source,
            "looks like an array, but its labels are not 1, 2, 3 … along one side and A, B, C … "
            "along the other",
            f"Number all rows and columns in order, or write a list. {HEADINGS_WANTED}",
        )


def _refuse_larger_than_an_array(sheet: Sheet) -> None:
    """Some other table, rather than an array without labels."""
    if len(sheet.rows) > MOST_ROWS or len(sheet.rows[0]) > MOST_COLUMNS:
        raise InputError(
            sheet.source,
            f"has {len(sheet.rows)} rows and {len(sheet.rows[0])} columns without labels, more "
            "than an array has",
            f"Give the map of the array. {HEADINGS_WANTED}",
        )


def _refuse_counted_edge(sheet: Sheet) -> None:
    """1, 2, 3 along the top or the side may be numbers of lines or scores: never guess."""
    columns = [row[0] for row in sheet.rows]
    for cells, word in ((list(sheet.rows[0]), "row"), (columns, "column")):
        counted = [str(number) for number in range(1, len(cells) + 1)]
        if len(cells) > 1 and cells in (counted, counted[::-1]):
            raise InputError(
                f"{sheet.source}, first {word}",
                f"counts {', '.join(cells)}: scores, or numbers of the lines?",
                "Write scores with a plus (1+), or label both rows and columns",
            )


def _chosen(sheet: Sheet, tables: Sequence[_Labelled], slide: str | None) -> _Labelled:
    named = [table for table in tables if slide is not None and table.title == slide]
    if len(named) == 1:
        return named[0]
    if len(tables) == 1 and not named:
        return tables[0]
    titles = ", ".join(table.title or "one without a name" for table in tables)
    raise InputError(
        sheet.source,
        f"holds {len(tables)} arrays ({titles})",
        "Give each a name of its own above it, and name one with --slide",
    )


def _places(table: _Labelled) -> dict[CoreName, tuple[int, int]]:
    places = {}
    for row, row_number in table.rows:
        for column, column_number in table.columns:
            line = (row_number, column_number)
            places[CoreName(*(line[::-1] if table.is_lettered_across else line))] = (row, column)
    return places


def _layout(sheet: Sheet, table: _Labelled) -> Layout | None:
    """The design that the sheet shows; None for one even grid counted from the top left."""
    rows, columns = _runs(table.rows), _runs(table.columns)
    first = min(min(run) for run in rows), min(min(run) for run in columns)
    if first != (0, 0):
        raise InputError(
            sheet.source,
            "does not begin with row A and column 1",
            "Label all rows and columns of the array, also those that are empty",
        )
    is_counted = all(run == list(range(len(run))) for run in (*rows, *columns))
    if is_counted and len(rows) == len(columns) == 1 and not table.is_lettered_across:
        return None
    row_width, column_width = table.widths
    return Layout(
        tuple(
            LayoutBlock(
                row_labels=_axis(row_run, not table.is_lettered_across, row_width),
                column_labels=_axis(column_run, table.is_lettered_across, column_width),
                at=(down, right),
                is_lettered_across=table.is_lettered_across,
            )
            for down, row_run in enumerate(rows)
            for right, column_run in enumerate(columns)
        )
    )


def _axis(numbers: Sequence[int], is_lettered: bool, width: int) -> AxisLabels:
    return AxisLabels(numbers=tuple(numbers), is_lettered=is_lettered, width=width)


def _runs(lines: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Numbers of lines that lie side by side; a blank line between two is a gap."""
    runs: list[list[int]] = [[]]
    last = lines[0][0] - 1
    for at, number in lines:
        if at - last > 1:
            runs.append([])
        runs[-1].append(number)
        last = at
    return runs


def _notes(table: _Labelled) -> list[str]:
    notes = [
        "Its columns have letters and its rows have numbers."
        if table.is_lettered_across
        else "Row and column labels stand around it."
    ]
    for lines, word in ((table.rows, "rows"), (table.columns, "columns")):
        runs = _runs(lines)
        if len(runs) > 1:
            sizes = " + ".join(str(len(run)) for run in runs)
            notes.append(f"Blank lines cut the {word} into blocks of {sizes}.")
        if any(len(run) > 1 and run[0] > run[1] for run in runs):
            notes.append(f"The {word} are counted backwards.")
    return notes
