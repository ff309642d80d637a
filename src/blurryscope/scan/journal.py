"""The journal of a scan: one JSON object a line, on the disk before the scan goes on."""

import contextlib
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from blurryscope.basics.clock import Clock
from blurryscope.basics.errors import InputError, OutputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a journal."""

    event: str
    time_s: float
    """On the clock of stage and camera."""
    utc: str
    facts: dict[str, object]


class Journal:
    """Appends events to `path` while in `with`. Safe to use from several threads."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _mend_end(self.path)
        # Without a buffer: what a full disk did not take must not come later, behind half a line.
        self._file = self.path.open("ab", buffering=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def note(self, event: str, **facts: object) -> None:
        """Write one event; it is on the disk when this returns.

        Raises `OutputError` where it cannot be written; the lines before are then as they were.
        """
        told = {
            "event": event,
            "time_s": round(self._clock.monotonic_s(), 6),
            "utc": self._clock.utc_now().isoformat(timespec="milliseconds"),
        }
        line = json.dumps(told | facts, default=str) + "\n"
        with self._lock:
            self._append(line.encode("utf-8"))

    def _append(self, line: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise OutputError(
                self.path,
                f"cannot be written ({error.strerror})",
                "Free some space and run the same command again",
            ) from error


def read_journal(path: Path) -> list[Entry]:
    """Read all events; a last line without its end is left out, for it never happened."""
    if not path.is_file():
        return []
    *lines, _ = path.read_text(encoding="utf-8", errors="replace").split("\n")
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            entries.append(_entry_of(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path}, line {number}", "is no event of a scan", "Scan into another folder"
            ) from error
    return entries


def _entry_of(told: object) -> Entry:
    if not isinstance(told, dict):
        raise TypeError(told)
    return Entry(
        event=str(told.pop("event")),
        time_s=float(str(told.pop("time_s"))),
        utc=str(told.pop("utc")),
        facts=told,
    )


def _mend_end(path: Path) -> None:
    """Cut off half a line that a crash left, so that the next one is whole."""
    if not path.is_file():
        return
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        with path.open("rb+") as file:
            file.truncate(whole)
