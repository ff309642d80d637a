"""Files and folders that are there whole or not at all: a temporary name, then a rename."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blurryscope.basics.errors import MissingInputError, OutputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space on the disk, none left for this user, or none for a file of this size."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well it takes the place of `path`.

    If the block fails, the temporary file is removed and what was at `path` before stays.
    An `OutputError` says so when there is no space left or no right to write.
    """
    if path.is_dir():
        raise _is_a_folder(path)
    with _told_as_output_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial{path.suffix}")
        try:
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """As `whole_file`, for a folder: the old one is replaced only once the new one is complete."""
    if path.name in {"", ".."}:
        raise OutputError(path, "has no name of its own", "Name a folder in it")
    if path.exists() and not path.is_dir():
        raise OutputError(path, "is a file", "Choose another name for the folder")
    with _told_as_output_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".partial.{path.name}")
        retired = path.with_name(f".retired.{path.name}")
        _bring_back(retired, path)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            if path.exists():
                path.rename(retired)
            partial.rename(path)
        finally:
            _bring_back(retired, path)
            shutil.rmtree(partial, ignore_errors=True)


def _bring_back(retired: Path, path: Path) -> None:
    """Undo half a swap, left by a failed rename or a killed process; or drop what was replaced."""
    if retired.exists() and not path.exists():
        retired.rename(path)
    shutil.rmtree(retired, ignore_errors=True)


def refuse_unwritable(folder: Path) -> None:
    """Raise an `OutputError`, before any work, where a folder for results could not be made."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise OutputError(
            folder, "is a file, or lies in one, and not a folder", "Choose another folder"
        )
    with _told_as_output_error(folder):
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except FileNotFoundError as error:  # a folder of the system's own, such as /proc
            raise OutputError(
                folder, f"cannot be made in {there}", "Choose another folder"
            ) from error


def refuse_unwritable_file(path: Path) -> None:
    """The same for a file."""
    if path.is_dir():
        raise _is_a_folder(path)
    refuse_unwritable(path.parent)


def _is_a_folder(path: Path) -> OutputError:
    return OutputError(path, "is a folder", "Name a file in it")


def present_file(path: Path, remedy: str) -> Path:
    """Give `path` back if a file lies there; else a `MissingInputError` with the remedy."""
    if path.is_dir():
        raise MissingInputError(path, "is a folder, and no file", remedy)
    if not path.is_file():
        raise MissingInputError(path, "no such file", remedy)
    return path


def present_folder(path: Path, what: str) -> Path:
    """Give `path` back if a folder lies there; else a `MissingInputError` on the path of `what`."""
    remedy = f"Check the path of {what}"
    if not path.exists():
        raise MissingInputError(path, "no such folder", remedy)
    if not path.is_dir():
        raise MissingInputError(path, "is a file, and no folder", remedy)
    return path


def write_text_whole(path: Path, text: str) -> None:
    """Write UTF-8 text with line feeds, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _told_as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise OutputError(
                path,
                "no space left on the disk",
                "Free some space and run the same command again",
            ) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise OutputError(
                path,
                "cannot be written",
                "Ask for the right to write there, or choose another folder",
            ) from error
        raise
