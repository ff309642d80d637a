"""One program at a time writes into a folder for results."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blurryscope.basics.errors import OutputError

logger = logging.getLogger(__name__)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other programs that ask for the same out of `folder`, which is made if need be.

    An `OutputError` if one is in it. It ends with the program, however that ends. Windows, and
    network disks that know no such locks, keep nobody out.
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
    if sys.platform == "win32":
        yield
        return
    import fcntl

    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                folder,
                "another scan is writing into this folder",
                "Wait until it has ended, or choose another --out",
            ) from error
        except OSError:
            logger.debug("no locks in %s", folder, exc_info=True)
        yield
    finally:
        os.close(opened)
