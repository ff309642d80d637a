"""The design of an array whose cores do not form one even grid: blocks with gaps between them.

A `layout.toml` says which rows and columns each block holds, in the lab's own names::

    [[block]]
    rows = "A-M"
    columns = "1-8"

    [[block]]
    rows = "A-M"
    columns = "9-16"

Blocks lie side by side in the order of the file, or where `at = [row, column]` puts them in the
grid of blocks. A range may run backwards (``"M-A"``) where the lab counts from the other end.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from blurryscope.artifacts.slide_map import MapEntry, Presence, SlideMap
from blurryscope.basics.core_name import CoreName, row_index
from blurryscope.basics.errors import InputError, MissingInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutBlock:
    """Rows and columns that form one lattice, in the order in which they lie."""

    rows: tuple[int, ...]
    """The lab's rows from top to bottom; A is 0."""
    columns: tuple[int, ...]
    """The lab's columns from left to right; 1 is 0."""
    at: tuple[int, int]
    """Place in the grid of blocks, (row, column)."""

    def name_at(self, place: CoreName) -> CoreName:
        """The lab's name of a place counted within the block."""
        return CoreName(self.rows[place.row], self.columns[place.column])

    def own_map(self, slide_map: SlideMap) -> SlideMap | None:
        """The map of this block alone, counted within the block; None where it lists no core.

        Places that the map leaves out are entered as empty, so that the block keeps its size.
        """
        empty = MapEntry(score=None, case=None, presence=Presence.EMPTY)
        entries = {}
        for row in range(len(self.rows)):
            for column in range(len(self.columns)):
                place = CoreName(row, column)
                entries[place] = slide_map.entries.get(self.name_at(place), empty)
        if not any(entry.presence.expects_tissue for entry in entries.values()):
            return None
        return SlideMap(slide=slide_map.slide, entries=entries)


@dataclass(frozen=True, slots=True)
class Layout:
    """All blocks of an array."""

    blocks: tuple[LayoutBlock, ...]

    def __post_init__(self) -> None:
        if not self.blocks:
            raise ValueError("a layout needs at least one block")
        names = self.names()
        if len(set(names)) < len(names):
            raise ValueError("two blocks hold the same place")
        if len({block.at for block in self.blocks}) < len(self.blocks):
            raise ValueError("two blocks lie at the same place")

    def names(self) -> list[CoreName]:
        return [
            CoreName(row, column)
            for block in self.blocks
            for row in block.rows
            for column in block.columns
        ]

    def full_map(self) -> SlideMap:
        """A map that lists a core at every place, without scores."""
        listed = MapEntry(score=None, case=None, presence=Presence.UNSCORED)
        return SlideMap(slide=None, entries=dict.fromkeys(self.names(), listed))


class _BlockEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: str
    columns: str
    at: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None


class _LayoutFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    block: tuple[_BlockEntry, ...]


def read_layout(path: Path) -> Layout:
    """Read a `layout.toml`; an `InputError` names what cannot be used."""
    if not path.is_file():
        raise MissingInputError(path, "no such layout", "Check --layout")
    try:
        entries = _LayoutFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).block
        return Layout(
            tuple(
                LayoutBlock(
                    rows=_range(entry.rows, _row),
                    columns=_range(entry.columns, _column),
                    at=entry.at or (0, number),
                )
                for number, entry in enumerate(entries)
            )
        )
    except (tomllib.TOMLDecodeError, ValidationError, ValueError) as error:
        raise InputError(
            path,
            f"is not a layout ({error})",
            'Write [[block]] with rows = "A-H" and columns = "1-12" for each block',
        ) from error


def _row(text: str) -> int:
    if not (text.isascii() and text.isalpha()):
        raise ValueError(f"{text!r} is not a row such as A or AB")
    return row_index(text)


def _column(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"{text!r} is not a column such as 1 or 12")
    return int(text) - 1


def _range(text: str, number_of: Callable[[str], int]) -> tuple[int, ...]:
    """`A-D` is 0, 1, 2, 3; `D-A` the same backwards; a single name is itself."""
    first, _, last = (part.strip() for part in text.partition("-"))
    start, end = number_of(first), number_of(last or first)
    step = 1 if end >= start else -1
    return tuple(range(start, end + step, step))
