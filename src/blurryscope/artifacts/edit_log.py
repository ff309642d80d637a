"""`edits.jsonl`: what a person corrected or answered about a slide's cores; only ever added to.

One line an entry: when, who if given, what, and what was there before. Each line carries the
checksum of the line before it, so that a line changed or taken out later is noticed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from blurryscope.artifacts.tissue_cores import CoreStatus, TissueCore
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError

LOG_NAME = "edits.jsonl"

_REMEDY = "Restore the file from a copy, or move it away and make the edits again"


class EditKind(StrEnum):
    """What a person may do."""

    MOVE = "move"
    """The core lies elsewhere; also: it was thought missing."""
    MISSING = "missing"
    RELABEL = "relabel"
    SWAP = "swap"
    STATUS = "status"
    """Only the state of the core was judged anew."""
    REMOVE = "remove"
    """Tissue where the map has no core is dirt."""
    LOCK = "lock"
    """All is right as it is and is to stay so. Every other edit locks too."""
    UNLOCK = "unlock"
    ANSWER = "answer"
    """How the names lie on the slide: `--place` and `--orientation`."""


class PlaceState(BaseModel):
    """One name and where it lies, as much of it as a person can decide."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    core: Annotated[str, Field(pattern=r"^[A-Z]{1,2}[1-9][0-9]*$")]
    x_px: float
    y_px: float
    diameter_px: Annotated[float, Field(gt=0)]
    status: CoreStatus | None
    """None: there is a core, its state is to be measured."""
    is_gone: bool = False
    """The name carries nothing any more, and needs no row."""

    @property
    def name(self) -> CoreName:
        return CoreName.parse(self.core)

    @classmethod
    def of(cls, core: TissueCore) -> "PlaceState":
        return cls(
            core=str(core.name),
            x_px=core.x_px,
            y_px=core.y_px,
            diameter_px=core.diameter_px,
            status=core.status,
        )


class Answer(BaseModel):
    """How the names lie, as a person said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: tuple[int, int] | None
    orientation: str | None
    """None: nothing was said; `any`: the evidence is to choose."""
    given_for: str
    """Checksum of map, layout, orientation and mosaic that the answer was given for."""
    anchors: dict[str, tuple[float, float]] = {}
    """Where some cores lay under their names after the answer, (x, y) in the mosaic."""


class EditEntry(BaseModel):
    """One line of the log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    by: str | None
    kind: EditKind
    through: Annotated[str, Field(pattern="^(command|table)$")]
    """`table`: cores.csv was changed by hand and read back."""
    before: tuple[PlaceState, ...] = ()
    after: tuple[PlaceState, ...] = ()
    answer: Answer | None = None
    size_px: tuple[int, int]
    """Of the mosaic, (rows, columns): places in another one mean nothing."""
    previous: str = ""
    """Checksum of the line before; empty in the first."""


@dataclass(frozen=True, slots=True)
class EditLog:
    """All entries of a slide's folder, oldest first."""

    entries: tuple[EditEntry, ...]

    @property
    def locked(self) -> dict[CoreName, PlaceState]:
        """What later searches must leave as it is, by name."""
        states: dict[CoreName, PlaceState] = {}
        for entry in self.entries:
            for state in entry.after:
                if entry.kind is EditKind.UNLOCK:
                    states.pop(state.name, None)
                else:
                    states[state.name] = state
        return states

    @property
    def unlock_count(self) -> int:
        """How often cores were given back: each time they are to be looked for again."""
        return sum(entry.kind is EditKind.UNLOCK for entry in self.entries)

    @property
    def answer(self) -> Answer | None:
        """The last answer given."""
        return next((e.answer for e in reversed(self.entries) if e.answer is not None), None)

    def refuse_other_size(self, where: Path, size_px: tuple[int, int]) -> None:
        """Places are pixels of one mosaic; another one would put names elsewhere."""
        other = [e.size_px for e in self.entries if e.after and e.size_px != size_px]
        if other and self.locked:
            raise InputError(
                where / LOG_NAME,
                f"holds edits of a mosaic of {other[0][1]} × {other[0][0]} pixels, "
                f"this one has {size_px[1]} × {size_px[0]}",
                "Move the file away, and make the edits again where they are still due",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who edits, when, and how."""

    at: datetime
    by: str | None = None
    through: str = "command"


def read_edit_log(folder: Path) -> EditLog:
    """Read `edits.jsonl` of a folder; empty where there is none.

    An `InputError` names the line that cannot be read, or that is not what was once written.
    """
    path = folder / LOG_NAME
    entries: list[EditEntry] = []
    previous = ""
    for number, line in enumerate(_lines(path), start=1):
        where = f"{path}, line {number}"
        try:
            entry = EditEntry.model_validate_json(line)
        except ValidationError as error:
            raise InputError(where, "cannot be read", _REMEDY) from error
        if entry.previous != previous:
            raise InputError(where, "does not follow the line before it: one was changed", _REMEDY)
        entries.append(entry)
        previous = _checksum(line)
    return EditLog(tuple(entries))


def _lines(path: Path) -> list[str]:
    """Parted by line feeds alone: names of people may hold what else parts lines."""
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(path, "is not UTF-8 text", _REMEDY) from error
    return text.removesuffix("\n").split("\n") if text else []


def append_edits(folder: Path, entries: Sequence[EditEntry]) -> None:
    """Add entries to the log of a folder, all or none; what stood there before stays."""
    if not entries:
        return
    read_edit_log(folder)  # a damaged log is refused rather than prolonged
    path = folder / LOG_NAME
    lines = _lines(path)
    for entry in entries:
        previous = _checksum(lines[-1]) if lines else ""
        lines.append(entry.model_copy(update={"previous": previous}).model_dump_json())
    write_text_whole(path, "\n".join(lines) + "\n")


def entry_of(
    author: Author,
    kind: EditKind,
    size_px: tuple[int, int],
    *,
    before: Iterable[PlaceState] = (),
    after: Iterable[PlaceState] = (),
) -> EditEntry:
    """An entry about cores."""
    return EditEntry(
        at=author.at,
        by=author.by,
        kind=kind,
        through=author.through,
        before=tuple(before),
        after=tuple(after),
        size_px=size_px,
    )


def _checksum(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
