"""What can go wrong, said so that the reader knows what to do.

BlurryScopeError
├── InputError (ValueError)         what the user gave cannot be used
│   └── MissingInputError (FileNotFoundError)
└── OutputError (OSError)           a result could not be written
"""

from typing import Self


class BlurryScopeError(Exception):
    """Everything a caller may handle. The command line shows it as one line and exits with 2."""


class PlacedError(BlurryScopeError):
    """An error that has a place and a remedy.

    Parameters
    ----------
    where
        The file, and the place in it if there is one (``map.csv, row 7``).
    problem
        What is wrong, as a statement.
    remedy
        What the reader can do about it.
    """

    def __init__(self, where: object, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}. {remedy}.")
        self.where = str(where)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:  # OSError, which some mix in, would print its own form
        return f"{self.where}: {self.problem}. {self.remedy}."

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str]]:
        return type(self), (self.where, self.problem, self.remedy)  # it may come from a process


class InputError(PlacedError, ValueError):
    """An input that cannot be used."""


class MissingInputError(InputError, FileNotFoundError):
    """A file or folder that should be there and is not."""


class OutputError(PlacedError, OSError):
    """A result that could not be written; what was there before is untouched."""
