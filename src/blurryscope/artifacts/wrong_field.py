"""The first thing that is wrong in a file of fields, in words for whoever wrote it."""

import difflib
from collections.abc import Sequence

import pydantic
from pydantic_core import ErrorDetails

_UNKNOWN, _MISSING = "extra_forbidden", "missing"
_WORDS = {
    "model_type": "should be a table with fields",
    "dataclass_type": "should be a table with fields",
    "dict_type": "should be a table with fields",
}
"""In place of pydantic's own, which speak to programmers."""
_LONGEST_SHOWN = 40


def wrong_field(error: pydantic.ValidationError) -> tuple[str, str]:
    """Where it is and what is wrong with it.

    Places in lists count from 1: `slides 2, area.width_um`. A field that is not known comes first:
    it often is the misspelt name of one that is missing, which is then named.
    """
    errors = error.errors()
    first = next((each for each in errors if each["type"] == _UNKNOWN), errors[0])
    return _place(first["loc"]) or "the file", _problem(first, errors)


def _place(path: Sequence[int | str]) -> str:
    words = ""
    for part in path:
        if isinstance(part, int):
            words += f" {part + 1},"
        elif not words or words.endswith(","):
            words += f" {part}"
        else:
            words += f".{part}"
    return words.strip().rstrip(",")


def _problem(first: ErrorDetails, errors: Sequence[ErrorDetails]) -> str:
    if first["type"] == _MISSING:
        return "is missing"
    if first["type"] == _UNKNOWN:
        *parent, name = first["loc"]
        missing = [
            str(each["loc"][-1])
            for each in errors
            if each["type"] == _MISSING and list(each["loc"][:-1]) == parent
        ]
        meant = difflib.get_close_matches(str(name), missing, n=1, cutoff=0.5)
        return "is not known here" + (f"; {meant[0]} is missing" if meant else "")
    own = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    words = _WORDS.get(first["type"], own)
    given = first["input"]
    is_short = isinstance(given, (str, int, float)) and len(str(given)) <= _LONGEST_SHOWN
    return f"{words}, got {given!r}" if is_short and "got " not in words else words
