"""How labs spell places of an array: `A1`, `A-01`, `1A`, `2,5`, `R2C5`, and ranges of rows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from blurryscope.basics.core_name import MOST_COLUMNS, CoreName, row_index, row_letters

_JOINT = r"[\s_.:-]?"
_LETTER_FIRST = re.compile(rf"([A-Za-z]{{1,2}}){_JOINT}0*([1-9][0-9]*)")
_NUMBER_FIRST = re.compile(rf"0*([1-9][0-9]*){_JOINT}([A-Za-z]{{1,2}})")
_PAIR = re.compile(r"\(?\s*0*([1-9][0-9]*)\s*[,;:/_x-]\s*0*([1-9][0-9]*)\s*\)?")
_ROW_AND_COLUMN = re.compile(r"[Rr]0*([1-9][0-9]*)[\s,_-]*[Cc]0*([1-9][0-9]*)")


class Spelling(StrEnum):
    """How a place is written."""

    LETTER_FIRST = "letter first"
    NUMBER_FIRST = "number first"
    PAIR = "two numbers"
    ROW_AND_COLUMN = "R and C"


def parse_label(text: str, *, is_column_first: bool = False) -> tuple[CoreName, Spelling]:
    """Read a place; the letter names one axis and the number the other, in whatever order.

    Of two numbers the first is the row, unless `is_column_first`. A ValueError says what came.
    """
    stripped = text.strip()
    if match := _ROW_AND_COLUMN.fullmatch(stripped):
        return CoreName(int(match[1]) - 1, int(match[2]) - 1), Spelling.ROW_AND_COLUMN
    if match := _LETTER_FIRST.fullmatch(stripped):
        return CoreName(row_index(match[1]), int(match[2]) - 1), Spelling.LETTER_FIRST
    if match := _NUMBER_FIRST.fullmatch(stripped):
        return CoreName(row_index(match[2]), int(match[1]) - 1), Spelling.NUMBER_FIRST
    if match := _PAIR.fullmatch(stripped):
        row, column = int(match[1]) - 1, int(match[2]) - 1
        return CoreName(*((column, row) if is_column_first else (row, column))), Spelling.PAIR
    raise ValueError(f"{text!r} is not a place such as A1, 1A, or 2,5")


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisLabels:
    """The labels of the rows, or of the columns, of a block in the order in which they lie."""

    numbers: tuple[int, ...]
    """Counted from 0, whether the lab writes letters or numbers."""
    is_lettered: bool
    width: int = 1
    """Digits that the lab writes at least: 2 for `01`."""

    def __post_init__(self) -> None:
        if not self.numbers:
            raise ValueError("a block needs at least one row and one column")
        if len(set(self.numbers)) < len(self.numbers):
            raise ValueError(f"{self} names a line twice")

    def text(self, number: int) -> str:
        """The lab's label of one line."""
        return row_letters(number) if self.is_lettered else str(number + 1).zfill(self.width)

    def __str__(self) -> str:
        """As `read_axis` reads it: runs of neighbours as ranges."""
        runs: list[list[int]] = []
        for number in self.numbers:
            if runs and _continues(runs[-1], number):
                runs[-1].append(number)
            else:
                runs.append([number])
        return ", ".join(
            self.text(run[0]) + (f"-{self.text(run[-1])}" if len(run) > 1 else "") for run in runs
        )


def _continues(run: list[int], number: int) -> bool:
    step = number - run[-1]
    return abs(step) == 1 and (len(run) == 1 or step == run[-1] - run[-2])


def read_axis(text: str | Sequence[str]) -> AxisLabels:
    """Read `A-J`, `J-A`, `01-16`, `A-H, J-K`, or a list of single labels.

    A ValueError says what cannot be read: mixed letters and numbers, a line named twice.
    """
    parts = text.split(",") if isinstance(text, str) else [str(label) for label in text]
    numbers: list[int] = []
    labels: list[str] = []
    for part in parts:
        first, _, last = (end.strip() for end in part.partition("-"))
        labels += [first, last or first]
        start, end = _line(first), _line(last or first)
        step = 1 if end >= start else -1
        numbers += range(start, end + step, step)
    lettered = {label.isalpha() for label in labels}
    if len(lettered) > 1:
        raise ValueError(f"{text!r} mixes letters and numbers")
    padded = [len(label) for label in labels if label.startswith("0")]
    return AxisLabels(
        numbers=tuple(numbers), is_lettered=lettered == {True}, width=max(padded, default=1)
    )


def _line(label: str) -> int:
    if label.isascii() and label.isalpha() and len(label) <= 2:
        return row_index(label)
    if label.isascii() and label.isdigit() and 0 < int(label) <= MOST_COLUMNS:
        return int(label) - 1
    raise ValueError(
        f"{label!r} is neither a letter such as A or AB nor a number from 1 to {MOST_COLUMNS}"
    )
