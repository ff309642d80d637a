"""Our own tables opened for reading; people change them in spreadsheets, which write other text."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from blurryscope.artifacts.whole import present_file
from blurryscope.basics.errors import InputError


@contextmanager
def opened_table(path: Path, remedy: str) -> Iterator[TextIO]:
    """Open a CSV file; an `InputError` where it is not there, or is no text in UTF-8.

    A mark of the byte order at its start, which spreadsheets write, is passed over.
    """
    with present_file(path, remedy).open(encoding="utf-8-sig", newline="") as file:
        try:
            yield file
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(
                path, f"is no table in UTF-8 ({error})", f"Save it as CSV (UTF-8), or: {remedy}"
            ) from error
