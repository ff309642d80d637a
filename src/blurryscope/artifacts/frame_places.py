"""Where each frame lay: `frames.csv`."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from blurryscope.artifacts.whole import present_file, whole_file
from blurryscope.basics.errors import InputError

_COLUMNS = ("frame", "time_s", "state", "lane", "x_px", "y_px", "confidence")


class StageState(StrEnum):
    """What the stage did while the frame was taken."""

    MOVING = "moving"
    """Along a lane, ramps included."""
    RESTING = "resting"
    STEPPING = "stepping"
    """Across, from one lane to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePlace:
    """One frame, and where the centre of its field at mid read-out lies in the mosaic."""

    frame: int
    time_s: float
    state: StageState
    lane: int
    """Counts from 0; -1 outside lanes."""
    x_px: float | None
    y_px: float | None
    """Mosaic pixels, centres at integers, None where unknown."""
    confidence: float
    """0 to 1: 1 is measured against neighbours, 0 is nothing but the model of the motion."""


def write_frame_places(path: Path, places: Iterable[FramePlace]) -> None:
    """Write `frames.csv`, whole or not at all."""
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for place in places:
            x, y = ("" if v is None else f"{v:.3f}" for v in (place.x_px, place.y_px))
            rows.writerow(
                [place.frame, f"{place.time_s:.6f}", place.state, place.lane, x, y,
                 f"{place.confidence:.4f}"]
            )  # fmt: skip


def read_frame_places(path: Path) -> list[FramePlace]:
    """Read `frames.csv`; an `InputError` names the line that cannot be used."""
    remedy = "Stitch the slide again"
    with present_file(path, remedy).open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        try:
            if tuple(rows.fieldnames or ()) != _COLUMNS:
                raise InputError(path, f"its columns are not {', '.join(_COLUMNS)}", remedy)
            return [_place_of_row(row) for row in rows]
        except InputError:
            raise
        except (ValueError, TypeError, csv.Error) as error:
            raise InputError(
                f"{path}, line {rows.line_num}", f"cannot be read ({error})", remedy
            ) from error


def _place_of_row(row: dict[str, str]) -> FramePlace:
    return FramePlace(
        frame=int(row["frame"]),
        time_s=float(row["time_s"]),
        state=StageState(row["state"]),
        lane=int(row["lane"]),
        x_px=float(row["x_px"]) if row["x_px"] else None,
        y_px=float(row["y_px"]) if row["y_px"] else None,
        confidence=float(row["confidence"]),
    )
