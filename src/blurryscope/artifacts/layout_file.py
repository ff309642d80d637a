"""`layout.toml`: the design of an array as a lab writes it down, and as a template is kept.

::

    title = "BR1503f"
    core_diameter_um = 600
    pitch_um = [1000, 1000]        # along a row, from row to row
    empty = ["A1", "H12"]
    orientation = ["A8"]
    control = { B1 = "3+", B2 = "" }

    [[block]]
    rows = "A-M"
    columns = "1-8"

    [[block]]
    rows = "A-M"
    columns = "9-16"

Only `rows` and `columns` are needed. Blocks lie side by side in the order of the file, or where
`at = [row, column]` puts them in the grid of blocks. Ranges may run backwards (``"M-A"``), be
zero-padded (``"01-16"``) or leave out lines (``"A-H, J"``); the letters may name the columns.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from blurryscope.artifacts.array_layout import Layout, LayoutBlock, PlaceKind, SpecialPlace
from blurryscope.artifacts.core_labels import parse_label, read_axis
from blurryscope.artifacts.score_words import read_word
from blurryscope.artifacts.whole import present_file, write_text_whole
from blurryscope.artifacts.wrong_field import wrong_field
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score

Length = Annotated[float, Field(gt=0, lt=1e6)]

_COLUMN_FIRST = "column first"
_LARGEST_FILE = 1_000_000
_REMEDY = 'Write [[block]] with rows = "A-H" and columns = "1-12" for each block'


class _BlockEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: str | tuple[str, ...]
    columns: str | tuple[str, ...]
    at: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None


class _LayoutFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str | None = None
    order: Literal["row first", "column first"] = "row first"
    separator: str = ""
    core_diameter_um: Length | None = None
    pitch_um: tuple[Length, Length] | None = None
    empty: tuple[str, ...] = ()
    orientation: tuple[str, ...] = ()
    control: dict[str, str] | tuple[str, ...] = ()
    block: tuple[_BlockEntry, ...]


def read_layout(path: Path) -> Layout:
    """Read a `layout.toml`; an `InputError` names what cannot be used."""
    raw = present_file(path, "Check the path of the layout").read_bytes()
    try:
        if len(raw) > _LARGEST_FILE:
            raise ValueError("it is larger than 1 MB")
        return _layout(_LayoutFile.model_validate(tomllib.loads(raw.decode("utf-8-sig"))))
    except ValidationError as error:
        place, problem = wrong_field(error)
        raise InputError(path, f"is not a layout ({place}: {problem})", _REMEDY) from error
    except ValueError as error:  # TOML that cannot be read is one
        raise InputError(path, f"is not a layout ({error})", _REMEDY) from error


def _layout(entries: _LayoutFile) -> Layout:
    return Layout(
        tuple(_block(number, entry) for number, entry in enumerate(entries.block)),
        special=tuple(_special(entries)),
        title=entries.title,
        is_column_first=entries.order == _COLUMN_FIRST,
        separator=entries.separator,
        core_diameter_um=entries.core_diameter_um,
        pitch_um=entries.pitch_um,
    )


def _block(number: int, entry: _BlockEntry) -> LayoutBlock:
    rows, columns = read_axis(entry.rows), read_axis(entry.columns)
    return LayoutBlock(
        row_labels=rows,
        column_labels=columns,
        at=entry.at or (0, number),
        is_lettered_across=columns.is_lettered,
    )


def _special(entries: _LayoutFile) -> Iterator[SpecialPlace]:
    is_column_first = entries.order == _COLUMN_FIRST

    def name(text: str) -> CoreName:
        return parse_label(text, is_column_first=is_column_first)[0]

    for text in entries.empty:
        yield SpecialPlace(name=name(text), kind=PlaceKind.EMPTY)
    for text in entries.orientation:
        yield SpecialPlace(name=name(text), kind=PlaceKind.ORIENTATION)
    controls: Mapping[str, str] = (
        entries.control if isinstance(entries.control, dict) else dict.fromkeys(entries.control, "")
    )
    for text, score in controls.items():
        yield SpecialPlace(name=name(text), kind=PlaceKind.CONTROL, score=_score(score))


def _score(text: str) -> Score | None:
    if not text.strip():
        return None
    word = read_word(text)
    if word is None or word.score is None:
        raise ValueError(f"{text!r} is no score such as 0, 1+, 2+ or 3+")
    return word.score


def write_layout(path: Path, layout: Layout) -> None:
    """Write a `layout.toml` that reads back as the same layout, whole or not at all."""
    write_text_whole(path, layout_text(layout))


def layout_text(layout: Layout) -> str:
    """The layout as TOML."""
    lines = list(_head(layout))
    for block in layout.blocks:
        lines += ["", "[[block]]"]
        lines.append(f"rows = {_quoted(str(block.row_labels))}")
        lines.append(f"columns = {_quoted(str(block.column_labels))}")
        lines.append(f"at = [{block.at[0]}, {block.at[1]}]")
    return "\n".join(lines).lstrip("\n") + "\n"


def _head(layout: Layout) -> Iterator[str]:
    stated = {
        "title": None if layout.title is None else _quoted(layout.title),
        "order": _quoted(_COLUMN_FIRST) if layout.is_column_first else None,
        "separator": _quoted(layout.separator) if layout.separator else None,
        "core_diameter_um": None
        if layout.core_diameter_um is None
        else _number(layout.core_diameter_um),
        "pitch_um": None
        if layout.pitch_um is None
        else f"[{', '.join(_number(length) for length in layout.pitch_um)}]",
    }
    yield from (f"{key} = {value}" for key, value in stated.items() if value is not None)
    yield from _special_lines(layout)


def _special_lines(layout: Layout) -> Iterator[str]:
    for kind in (PlaceKind.EMPTY, PlaceKind.ORIENTATION):
        names = [place.name for place in layout.special if place.kind is kind]
        if names:
            yield f"{kind} = [{', '.join(_quoted(_spelt(layout, name)) for name in names)}]"
    controls = [place for place in layout.special if place.kind is PlaceKind.CONTROL]
    if controls:
        stated = ", ".join(
            f"{_quoted(_spelt(layout, place.name))} = "
            f"{_quoted('' if place.score is None else place.score.label)}"
            for place in controls
        )
        yield f"control = {{ {stated} }}"


def _spelt(layout: Layout, name: CoreName) -> str:
    """A name that reads back: labels of two numbers need something between them."""
    block = next(block for block in layout.blocks if name in block.names())
    is_numbered = not (block.row_labels.is_lettered or block.column_labels.is_lettered)
    if not is_numbered:
        return str(name)
    row, column = str(name.row + 1), str(name.column + 1)
    return ",".join((column, row) if layout.is_column_first else (row, column))


def _number(value: float) -> str:
    return f"{value:.10g}" if float(f"{value:.10g}") == value else repr(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
