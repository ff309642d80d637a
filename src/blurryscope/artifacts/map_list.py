"""A map that is a long list: a row of headings, then one core a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blurryscope.artifacts.array_layout import Layout, LayoutBlock
from blurryscope.artifacts.consensus import ConsensusRule
from blurryscope.artifacts.core_labels import AxisLabels, Spelling, parse_label, read_axis
from blurryscope.artifacts.lab_map import MapEntry, MapForm, Reading, SlideMap
from blurryscope.artifacts.map_cells import HEADINGS_WANTED, MapReading, read_words
from blurryscope.artifacts.map_headings import ListColumns, understand_headings
from blurryscope.artifacts.score_words import Presence
from blurryscope.artifacts.sheet import Sheet
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError

_WRITE_A_NAME = "Write a row letter and a column number, such as A1 or B12"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where the cores of a list lie, by row of the sheet."""

    names: Mapping[int, CoreName]
    spelling: str
    is_lettered_across: bool


def slides_of_list(sheet: Sheet, heading_row: int) -> tuple[str, ...]:
    """The slides that a list names, in order; empty where it has no such column."""
    column = understand_headings(sheet, heading_row).slide
    if column is None:
        return ()
    numbers = _filled(sheet, heading_row)
    for number in numbers:
        if not sheet.rows[number][column]:
            raise InputError(
                sheet.cell_name(number, column), "does not say which slide", "Fill it in"
            )
    return tuple(dict.fromkeys(sheet.rows[number][column] for number in numbers))


def read_list(sheet: Sheet, heading_row: int, slide: str | None, how: MapReading) -> SlideMap:
    """Read the cores of one slide; an `InputError` names the cell that cannot be used."""
    columns = understand_headings(sheet, heading_row)
    numbers = _filled(sheet, heading_row)
    chosen = slide
    if columns.slide is not None:
        chosen = _chosen_slide(sheet, slides_of_list(sheet, heading_row), slide)
        numbers = [n for n in numbers if sheet.rows[n][columns.slide] == chosen]
    _refuse_second_table(sheet, heading_row)
    places = _places(sheet, columns, numbers, how)
    rule = _rule(sheet, columns, how)
    entries = _entries(sheet, columns, places, rule)
    if not any(entry.presence.expects_tissue for entry in entries.values()):
        raise InputError(sheet.source, "lists no core that should be there", HEADINGS_WANTED)
    return SlideMap(
        slide=chosen,
        entries=entries,
        layout=_layout_across(places) if places.is_lettered_across else None,
        rule=None if rule is None else str(rule),
        form=MapForm.LIST,
        notes=tuple(_notes(heading_row, columns, places, how)),
    )


def _filled(sheet: Sheet, heading_row: int) -> list[int]:
    return [number for number in range(heading_row + 1, len(sheet.rows)) if any(sheet.rows[number])]


def _refuse_second_table(sheet: Sheet, heading_row: int) -> None:
    again = [
        number
        for number in _filled(sheet, heading_row)
        if sheet.rows[number] == sheet.rows[heading_row]
    ]
    if again:
        raise InputError(
            sheet.source,
            f"has a second table from row {again[0] + 1} on",
            "Keep one table, with a column 'slide' if it tells of several slides",
        )


def _chosen_slide(sheet: Sheet, slides: Sequence[str], wanted: str | None) -> str:
    listed = ", ".join(slides)
    if wanted is not None and wanted in slides:
        return wanted
    if len(slides) == 1 and wanted in {None, sheet.tab}:
        return slides[0]
    if wanted is None:
        raise InputError(sheet.source, f"holds several slides ({listed})", "Name one with --slide")
    raise InputError(
        sheet.source, f"holds no slide {wanted!r}, only {listed or 'none'}", "Check --slide"
    )


def _places(sheet: Sheet, columns: ListColumns, numbers: Sequence[int], how: MapReading) -> _Places:
    """Every row's place, by its name, or by its row and column; where both are there they agree."""
    names: dict[int, CoreName] = {}
    spellings: set[str] = set()
    across: set[bool] = set()
    for number in numbers:
        if columns.core is not None:
            at = columns.core
            names[number], spelling = _named(sheet, number, at, how)
            spellings.add(spelling if spelling is Spelling.PAIR else "letter and number")
        if columns.row is not None and columns.column is not None:
            at = columns.row
            name, is_across = _crossed(sheet, number, columns.row, columns.column)
            across.add(is_across)
            if names.setdefault(number, name) != name:
                raise InputError(
                    sheet.cell_name(number, at),
                    f"says {name}, but the core is called {names[number]}",
                    "Correct one of the two",
                )
    if len(spellings) > 1 or len(across) > 1:
        raise InputError(
            sheet.source,
            "spells places now as letter and number, now otherwise",
            "Spell all places in one way",
        )
    _refuse_twice_listed(sheet, names, columns)
    return _Places(
        names=names,
        spelling=next(iter(spellings), "row and column"),
        is_lettered_across=True in across,
    )


def _named(sheet: Sheet, number: int, at: int, how: MapReading) -> tuple[CoreName, Spelling]:
    text = sheet.rows[number][at]
    try:
        return parse_label(text, is_column_first=how.is_column_first)
    except ValueError as error:
        raise InputError(
            sheet.cell_name(number, at), f"{text!r} is not a core name", _WRITE_A_NAME
        ) from error


def _crossed(sheet: Sheet, number: int, row_at: int, column_at: int) -> tuple[CoreName, bool]:
    """A place by two cells, and whether it is the column that has a letter."""
    row, column = (_line(sheet, number, at) for at in (row_at, column_at))
    if row.is_lettered and column.is_lettered:
        raise InputError(
            sheet.cell_name(number, row_at), "row and column are both letters", _WRITE_A_NAME
        )
    place = row.numbers[0], column.numbers[0]
    try:
        return CoreName(*(place[::-1] if column.is_lettered else place)), column.is_lettered
    except ValueError as error:
        raise InputError(
            sheet.cell_name(number, row_at), f"is no row of an array ({error})", "Correct it"
        ) from error


def _line(sheet: Sheet, number: int, at: int) -> AxisLabels:
    """One row or one column; a range of them is not a place."""
    text = sheet.rows[number][at]
    try:
        axis = read_axis([text])
        if len(axis.numbers) > 1:
            raise ValueError("several of them")
    except ValueError as error:
        raise InputError(
            sheet.cell_name(number, at), f"{text!r} is no row or column", "Write A or 1"
        ) from error
    return axis


def _refuse_twice_listed(sheet: Sheet, names: Mapping[int, CoreName], columns: ListColumns) -> None:
    first_seen: dict[CoreName, int] = {}
    for number, name in names.items():
        if name in first_seen:
            at = columns.core if columns.core is not None else columns.row
            raise InputError(
                sheet.cell_name(number, at or 0),
                f"core {name} is listed twice, first in row {first_seen[name] + 1}",
                "Keep one row for each core",
            )
        first_seen[name] = number


def _rule(sheet: Sheet, columns: ListColumns, how: MapReading) -> ConsensusRule | None:
    readers = [reader for reader, _ in columns.scores]
    if how.consensus is None:
        if len(readers) == 1:
            return None
        raise InputError(
            sheet.source,
            f"holds the scores of several readers ({', '.join(readers)})",
            "State the rule: --consensus majority, --consensus median, or the name of a reader",
        )
    try:
        return ConsensusRule.parse(how.consensus, readers)
    except ValueError as error:
        raise InputError(
            "--consensus", str(error), f"The readers are {', '.join(readers)}"
        ) from error


def _entries(
    sheet: Sheet, columns: ListColumns, places: _Places, rule: ConsensusRule | None
) -> dict[CoreName, MapEntry]:
    cells = [(number, at) for number in places.names for _, at in columns.scores]
    words = read_words(sheet, cells, Presence.UNSCORED)
    entries = {}
    for number, name in places.names.items():
        readings = tuple(Reading(reader, words[number, at]) for reader, at in columns.scores)
        word = readings[0].word if rule is None else rule.word(readings)
        entries[name] = MapEntry(
            score=word.score,
            presence=word.presence,
            case=(sheet.rows[number][columns.case] or None) if columns.case is not None else None,
            readings=readings if len(readings) > 1 else (),
        )
    return entries


def _layout_across(places: _Places) -> Layout:
    """One block whose letters name the columns, as its separate row and column cells say."""
    rows = 1 + max(name.column for name in places.names.values())
    columns = 1 + max(name.row for name in places.names.values())
    block = LayoutBlock(
        row_labels=AxisLabels(numbers=tuple(range(rows)), is_lettered=False),
        column_labels=AxisLabels(numbers=tuple(range(columns)), is_lettered=True),
        at=(0, 0),
        is_lettered_across=True,
    )
    return Layout((block,))


def _notes(heading_row: int, columns: ListColumns, places: _Places, how: MapReading) -> list[str]:
    notes = [f"Headings are in row {heading_row + 1}; places are told by {places.spelling}."]
    if places.spelling == Spelling.PAIR:
        first, second = ("column", "row") if how.is_column_first else ("row", "column")
        notes.append(f"Of the two numbers the first is the {first}: 2,5 is {first} 2, {second} 5.")
    if places.is_lettered_across:
        notes.append("Rows are numbers and columns are letters: B3 is column B, row 3.")
    if columns.ignored:
        notes.append(f"Columns that are not used: {', '.join(columns.ignored)}.")
    return notes
