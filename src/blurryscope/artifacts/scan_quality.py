"""How a scan went, stretch by stretch, and what to scan again: `regions.csv` and `rescan.csv`."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from blurryscope.artifacts.table_text import opened_table
from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.errors import InputError

Row = TypeVar("Row", "Region", "Rescan")

_REMEDY = "Stitch the slide again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A stretch of one lane, about half a millimetre long, and how it came out.

    Its rectangle holds what lies nearer to this lane than to its neighbours; mosaic pixels, the
    last row and column excluded. None is what could not be told.
    """

    lane: int
    x_from_px: int
    x_to_px: int
    y_from_px: int
    y_to_px: int
    frame_count: int
    """Frames whose centre lies in the stretch."""
    dropped_frame_count: int
    """Frames that the camera lost there, by a gap in time or by a step that is too long."""
    confidence: float | None
    """Median of its frames' confidence; None without frames."""
    overlap_fraction: float | None
    """What the field shares with that of the lane before; negative is a gap."""
    tissue_fraction: float
    """Of the scanned pixels."""
    unscanned_fraction: float
    """Of all pixels."""
    saturated_fraction: float
    """Of the scanned pixels: at the end of the range in some colour."""
    focus: float | None
    """Share of tissue contrast that is fine detail across the scan, 0 to 1."""


class RescanReason(StrEnum):
    """What went wrong in a stretch."""

    REGISTRATION = "lost registration"
    TORN = "torn"
    FOCUS = "out of focus"
    BRIGHT = "too bright"
    DARK = "too dark"
    FRAMES = "lost frames"
    GAP = "not scanned"
    CUT = "cut short"
    SECOND = "scanned twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescan:
    """One thing to scan again: where, why, and what to do. Lengths from the mosaic's corner."""

    reason: RescanReason
    first_lane: int
    last_lane: int
    x_from_mm: float
    x_to_mm: float
    y_from_mm: float
    y_to_mm: float
    problem: str
    """A sentence that says where and what, and what usually causes it."""
    action: str
    """What to do."""


def write_regions(path: Path, regions: Iterable[Region]) -> None:
    """Write `regions.csv`, whole or not at all."""
    _write(path, Region, regions)


def read_regions(path: Path) -> list[Region]:
    """Read `regions.csv`; an `InputError` names the line that cannot be used."""
    return _read(path, Region)


def write_rescans(path: Path, rescans: Iterable[Rescan]) -> None:
    """Write `rescan.csv`, whole or not at all."""
    _write(path, Rescan, rescans)


def read_rescans(path: Path) -> list[Rescan]:
    """Read `rescan.csv`; an `InputError` names the line that cannot be used."""
    return _read(path, Rescan)


def _write(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        names = [column.name for column in fields(kind)]
        table.writerow(names)
        table.writerows([_stored(getattr(row, name)) for name in names] for row in rows)


def _stored(value: object) -> object:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else value


def _read(path: Path, kind: type[Row]) -> list[Row]:
    names = [column.name for column in fields(kind)]
    with opened_table(path, _REMEDY) as file:
        rows = csv.DictReader(file)
        if list(rows.fieldnames or ()) != names:
            raise InputError(path, f"its columns are not {', '.join(names)}", _REMEDY)
        try:
            return [kind(**_values(kind, row)) for row in rows]
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise InputError(
                f"{path}, line {rows.line_num}", f"cannot be read ({error})", _REMEDY
            ) from error


def _values(kind: type[Region] | type[Rescan], row: Mapping[str, str]) -> dict[str, Any]:
    return {column.name: _READ[column.type](row[column.name]) for column in fields(kind)}


_READ: Mapping[object, Callable[[str], object]] = {
    int: int,
    float: float,
    str: str,
    float | None: lambda text: float(text) if text else None,
    RescanReason: RescanReason,
}


def lanes_in_words(lanes: Sequence[int]) -> str:
    """`lane 3`, or `lanes 3-5` for the first and the last of several."""
    first, last = min(lanes), max(lanes)
    return f"lane {first}" if first == last else f"lanes {first}–{last}"
