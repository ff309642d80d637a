"""One program at a time writes into a folder for results."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blurryscope.basics.errors import OutputError

logger = logging.getLogger(__name__)
_LOCK = ".scan-is-running"
"""On Windows a file in the folder."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other programs that ask for the same out of `folder`, which is made if need be.

    An `OutputError` if one is in it. It ends with the program, however that ends. Network disks
    that know no such locks keep nobody out.
    """
    was_there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(folder):
            yield
    finally:
        if not was_there:
            with suppress(OSError):  # it holds results
                folder.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    opened = _opened_to_lock(folder)
    try:
        try:
            _lock(opened)
        except BlockingIOError as error:
            raise OutputError(
                folder,
                "another command is writing into this folder",
                "Wait until it has ended, or choose another --out",
            ) from error
        except OSError:
            logger.debug("no locks in %s", folder, exc_info=True)
        yield
    finally:
        os.close(opened)
        if sys.platform == "win32":
            with suppress(OSError):  # somebody else has it open
                (folder / _LOCK).unlink()


def _opened_to_lock(folder: Path) -> int:
    if sys.platform == "win32":  # which opens no folders
        return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
    else:  # noqa: RET505 - a type checker for Windows sees nothing behind the first branch
        return os.open(folder, os.O_RDONLY)


def _lock(opened: int) -> None:
    """Take the lock until the file is closed; `BlockingIOError` where another program has it."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(opened, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:  # what its C library calls a lock that is taken
            raise BlockingIOError from error
    else:
        import fcntl

        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
