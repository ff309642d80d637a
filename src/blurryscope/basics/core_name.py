"""Names of places in a tissue microarray: row letter and column number, `A1`, `B12`, `AA3`."""

import re
from dataclasses import dataclass
from typing import Self

_PATTERN = re.compile(r"([A-Za-z]{1,2})[\s_-]?0*([1-9][0-9]*)")
MOST_ROWS = 26 + 26 * 26  # as many as one or two letters can name
MOST_COLUMNS = 9999  # as many as a grid of QuPath's may have


@dataclass(frozen=True, slots=True, order=True)
class CoreName:
    """A place in the layout; rows and columns count from 0, so `A1` is (0, 0)."""

    row: int
    column: int

    def __post_init__(self) -> None:
        if not (0 <= self.row < MOST_ROWS and 0 <= self.column < MOST_COLUMNS):
            raise ValueError(
                f"row must be 0 to {MOST_ROWS - 1} and column 0 to {MOST_COLUMNS - 1}, "
                f"got {self.row}, {self.column}"
            )

    def __str__(self) -> str:
        return f"{row_letters(self.row)}{self.column + 1}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `A1`, `a-01`, `AA 3`; a ValueError says what came instead."""
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a core name such as A1 or AA12")
        return cls(row_index(match[1]), int(match[2]) - 1)


def row_letters(row: int) -> str:
    """0 is `A`, 25 is `Z`, 26 is `AA`, 27 is `AB`."""
    letters = chr(ord("A") + row % 26)
    return letters if row < 26 else row_letters(row // 26 - 1) + letters


def row_index(letters: str) -> int:
    """Inverse of `row_letters`."""
    index = 0
    for letter in letters.upper():
        index = index * 26 + ord(letter) - ord("A") + 1
    return index - 1
