"""The lab's map of a slide: which core lies where, and what score was read.

A map is a long list (a row a core) or a sheet laid out like the array. Nothing in it is guessed:
a value outside the tables of this file is listed with its cell and refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from blurryscope.artifacts.sheet import Sheet, read_sheet
from blurryscope.basics.core_name import CoreName, row_index
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score


class Presence(StrEnum):
    """What the map says about a place, apart from the score."""

    SCORED = "scored"
    UNSCORED = "unscored"
    """A core is listed, its score cell is empty."""
    NOT_EVALUABLE = "not evaluable"
    """A core is listed, and somebody wrote that it has no score (`NA`)."""
    LOST = "lost"
    """A core was there once; the map says that it is lost."""
    EMPTY = "empty"
    """The layout leaves this place free."""

    @property
    def expects_tissue(self) -> bool:
        """Whether a core should lie there; `NA` often means too little tissue, seldom none."""
        return self not in {Presence.LOST, Presence.EMPTY}


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEntry:
    """What the map says about one place."""

    score: Score | None
    case: str | None
    presence: Presence

    def __post_init__(self) -> None:
        if (self.score is not None) != (self.presence is Presence.SCORED):
            raise ValueError(f"score {self.score} does not go with presence {self.presence}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideMap:
    """The places of one slide; what is not in `entries` is a place without a core."""

    slide: str | None
    entries: Mapping[CoreName, MapEntry]

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError("a map needs at least one place")

    @property
    def rows(self) -> int:
        """How many rows the array has, from A to the last one listed."""
        return 1 + max(name.row for name in self.entries)

    @property
    def columns(self) -> int:
        """How many columns the array has, from 1 to the last one listed."""
        return 1 + max(name.column for name in self.entries)

    def expects_tissue(self, name: CoreName) -> bool:
        """Whether a core should lie at a place, listed or not."""
        entry = self.entries.get(name)
        return entry is not None and entry.presence.expects_tissue


_SCORES: Mapping[str, Score] = {
    **dict.fromkeys(
        ("0", "0+", "neg", "negative", "0-null", "0-ultralow", "0(null)", "0(ultralow)"), Score.ZERO
    ),
    **dict.fromkeys(("1", "1+"), Score.ONE),
    **dict.fromkeys(("2", "2+"), Score.TWO),
    **dict.fromkeys(("3", "3+"), Score.THREE),
}
"""All spellings of a score there are, without spaces and in lower case."""

_WITHOUT_SCORE: Mapping[str, Presence] = {
    **dict.fromkeys(
        ("na", "n/a", "n.a.", "ni", "ne", "notinterpretable", "notevaluable"),
        Presence.NOT_EVALUABLE,
    ),
    **dict.fromkeys(("lost", "missing", "nocore", "notissue", "absent"), Presence.LOST),
    **dict.fromkeys(("empty", "blank"), Presence.EMPTY),
}

_KNOWN = _SCORES.keys() | _WITHOUT_SCORE.keys()

_CORE_HEADINGS = frozenset({"core", "position", "place", "location", "coreposition"})
_SCORE_HEADINGS = frozenset({"score", "her2", "her2score", "her2ihc", "ihc", "ihcscore"})
_SLIDE_HEADINGS = frozenset({"slide", "slideid", "slidename"})
_CASE_HEADINGS = frozenset({"case", "caseid", "patient", "patientid"})
_ALL_HEADINGS = _CORE_HEADINGS | _SCORE_HEADINGS | _SLIDE_HEADINGS | _CASE_HEADINGS
_HEADINGS_WANTED = (
    "The first row needs 'core' and 'her2' (or 'score'); 'slide' and 'case' are optional"
)


def read_slide_map(path: Path, slide: str | None = None) -> SlideMap:
    """Read a map from CSV or XLSX, as a long list or as a sheet laid out like the array.

    `slide` picks one where the file holds several (a `slide` column, or a tab each). An
    `InputError` names the cell, what is wrong and what to do.
    """
    sheet = read_sheet(path, slide)
    heading_row = _heading_row(sheet)
    if heading_row is not None:
        return _read_long_list(sheet, heading_row, slide)
    return _read_array_sheet(sheet, slide)


def _plain(text: str) -> str:
    return "".join(text.casefold().replace("_", "").replace("-", "").split())


def _heading_row(sheet: Sheet) -> int | None:
    """The first filled row, if it is one of headings."""
    first = next(number for number, row in enumerate(sheet.rows) if any(row))
    return first if any(_plain(cell) in _ALL_HEADINGS for cell in sheet.rows[first]) else None


def _read_long_list(sheet: Sheet, heading_row: int, slide: str | None) -> SlideMap:
    headings = [_plain(cell) for cell in sheet.rows[heading_row]]
    core_column = _column(sheet, headings, _CORE_HEADINGS, "core")
    score_column = _column(sheet, headings, _SCORE_HEADINGS, "her2")
    case_column = _optional_column(sheet, headings, _CASE_HEADINGS)
    slide_column = _optional_column(sheet, headings, _SLIDE_HEADINGS)
    numbers = [
        number for number in range(heading_row + 1, len(sheet.rows)) if any(sheet.rows[number])
    ]
    chosen = slide
    if slide_column is not None:
        chosen = _chosen_slide(sheet, {sheet.rows[n][slide_column] for n in numbers}, slide)
        numbers = [n for n in numbers if sheet.rows[n][slide_column] == chosen]
    names = _names_of_rows(sheet, numbers, core_column)
    values = _values(sheet, [(n, score_column) for n in numbers], Presence.UNSCORED)
    entries = {
        name: MapEntry(
            score=score,
            presence=presence,
            case=(sheet.rows[number][case_column] or None) if case_column is not None else None,
        )
        for number, name, (score, presence) in zip(numbers, names, values, strict=True)
    }
    return _slide_map(sheet, chosen, entries)


def _column(sheet: Sheet, headings: list[str], accepted: frozenset[str], wanted: str) -> int:
    column = _optional_column(sheet, headings, accepted)
    if column is None:
        raise InputError(sheet.source, f"has no column '{wanted}'", _HEADINGS_WANTED)
    return column


def _optional_column(sheet: Sheet, headings: list[str], accepted: frozenset[str]) -> int | None:
    found = [number for number, heading in enumerate(headings) if heading in accepted]
    if len(found) > 1:
        raise InputError(
            sheet.source,
            f"has several columns of one kind: {', '.join(headings[n] for n in found)}",
            "Keep one of them",
        )
    return found[0] if found else None


def _chosen_slide(sheet: Sheet, slides: set[str], wanted: str | None) -> str:
    listed = ", ".join(sorted(slides))
    if wanted is None and len(slides) == 1:
        return next(iter(slides))
    if wanted in slides:
        return wanted
    if wanted is None:
        raise InputError(sheet.source, f"holds several slides ({listed})", "Name one with --slide")
    raise InputError(
        sheet.source, f"holds no slide {wanted!r}, only {listed or 'none'}", "Check --slide"
    )


def _names_of_rows(sheet: Sheet, numbers: Iterable[int], column: int) -> list[CoreName]:
    first_seen: dict[CoreName, int] = {}
    for number in numbers:
        text = sheet.rows[number][column]
        try:
            name = CoreName.parse(text)
        except ValueError as error:
            raise InputError(
                sheet.cell_name(number, column),
                f"{text!r} is not a core name",
                "Write a row letter and a column number, such as A1 or B12",
            ) from error
        if name in first_seen:
            raise InputError(
                sheet.cell_name(number, column),
                f"core {name} is listed twice, first in row {first_seen[name] + 1}",
                "Keep one row for each core",
            )
        first_seen[name] = number
    return list(first_seen)


def _values(
    sheet: Sheet, places: Iterable[tuple[int, int]], when_blank: Presence
) -> list[tuple[Score | None, Presence]]:
    values: list[tuple[Score | None, Presence]] = []
    unknown: list[str] = []
    for row, column in places:
        text = sheet.rows[row][column]
        spelling = _spelling(text)
        if not spelling:
            values.append((None, when_blank))
        elif spelling in _SCORES:
            values.append((_SCORES[spelling], Presence.SCORED))
        elif spelling in _WITHOUT_SCORE:
            values.append((None, _WITHOUT_SCORE[spelling]))
        else:
            unknown.append(f"{sheet.cell_name(row, column).rpartition(' ')[2]} {text!r}")
    if unknown:
        more = f" and {len(unknown) - 12} more" if len(unknown) > 12 else ""
        raise InputError(
            sheet.source,
            f"holds scores that are not known: {', '.join(unknown[:12])}{more}",
            "Write 0, 1+, 2+ or 3+; NA for not evaluable, lost or empty where there is no core",
        )
    return values


def _spelling(text: str) -> str:
    return "".join(text.casefold().split())


def _read_array_sheet(sheet: Sheet, slide: str | None) -> SlideMap:
    """Cells lie as the cores do; with a first row 1, 2, 3 … and a first column A, B, C …, or none.

    An empty cell is a place without a core.
    """
    top, left = _array_corner(sheet)
    places = [
        (row, column)
        for row in range(top, len(sheet.rows))
        for column in range(left, len(sheet.rows[row]))
    ]
    values = _values(sheet, places, Presence.EMPTY)
    entries = {
        CoreName(row - top, column - left): MapEntry(score=score, case=None, presence=presence)
        for (row, column), (score, presence) in zip(places, values, strict=True)
    }
    return _slide_map(sheet, slide, entries)


def _array_corner(sheet: Sheet) -> tuple[int, int]:
    """Row and column of A1's cell: (1, 1) where the sheet carries row letters, else (0, 0)."""
    numbers = sheet.rows[0][1:]
    letters = [row[0] for row in sheet.rows[1:]]
    if not any(text.isalpha() and _spelling(text) not in _KNOWN for text in letters):
        return 0, 0
    in_order = [str(n + 1) for n in range(len(numbers))] == [n.lstrip("0") for n in numbers]
    if in_order and [_row_or_none(text) for text in letters] == list(range(len(letters))):
        return 1, 1
    raise InputError(
        sheet.source,
        "looks like an array, but its first row is not 1, 2, 3 … or its first column not A, B, C …",
        f"Number all rows and columns in order, or write a list. {_HEADINGS_WANTED}",
    )


def _row_or_none(text: str) -> int | None:
    return row_index(text) if text.isascii() and text.isalpha() else None


def _slide_map(sheet: Sheet, slide: str | None, entries: Mapping[CoreName, MapEntry]) -> SlideMap:
    if not any(entry.presence.expects_tissue for entry in entries.values()):
        raise InputError(sheet.source, "lists no core that should be there", _HEADINGS_WANTED)
    return SlideMap(slide=slide, entries=entries)
