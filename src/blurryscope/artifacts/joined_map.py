"""One long list out of what groups keep apart: scores, core numbers in the array, and their cases.

Many groups keep a sheet of scores laid out like the array, a second sheet of the same shape with
the number of the core in each cell, and a table from core number to patient. Joined by place and by
number they are a map like any other.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from blurryscope.artifacts.lab_map import MapEntry, SlideMap
from blurryscope.artifacts.map_array import read_array, read_case_cells
from blurryscope.artifacts.map_headings import plain_heading
from blurryscope.artifacts.map_table import safe_cell
from blurryscope.artifacts.map_words import some_of
from blurryscope.artifacts.score_words import Presence
from blurryscope.artifacts.sheet import Sheet, read_sheet
from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError

_NUMBER = frozenset({"coreid", "core", "corenumber", "coreno", "id"})
_CASE = frozenset({"accessionid", "case", "caseid", "patient", "patientid", "accession"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedCore:
    """A place with all that is known of it."""

    entry: MapEntry
    number: str
    """What the group calls the core."""
    case: str


def join_map(
    scores: SlideMap, numbers_path: Path, cases_path: Path | None, slide: str | None = None
) -> dict[CoreName, JoinedCore]:
    """Join scores with core numbers by place, and with cases by number.

    Raises `InputError` where a score has no core number, a number no case or two of them, or where
    the sheets differ in size: nothing is left out without a word.
    """
    numbers = read_array(read_sheet(numbers_path, slide), slide, read_case_cells)
    by_place = {
        name: entry.case for name, entry in numbers.entries.items() if entry.case is not None
    }
    _refuse_other_shape(scores, numbers, numbers_path)
    wanted = {
        name: entry
        for name, entry in sorted(scores.entries.items())
        if entry.presence is not Presence.EMPTY or name in by_place
    }
    if unknown := [str(name) for name in wanted if name not in by_place]:
        raise InputError(
            numbers_path,
            f"has no core number at {some_of(unknown)}, where there is a score",
            "Do scores and numbers belong to the same array?",
        )
    cases = None if cases_path is None else _cases(cases_path)
    if cases is not None:
        _refuse_without_case(cases, {by_place[name] for name in wanted}, cases_path)
    return {
        name: JoinedCore(
            entry=_listed(entry),
            number=by_place[name],
            case=by_place[name] if cases is None else cases[by_place[name]],
        )
        for name, entry in wanted.items()
    }


def _listed(entry: MapEntry) -> MapEntry:
    """A blank score where there is a core number is a core without a score, not an empty place."""
    if entry.presence is not Presence.EMPTY:
        return entry
    return MapEntry(score=None, case=entry.case, presence=Presence.UNSCORED)


def _refuse_other_shape(scores: SlideMap, numbers: SlideMap, where: Path) -> None:
    """Sheets of the same array have the same size; one line more would shift all names."""
    if scores.layout is not None or numbers.layout is not None:
        same = scores.layout == numbers.layout
    else:
        same = (scores.rows, scores.columns) == (numbers.rows, numbers.columns)
    if not same:
        raise InputError(
            where,
            f"has {numbers.rows} rows and {numbers.columns} columns, the scores have "
            f"{scores.rows} and {scores.columns}",
            "Give both sheets the same labels, with all rows and columns",
        )


def _cases(path: Path) -> dict[str, str]:
    """Case by core number, out of a table with headings."""
    sheet = read_sheet(path)
    headings = [plain_heading(text) for text in sheet.rows[0]]
    number_at, case_at = (_only(sheet, headings, wanted) for wanted in (_NUMBER, _CASE))
    cases: dict[str, str] = {}
    for row, cells in enumerate(sheet.rows[1:], start=1):
        number, case = cells[number_at], cells[case_at]
        if not number:
            continue
        if cases.setdefault(number, case) != case:
            raise InputError(
                sheet.cell_name(row, number_at), f"core {number} has two cases", "Correct one"
            )
    return cases


def _only(sheet: Sheet, headings: list[str], wanted: frozenset[str]) -> int:
    found = [at for at, heading in enumerate(headings) if heading in wanted]
    if len(found) != 1:
        raise InputError(
            sheet.source,
            f"has {len(found)} columns of {' or '.join(sorted(wanted))}",
            "The first row needs 'core_id' and 'accession_id'",
        )
    return found[0]


def _refuse_without_case(
    cases: Mapping[str, str], numbers: Iterable[str], where: Path | None
) -> None:
    absent = sorted(number for number in numbers if not cases.get(number))
    if absent:
        raise InputError(where, f"has no case for core {some_of(absent)}", "Add them")


def write_joined_map(path: Path, slide: str | None, cores: Mapping[CoreName, JoinedCore]) -> None:
    """Write a long list that every command reads as a map."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["slide", "core", "her2", "case", "core number"])
        for name, core in sorted(cores.items()):
            rows.writerow(
                [
                    slide or path.stem,
                    name,
                    _word(core.entry),
                    *map(safe_cell, (core.case, core.number)),
                ]
            )


def _word(entry: MapEntry) -> str:
    if entry.score is not None:
        return entry.score.label
    return "" if entry.presence is Presence.UNSCORED else entry.presence
