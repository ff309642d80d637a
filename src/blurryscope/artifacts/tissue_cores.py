"""The cores of a slide: `cores.csv`, one row a place, and `cores.json`, how sure the names are."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from blurryscope.artifacts.table_text import opened_table
from blurryscope.artifacts.whole import present_file, whole_file, write_text_whole
from blurryscope.artifacts.wrong_field import wrong_field
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score, score_of_label

_COLUMNS = (
    "core", "row", "column", "x_px", "y_px", "diameter_px", "status", "tissue_fraction", "focus",
    "confidence", "label", "source", "offset_pitches", "saturation", "haematoxylin_od", "dab_od",
)  # fmt: skip
_OPTIONAL = frozenset({"haematoxylin_od", "dab_od"})
"""Tables written before these were measured lack them."""
_LOCKED = "locked"
"""A column that may be absent; `yes` or nothing."""


class CoreStatus(StrEnum):
    """What was found at a place."""

    OK = "ok"
    PARTIAL = "partial"
    """Clearly less than a disc of tissue."""
    FRAGMENTED = "fragmented"
    """Several pieces, none of which is the core."""
    FOLDED = "folded"
    """A good part is far denser than the rest, as where tissue lies double."""
    MISSING = "missing"
    """The map lists a core, the slide has none there."""
    EXTRA = "extra"
    """The slide has tissue where the map lists no core."""
    HOLED = "holed"
    """Part of it, inside what was scanned, was never filmed: frames were lost."""
    EDGE_CUT = "edge-cut"
    """Part of it was not scanned: it lies beyond the edge, or the film has a hole there."""
    NOT_SCANNED = "not-scanned"
    """The place lies where nothing was scanned: whether a core is there is not known."""
    UNSURE = "unsure"
    """Hardly any tissue: perhaps a faint core, perhaps dirt."""

    @property
    def has_tissue(self) -> bool:
        """Whether tissue was seen there."""
        return self not in {CoreStatus.MISSING, CoreStatus.NOT_SCANNED}

    @property
    def is_damaged(self) -> bool:
        """Whether what was seen is not the core as it was cut: on the slide, or in the film."""
        return self in {
            CoreStatus.PARTIAL, CoreStatus.FRAGMENTED, CoreStatus.FOLDED, CoreStatus.HOLED,
            CoreStatus.EDGE_CUT,
        }  # fmt: skip


class PlaceSource(StrEnum):
    """Where the place and the name of a core come from."""

    AUTO = "auto"
    """Found on the slide, named by the lab's map."""
    PREDICTED = "predicted"
    """Not found; where the lattice says that it should lie, named by the lab's map."""
    INFERRED = "inferred"
    """Found, but there was no map: the name counts the rows and columns seen, it is no lab's."""
    MANUAL = "manual"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueCore:
    """One place of the layout on the slide."""

    name: CoreName
    x_px: float
    """Centre in the mosaic, full resolution, pixel centres at integers."""
    y_px: float
    diameter_px: float
    status: CoreStatus
    tissue_fraction: float
    """Tissue in the disc of `diameter_px`, 0 to 1."""
    focus: float
    """Sharpness across the scan axis, 0 to 1; see docs/reference/maps.md."""
    confidence: float
    """How sure it is that this status is right, 0 to 1."""
    label: Score | None
    """The score that the lab's map gives; None where it gives none."""
    source: PlaceSource
    offset_pitches: float = 0.0
    """Distance from the node of the fitted lattice, in pitches."""
    saturation: float = 0.0
    """Mean colour saturation of the tissue, 0 grey to 1."""
    haematoxylin_od: float = 0.0
    """Mean optical density of haematoxylin in the tissue; `dab_od` likewise of brown stain."""
    dab_od: float = 0.0
    is_locked: bool = False
    """A person has decided where it lies or what it is; later searches leave it so."""

    def __post_init__(self) -> None:
        for field in ("x_px", "y_px", "diameter_px", "offset_pitches"):
            if not math.isfinite(getattr(self, field)):
                raise ValueError(f"{field} must be finite, got {getattr(self, field)}")
        if self.diameter_px <= 0:
            raise ValueError(f"diameter_px must be positive, got {self.diameter_px}")
        for field in ("tissue_fraction", "focus", "confidence", "saturation"):
            if not 0.0 <= getattr(self, field) <= 1.0:
                raise ValueError(f"{field} must be 0 to 1, got {getattr(self, field)}")
        for field in ("haematoxylin_od", "dab_od"):
            if not 0.0 <= getattr(self, field) < 10.0:
                raise ValueError(f"{field} must be 0 to 10, got {getattr(self, field)}")


def write_tissue_cores(path: Path, cores: Iterable[TissueCore]) -> None:
    """Write `cores.csv`, whole or not at all. `row` and `column` count from 1 there."""
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow((*_COLUMNS, _LOCKED))
        rows.writerows(_row_of_core(core) for core in cores)


def _row_of_core(core: TissueCore) -> list[object]:
    return [
        core.name, core.name.row + 1, core.name.column + 1,
        f"{core.x_px:.2f}", f"{core.y_px:.2f}", f"{core.diameter_px:.2f}",
        core.status, f"{core.tissue_fraction:.4f}", f"{core.focus:.4f}", f"{core.confidence:.4f}",
        "" if core.label is None else core.label.label, core.source,
        f"{core.offset_pitches:.4f}", f"{core.saturation:.4f}",
        f"{core.haematoxylin_od:.4f}", f"{core.dab_od:.4f}",
        "yes" if core.is_locked else "",
    ]  # fmt: skip


def read_tissue_cores(path: Path, *, by_name_alone: bool = False) -> list[TissueCore]:
    """Read `cores.csv`; an `InputError` names the line that cannot be used.

    `by_name_alone` is for a table changed by hand: `row` and `column` follow from `core`.
    Spreadsheets may have put semicolons between cells, and commas into numbers.
    """
    with opened_table(path, "Find the cores first: blurryscope cores") as file:
        has_semicolons = ";" in file.readline()
        file.seek(0)
        rows = csv.DictReader(file, delimiter=";" if has_semicolons else ",")
        there = {*_OPTIONAL, *(rows.fieldnames or ())}
        absent = [column for column in _COLUMNS if column not in there]
        if absent:
            raise InputError(path, f"has no column {', '.join(absent)}", "Find the cores again")
        cores: dict[CoreName, TissueCore] = {}
        for cells in rows:
            row = _with_points(cells) if has_semicolons else cells
            core = _core_of_row(f"{path}, line {rows.line_num}", row, by_name_alone=by_name_alone)
            if core.name in cores:
                raise InputError(
                    f"{path}, line {rows.line_num}", f"{core.name} is there twice", "Keep one"
                )
            cores[core.name] = core
    return list(cores.values())


def _with_points(cells: dict[str, str]) -> dict[str, str]:
    """Numbers as they were before a spreadsheet wrote its own decimal commas.

    Without what stands beside the table, such as a remark.
    """
    return {
        key: text.replace(",", ".") if text else text
        for key, text in cells.items()
        if key in {*_COLUMNS, _LOCKED}
    }


def _core_of_row(where: str, row: dict[str, str], *, by_name_alone: bool) -> TissueCore:
    try:
        name = CoreName.parse(row["core"])
        place = None if by_name_alone else (int(row["row"]), int(row["column"]))
        if place not in {None, (name.row + 1, name.column + 1)}:
            raise ValueError(f"{row['core']} is not row {row['row']}, column {row['column']}")
        return TissueCore(
            name=name,
            x_px=float(row["x_px"]),
            y_px=float(row["y_px"]),
            diameter_px=float(row["diameter_px"]),
            status=CoreStatus(row["status"]),
            tissue_fraction=float(row["tissue_fraction"]),
            focus=float(row["focus"]),
            confidence=float(row["confidence"]),
            label=score_of_label(row["label"]) if row["label"] else None,
            source=PlaceSource(row["source"]),
            offset_pitches=float(row["offset_pitches"]),
            saturation=float(row["saturation"]),
            haematoxylin_od=float(row.get("haematoxylin_od", 0.0)),
            dab_od=float(row.get("dab_od", 0.0)),
            is_locked=_is_yes(row.get(_LOCKED) or ""),
        )
    except (ValueError, TypeError, AttributeError) as error:  # the latter two: cells cut off
        raise InputError(where, f"cannot be read ({error})", "Find the cores again") from error


def _is_yes(text: str) -> bool:
    plain = text.strip().casefold()
    if plain in {"yes", "y", "true", "1", "x"}:
        return True
    if plain in {"", "no", "n", "false", "0"}:
        return False
    raise ValueError(f"locked is {text!r}, not yes or empty")


class Block(BaseModel):
    """Rows and columns of the layout that form one lattice; all of it for a plain array."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_row: Annotated[int, Field(ge=0)]
    """Counts from 0, as do columns."""
    first_column: Annotated[int, Field(ge=0)]
    rows: Annotated[int, Field(gt=0)]
    columns: Annotated[int, Field(gt=0)]


class Candidate(BaseModel):
    """One way to lay the layout onto the cores found, and how well it fits what is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    orientation: str
    row_shift: int
    """Rows that the names move down against the best placement; 0 for the best one itself."""
    column_shift: int
    score: float
    """Log-likelihood in nats; only differences mean something."""
    presence: float
    """The part of `score` that stems from tissue seen or not seen where the map wants it."""
    scan: float
    """The part that stems from where the array lies in the scan."""
    stain: float
    """The part that stems from brown stain against the map's scores; 0 where not used."""
    answer: str = ""
    """What to add to the command line to choose this one."""


class CoreOutside(BaseModel):
    """A core that was seen beyond the rows and columns of the map, and so has no name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x_px: float
    """Centre in the mosaic, full resolution."""
    y_px: float
    line: str
    """The outermost line of the map that it lies beyond, such as `row A`."""


class CoreGrid(BaseModel):
    """`cores.json`: the layout used, and how sure it is that it lies right."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: Annotated[int, Field(gt=0)]
    columns: Annotated[int, Field(gt=0)]
    layout: tuple[Block, ...]
    orientation: Annotated[
        str, Field(pattern=r"^(as-scanned|mirrored|(turned|mirrored)-(90|180|270))$")
    ]
    """How the array lies in the scan, such as `as-scanned`, `turned-90`, `mirrored-180`."""
    placement_margin: float
    """Score of the best placement minus that of the second best, in nats."""
    needs_confirmation: bool
    """True: no label here is final until a person has confirmed the placement."""
    confirmed_by_hand: bool = False
    """A person has answered; `placement_margin` still says what the evidence alone is worth."""
    reasons: tuple[str, ...] = ()
    """Why confirmation is needed, and whatever else a person should know."""
    agrees_with_first: bool | None = None
    """Whether the cores look like those of the same name in the first repeat. False: the repeat
    takes no part in the results. None for the first repeat itself, or an only one."""
    slide: str | None = None
    """What the lab's map calls the slide; None without a map, or where it does not say."""
    names_from: Annotated[str, Field(pattern="^(map|grid)$")]
    """`map`: names are the lab's. `grid`: there was no map; names count what was seen."""
    candidates: tuple[Candidate, ...] = ()
    """The best placements, best first."""
    outside: tuple[CoreOutside, ...] = ()
    """Cores beyond the rows and columns of the map."""
    pixel_size_um: float | None
    diameter_px: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """The usual core, in full-resolution pixels."""
    pitch_px: tuple[float, float]
    """Distance between neighbours along a row, and between rows."""
    tilt_deg: float
    """Of the rows against x; positive turns from x towards y."""
    white: tuple[float, float, float]
    """What clear glass gives, red, green, blue, 0 to 255."""
    research_use_only: str


def write_core_grid(path: Path, grid: CoreGrid) -> None:
    """Write `cores.json`, whole or not at all."""
    write_text_whole(path, grid.model_dump_json(indent=2) + "\n")


def read_core_grid(path: Path) -> CoreGrid:
    """Read `cores.json`; an `InputError` names the entry that cannot be used."""
    present_file(path, "Find the cores first: blurryscope cores")
    try:
        return CoreGrid.model_validate_json(path.read_bytes())
    except ValidationError as error:
        place, problem = wrong_field(error)
        raise InputError(f"{path}, {place}", problem, "Find the cores again") from error
