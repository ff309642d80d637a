"""Cells of a map that hold scores: read by the tables of spellings, or listed and refused."""

from collections.abc import Iterable
from dataclasses import dataclass

from blurryscope.artifacts.score_words import Presence, Word, read_word
from blurryscope.artifacts.sheet import Sheet
from blurryscope.basics.errors import InputError

HEADINGS_WANTED = (
    "The first row needs 'core' and 'her2' (or 'score'); 'slide' and 'case' are optional"
)

_LISTED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class MapReading:
    """What must be told about a map since the file cannot tell it."""

    consensus: str | None = None
    """`majority`, `median`, or the name of a reader, where several readers' scores are there."""
    is_column_first: bool = False
    """Of places written as two numbers the column stands first."""


class UnknownScoresError(InputError):
    """Scores in no table of spellings, all of them."""

    def __init__(self, sheet: Sheet, cells: tuple[str, ...], *, holds_known: bool) -> None:
        more = f" and {len(cells) - _LISTED} more" if len(cells) > _LISTED else ""
        told = f"{', '.join(cells[:_LISTED])}{more}"
        remedy = "Write 0, 1+, 2+ or 3+; NA for not evaluable, lost or empty where there is no core"
        if holds_known:
            super().__init__(sheet.source, f"holds scores that are not known: {told}", remedy)
        else:
            super().__init__(
                sheet.source,
                f"holds no score that is known, but {told}",
                f"Check that it is the lab's map; if so: {remedy[0].lower()}{remedy[1:]}",
            )
        self.cells = cells
        """Each with its cell, such as ``B7 '4+'``."""


def read_words(
    sheet: Sheet, places: Iterable[tuple[int, int]], when_blank: Presence
) -> dict[tuple[int, int], Word]:
    """What the cells say; `UnknownScoresError` lists those that no table knows."""
    words: dict[tuple[int, int], Word] = {}
    unknown: list[str] = []
    for row, column in places:
        text = sheet.rows[row][column]
        word = read_word(text) if text else Word(None, when_blank)
        if word is None:
            unknown.append(f"{sheet.cell_name(row, column).rpartition(' ')[2]} {text!r}")
        else:
            words[row, column] = word
    if unknown:
        holds_known = any(word.score is not None for word in words.values())
        raise UnknownScoresError(sheet, tuple(unknown), holds_known=holds_known)
    return words
