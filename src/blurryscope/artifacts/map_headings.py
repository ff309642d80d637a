"""What the headings of a long list mean: places, scores of one or several readers, cases."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from blurryscope.artifacts.map_cells import HEADINGS_WANTED
from blurryscope.artifacts.sheet import Sheet
from blurryscope.basics.errors import InputError

_CORE = frozenset(
    {"core", "position", "place", "location", "coreposition", "coreid", "corename", "tmaposition"}
)
_ROW = frozenset({"row", "corerow", "tmarow", "arrayrow"})
_COLUMN = frozenset({"column", "col", "corecolumn", "corecol", "tmacolumn", "tmacol"})
_SCORE = frozenset({"score", "her2", "her2score", "her2ihc", "ihc", "ihcscore", "her2ihcscore"})
_SLIDE = frozenset({"slide", "slideid", "slidename", "tma", "tmaslide"})
_CASE = frozenset({"case", "caseid", "patient", "patientid"})

_SCORE_WORDS = frozenset({"her2", "score", "ihc"})
_READER_WORDS = frozenset({"pathologist", "path", "reader", "observer", "rater", "scorer", "p"})
_AGREED_WORDS = frozenset({"consensus", "final", "agreed"})
_OTHER_WORDS = frozenset(
    {
        "fish", "ish", "cish", "dish", "clone", "ratio", "copy", "copies", "number", "cep17",
        "percent", "percentage", "intensity", "comment", "comments", "note", "notes", "antibody",
        "date", "amplification", "status", "allred", "h", "hscore", "er", "pr", "ar", "ki67", "ki",
        "p53", "egfr", "pdl1", "mrna", "confidence", "area",
    }
)  # fmt: skip
"""A heading with one of these tells of something else than the HER2 score of a reader."""

_LEAST_HEADINGS = 2
_FARTHEST_HEADING_ROW = 20
"""Titles and remarks may stand above the headings; not more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListColumns:
    """Where in a list to find what; columns count from 0."""

    core: int | None
    row: int | None
    column: int | None
    scores: tuple[tuple[str, int], ...]
    """Name of the reader, or of the only score, and its column."""
    case: int | None
    slide: int | None
    ignored: tuple[str, ...]
    """Headings that are not understood."""


def find_heading_row(sheet: Sheet) -> int | None:
    """The row of headings, below titles at most; None where the sheet is no list."""
    filled = [number for number, row in enumerate(sheet.rows) if any(row)]
    known = _CORE | _ROW | _COLUMN | _SCORE | _SLIDE | _CASE
    if any(plain_heading(cell) in known for cell in sheet.rows[filled[0]]):
        return filled[0]
    for number in filled[1:_FARTHEST_HEADING_ROW]:
        headings = [plain_heading(cell) for cell in sheet.rows[number]]
        has_place = bool(_CORE & set(headings)) or set(headings) >= _ROW | _COLUMN
        if has_place and sum(map(bool, headings)) >= _LEAST_HEADINGS:
            return number
    return None


def understand_headings(sheet: Sheet, heading_row: int) -> ListColumns:
    """Say which column holds what; an `InputError` names what is absent or there twice."""
    texts = sheet.rows[heading_row]
    headings = [plain_heading(cell) for cell in texts]
    core = _only(sheet, headings, _CORE)
    row, column = _only(sheet, headings, _ROW), _only(sheet, headings, _COLUMN)
    if core is None and (row is None or column is None):
        raise InputError(sheet.source, "has no column 'core'", HEADINGS_WANTED)
    case, slide = _only(sheet, headings, _CASE), _only(sheet, headings, _SLIDE)
    scores = _score_columns(sheet, texts)
    used = {core, row, column, case, slide, *(at for _, at in scores)}
    return ListColumns(
        core=core,
        row=row,
        column=column,
        scores=scores,
        case=case,
        slide=slide,
        ignored=tuple(text for at, text in enumerate(texts) if text and at not in used),
    )


def plain_heading(text: str) -> str:
    """A heading without what labs write differently: case, spaces, dashes."""
    return "".join(text.casefold().replace("_", "").replace("-", "").split())


def _only(sheet: Sheet, headings: Sequence[str], accepted: frozenset[str]) -> int | None:
    found = [number for number, heading in enumerate(headings) if heading in accepted]
    if len(found) > 1:
        raise InputError(
            sheet.source,
            f"has several columns of one kind: {', '.join(headings[n] for n in found)}",
            "Keep one of them",
        )
    return found[0] if found else None


def _score_columns(sheet: Sheet, texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    bare = _only(sheet, [plain_heading(text) for text in texts], _SCORE)
    readers = [
        (_reader_name(text), number)
        for number, text in enumerate(texts)
        if number != bare and _is_readers(text, has_bare=bare is not None)
    ]
    if bare is not None:
        readers.insert(0, (texts[bare], bare))
    if not readers:
        raise InputError(sheet.source, "has no column 'her2'", HEADINGS_WANTED)
    names = [name.casefold() for name, _ in readers]
    if twice := [name for name, _ in readers if names.count(name.casefold()) > 1]:
        raise InputError(
            sheet.source, f"has two columns of scores called {twice[0]!r}", "Name each reader"
        )
    return tuple(sorted(readers, key=lambda reader: reader[1]))


def _is_readers(text: str, *, has_bare: bool) -> bool:
    """Whether a heading tells of one reader's HER2 scores, or of what readers agreed on."""
    words = _words(text)
    if not words or _OTHER_WORDS & set(words):
        return False
    if words[0] in _READER_WORDS or _AGREED_WORDS & set(words):
        return True
    if "her2" in words:
        return len(words) > 1
    return not has_bare and bool(_SCORE_WORDS & set(words)) and len(words) > 1


def _words(text: str) -> list[str]:
    joined = re.sub(r"her[\s_-]?2(\s*/?\s*neu)?", "her2", text.casefold())
    return re.findall(r"her2|ki67|p53|pdl1|cep17|[^\W\d_]+|\d+", joined)


def _reader_name(text: str) -> str:
    """The heading without the words that every such heading has."""
    without = re.sub(r"(?i)her[\s_-]?2(\s*/?\s*neu)?|\bscores?\b|\bihc\b", " ", text)
    return " ".join(re.sub(r"[()\[\]:_]", " ", without).split()).strip(" -") or text
