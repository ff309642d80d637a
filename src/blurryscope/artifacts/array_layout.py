"""The design of an array: blocks of rows and columns, what lies where, and how large it is.

A layout speaks in the lab's own names. A name is a letter and a number (`B3`): the letter may name
the rows or, where the lab counts so, the columns. Everything here is how the array was designed,
or `turned` how a scan shows it; where it lies on the slide is found out later.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from blurryscope.artifacts.core_labels import AxisLabels
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score


class PlaceKind(StrEnum):
    """Why a place is not like the others."""

    EMPTY = "empty"
    """Nothing was put there."""
    CONTROL = "control"
    """Tissue that is known, and no patient's."""
    ORIENTATION = "orientation"
    """Tissue that only tells which way round the slide lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialPlace:
    """A place that is empty, a control, or a mark of orientation."""

    name: CoreName
    kind: PlaceKind
    score: Score | None = None
    """What a control is known to be."""

    def __post_init__(self) -> None:
        if self.score is not None and self.kind is not PlaceKind.CONTROL:
            raise ValueError(f"{self.name} is {self.kind}: only a control has a score")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutBlock:
    """Rows and columns that form one lattice, in the order in which they lie.

    Each block has a lattice of its own: its tilt and what lies between it and the next are found
    on the slide.
    """

    row_labels: AxisLabels
    """From top to bottom."""
    column_labels: AxisLabels
    """From left to right."""
    at: tuple[int, int]
    """Place in the grid of blocks, (row, column)."""
    is_lettered_across: bool = False
    """Whether the letter of a name tells the column. Where both axes are numbered, names here give
    the rows of the design letters."""

    def __post_init__(self) -> None:
        lettered, numbered = self.row_labels, self.column_labels
        if self.is_lettered_across:
            lettered, numbered = numbered, lettered
        if numbered.is_lettered:
            raise ValueError("of rows and columns one must be numbers")

    @property
    def rows(self) -> tuple[int, ...]:
        """The lab's rows from top to bottom; A, or 1, is 0."""
        return self.row_labels.numbers

    @property
    def columns(self) -> tuple[int, ...]:
        """The lab's columns from left to right; 1, or A, is 0."""
        return self.column_labels.numbers

    def name_at(self, place: CoreName) -> CoreName:
        """The lab's name of a place counted within the block."""
        row, column = self.rows[place.row], self.columns[place.column]
        return CoreName(column, row) if self.is_lettered_across else CoreName(row, column)

    def places(self) -> Iterator[CoreName]:
        """Every place, counted within the block."""
        for row in range(len(self.rows)):
            for column in range(len(self.columns)):
                yield CoreName(row, column)

    def names(self) -> list[CoreName]:
        return [self.name_at(place) for place in self.places()]


@dataclass(frozen=True, slots=True)
class Layout:
    """All blocks of an array."""

    blocks: tuple[LayoutBlock, ...]
    special: tuple[SpecialPlace, ...] = field(default=(), kw_only=True)
    title: str | None = field(default=None, kw_only=True)
    """The lab's name of the array or of its block of paraffin."""
    is_column_first: bool = field(default=False, kw_only=True)
    """Whether the lab writes the column before the row."""
    separator: str = field(default="", kw_only=True)
    """What the lab writes between row and column: `-` for `A-1`."""
    core_diameter_um: float | None = field(default=None, kw_only=True)
    pitch_um: tuple[float, float] | None = field(default=None, kw_only=True)
    """Along a row, and from row to row."""

    def __post_init__(self) -> None:
        if not self.blocks:
            raise ValueError("a layout needs at least one block")
        names = self.names()
        if len(set(names)) < len(names):
            raise ValueError("two blocks hold the same place")
        if len({block.at for block in self.blocks}) < len(self.blocks):
            raise ValueError("two blocks lie at the same place")
        _check_special(self.special, set(names))
        lengths = (self.core_diameter_um, *(self.pitch_um or ()))
        if any(length is not None and length <= 0 for length in lengths):
            raise ValueError("diameter and pitch must be positive")

    def names(self) -> list[CoreName]:
        return [name for block in self.blocks for name in block.names()]

    def label(self, name: CoreName) -> str:
        """A name as the lab writes it."""
        block = next(block for block in self.blocks if name in block.names())
        line = (name.column, name.row) if block.is_lettered_across else (name.row, name.column)
        row, column = block.row_labels.text(line[0]), block.column_labels.text(line[1])
        return self.separator.join((column, row) if self.is_column_first else (row, column))

    def turned(self, quarter_turns: int, *, is_mirrored: bool = False) -> "Layout":
        """As a scan shows an array that lies mirrored left to right, then turned clockwise."""
        layout = _mirrored(self) if is_mirrored else self
        for _ in range(quarter_turns % 4):
            layout = _quarter_turned(layout)
        return layout


def _check_special(special: tuple[SpecialPlace, ...], names: set[CoreName]) -> None:
    told = [place.name for place in special]
    if len(set(told)) < len(told):
        twice = sorted(name for name in set(told) if told.count(name) > 1)
        raise ValueError(f"{twice[0]} is stated to be two things")
    if unknown := sorted(set(told) - names):
        raise ValueError(f"no block holds {unknown[0]}")


def _mirrored(layout: Layout) -> Layout:
    last = max(block.at[1] for block in layout.blocks)
    return replace(
        layout,
        blocks=tuple(
            replace(
                block,
                column_labels=_reversed(block.column_labels),
                at=(block.at[0], last - block.at[1]),
            )
            for block in layout.blocks
        ),
    )


def _quarter_turned(layout: Layout) -> Layout:
    """Clockwise: the first row becomes the last column."""
    last = max(block.at[0] for block in layout.blocks)
    return replace(
        layout,
        blocks=tuple(
            replace(
                block,
                row_labels=block.column_labels,
                column_labels=_reversed(block.row_labels),
                is_lettered_across=not block.is_lettered_across,
                at=(block.at[1], last - block.at[0]),
            )
            for block in layout.blocks
        ),
        pitch_um=None if layout.pitch_um is None else (layout.pitch_um[1], layout.pitch_um[0]),
    )


def _reversed(labels: AxisLabels) -> AxisLabels:
    return replace(labels, numbers=labels.numbers[::-1])
