"""Where the views of a core lie in its picture and how much each counted: `why/views.csv`."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from blurryscope.artifacts.table_text import opened_table
from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError

_COLUMNS = ("core", "view", "top_px", "left_px", "side_px", "weight")
_REMEDY = "Score the slide again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPlace:
    """The square of a core's picture that a view shows, in pixels of that picture.

    Upper left corners count from the outer corner of the first pixel. A view may reach beyond the
    picture, where it shows glass.
    """

    top_px: float
    left_px: float
    side_px: float

    def __post_init__(self) -> None:
        if not self.side_px > 0:
            raise ValueError(f"side_px must be positive, got {self.side_px}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedView:
    """A view and how much the network let it count."""

    place: ViewPlace
    weight: float
    """0 to 1; the weights of a core's views sum to 1."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight <= 1.0 + 1e-6:
            raise ValueError(f"weight must be 0 to 1, got {self.weight}")


def write_view_places(path: Path, cores: Mapping[CoreName, Iterable[WeighedView]]) -> None:
    """Write `views.csv`, a row per core and view, whole or not at all."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for core, views in cores.items():
            for number, view in enumerate(views):
                place = view.place
                figures = (place.top_px, place.left_px, place.side_px)
                cells = [f"{figure:.2f}" for figure in figures]
                rows.writerow([core, number, *cells, f"{view.weight:.4f}"])


def read_view_places(path: Path) -> dict[CoreName, tuple[WeighedView, ...]]:
    """Read `views.csv`, views in their order; an `InputError` names what cannot be used."""
    found: dict[CoreName, tuple[WeighedView, ...]] = {}
    with opened_table(path, _REMEDY) as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != _COLUMNS:
            raise InputError(path, f"its columns are not {', '.join(_COLUMNS)}", _REMEDY)
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            core, view = _view_of_row(where, row)
            if int(row["view"]) != len(found.get(core, ())):
                raise InputError(where, "its views are not in order", _REMEDY)
            found[core] = (*found.get(core, ()), view)
    return found


def _view_of_row(where: str, row: dict[str, str]) -> tuple[CoreName, WeighedView]:
    try:
        place = ViewPlace(
            top_px=float(row["top_px"]),
            left_px=float(row["left_px"]),
            side_px=float(row["side_px"]),
        )
        int(row["view"])
        return CoreName.parse(row["core"]), WeighedView(place=place, weight=float(row["weight"]))
    except (ValueError, TypeError, AttributeError) as error:  # the latter two: cells cut off
        raise InputError(where, f"cannot be read ({error})", _REMEDY) from error
