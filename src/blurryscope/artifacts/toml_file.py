"""A file that a person writes, TOML, becomes checked fields; what is wrong is told by its place."""

import json
import tomllib
from pathlib import Path
from typing import TypeVar

import pydantic

from blurryscope.artifacts.whole import present_file
from blurryscope.artifacts.wrong_field import wrong_field
from blurryscope.basics.errors import InputError


class TomlTable(pydantic.BaseModel):
    """Fields of one table: no others, and no number that is none."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


_Table = TypeVar("_Table", bound=TomlTable)


def read_toml(path: Path, table: type[_Table], *, missing: str, remedy: str) -> _Table:
    """Read `path` as a `table`, with or without a byte order mark.

    Raises an `InputError` that names the file, the line or field, and `remedy`; `missing` is what
    helps where there is no file. A number in quotes and a `true` for 1 are refused like any other
    slip: nobody knows what was meant.
    """
    told = _parsed(path, missing)
    try:
        # By way of JSON, for which strictness leaves lists to tuples and text to paths.
        return table.model_validate_json(json.dumps(told, default=str), strict=True)
    except pydantic.ValidationError as error:
        place, problem = wrong_field(error)
        raise InputError(f"{path}, {place}", problem, remedy) from error


def _parsed(path: Path, missing: str) -> dict[str, object]:
    content = present_file(path, missing).read_bytes()
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(path, "is not UTF-8 text", "Save it as UTF-8") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists in lists
        raise InputError(path, f"is no TOML ({error})", "Correct the line") from error
