"""Corrections by a person: checked against the slide, then laid over what the search finds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from blurryscope.artifacts.edit_log import Author, EditEntry, EditKind, PlaceState, entry_of
from blurryscope.artifacts.tissue_cores import CoreOutside, CoreStatus, PlaceSource, TissueCore
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.measure import NamedNode, measured_cores
from blurryscope.tma.picture import SlidePicture

_SAME_PLACE_DIAMETERS = 0.5
"""Two cores closer than this are one."""
_SURELY_THERE = 5.0
"""Nats that a person's word counts for tissue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What may be edited, and within what bounds."""

    cores: Mapping[CoreName, TissueCore]
    names: frozenset[CoreName]
    """All places of the array."""
    size_px: tuple[int, int]
    """(rows, columns) of the mosaic."""
    diameter_px: float
    """The usual core."""

    def core(self, name: CoreName) -> TissueCore:
        """The row of a core; an `InputError` where there is none."""
        if name not in self.cores:
            raise InputError(str(name), "has no row in cores.csv", _CHECK_NAME)
        return self.cores[name]


_CHECK_NAME = "Check the name against cores/overview.png"


def move(table: Table, name: CoreName, to_px: tuple[float, float], author: Author) -> EditEntry:
    """Say that a core lies at `to_px`, (x, y) in the mosaic."""
    _refuse_unknown(table, name)
    _refuse_outside(table, name, to_px)
    _refuse_taken(table, name, to_px)
    before = table.cores.get(name)
    after = PlaceState(
        core=str(name),
        x_px=to_px[0],
        y_px=to_px[1],
        diameter_px=table.diameter_px if before is None else before.diameter_px,
        status=None,
    )
    return _entry(table, author, EditKind.MOVE, [name], [after])


def set_status(table: Table, name: CoreName, status: CoreStatus, author: Author) -> EditEntry:
    """Say what state a core is in; `missing` means that there is none."""
    kind = EditKind.MISSING if status is CoreStatus.MISSING else EditKind.STATUS
    after = PlaceState.of(table.core(name)).model_copy(update={"status": status})
    return _entry(table, author, kind, [name], [after])


def remove(table: Table, name: CoreName, author: Author) -> EditEntry:
    """Say that tissue where the map has no core is none either."""
    core = table.core(name)
    if core.status is not CoreStatus.EXTRA:
        raise InputError(
            str(name), "is listed by the map, so its row must stay", "Mark it as missing instead"
        )
    after = PlaceState.of(core).model_copy(update={"is_gone": True})
    return _entry(table, author, EditKind.REMOVE, [name], [after])


def relabel(table: Table, name: CoreName, to: CoreName, author: Author) -> EditEntry:
    """Say that the core called `name` is `to`, which has no tissue of its own so far."""
    return rename(table, {to: name}, author)


def swap(table: Table, one: CoreName, other: CoreName, author: Author) -> EditEntry:
    """Say that each of two cores is the other; where one is missing, the other then is."""
    if one == other:
        raise InputError(str(one), "cannot be swapped with itself", _CHECK_NAME)
    pairs = ((one, other), (other, one))
    taken = {name: old for name, old in pairs if table.core(old).status.has_tissue}
    if not taken:
        raise InputError(f"{one} and {other}", "are both missing", _CHECK_NAME)
    return rename(table, taken, author)


def rename(table: Table, taken: Mapping[CoreName, CoreName], author: Author) -> EditEntry:
    """Say which tissue each name means: `taken` gives, by new name, the name it had so far.

    Names that lose their tissue to others and gain none are missing then, or gone if the map has
    no core there.
    """
    sources = set(taken.values())
    for to, name in taken.items():
        _refuse_unknown(table, to)
        if not table.core(name).status.has_tissue:
            raise InputError(str(name), "is missing, so there is no tissue to relabel", _CHECK_NAME)
        standing = table.cores.get(to)
        if standing is not None and standing.status.has_tissue and to not in sources:
            raise InputError(str(to), "has tissue of its own", f"Swap {name} and {to} instead")
    after = [
        PlaceState.of(table.core(name)).model_copy(update={"core": str(to), "status": None})
        for to, name in taken.items()
    ]
    after += [_vacated(table, name, taken) for name in sorted(sources - taken.keys())]
    names = sorted(sources | taken.keys())
    is_swap = len(taken) == 2 and sources == taken.keys()
    return _entry(table, author, EditKind.SWAP if is_swap else EditKind.RELABEL, names, after)


def _vacated(table: Table, name: CoreName, taken: Mapping[CoreName, CoreName]) -> PlaceState:
    """A name whose tissue is another's; it now lies where that one was looked for in vain."""
    core = table.core(name)
    state = PlaceState.of(core).model_copy(
        update={"status": CoreStatus.MISSING, "is_gone": core.status is CoreStatus.EXTRA}
    )
    taker = next(to for to, source in taken.items() if source == name)
    standing = table.cores.get(taker)
    if standing is None or standing.status.has_tissue:
        return state
    return state.model_copy(update={"x_px": standing.x_px, "y_px": standing.y_px})


def lock(table: Table, names: Sequence[CoreName], author: Author) -> EditEntry:
    """Say that cores are right as they are."""
    after = [PlaceState.of(table.core(name)) for name in names]
    return _entry(table, author, EditKind.LOCK, names, after)


def unlock(table: Table, names: Sequence[CoreName], author: Author) -> EditEntry:
    """Give cores back to the search."""
    after = [PlaceState.of(table.core(name)) for name in names]
    return _entry(table, author, EditKind.UNLOCK, names, after)


def _entry(
    table: Table,
    author: Author,
    kind: EditKind,
    names: Sequence[CoreName],
    after: Iterable[PlaceState],
) -> EditEntry:
    before = [PlaceState.of(table.cores[name]) for name in names if name in table.cores]
    return entry_of(author, kind, table.size_px, before=before, after=after)


def _refuse_unknown(table: Table, name: CoreName) -> None:
    if name not in table.names:
        raise InputError(str(name), "is no place of this array", _CHECK_NAME)


def _refuse_outside(table: Table, name: CoreName, to_px: tuple[float, float]) -> None:
    rows, columns = table.size_px
    if not (0 <= to_px[0] < columns and 0 <= to_px[1] < rows):
        raise InputError(
            str(name),
            f"cannot lie at {to_px[0]:.0f}, {to_px[1]:.0f}: the mosaic is {columns} pixels wide "
            f"and {rows} high",
            "Give x, y in pixels of the mosaic at full resolution",
        )


def _refuse_taken(table: Table, name: CoreName, to_px: tuple[float, float]) -> None:
    for other in table.cores.values():
        away = float(np.hypot(other.x_px - to_px[0], other.y_px - to_px[1]))
        near = away < _SAME_PLACE_DIAMETERS * table.diameter_px
        if near and other.name != name and other.status.has_tissue:
            raise InputError(
                str(name),
                f"cannot lie where {other.name} lies",
                f"Relabel or swap {other.name}, or mark it as missing first",
            )


def with_edits(
    found: Dearrayed, picture: SlidePicture, locked: Mapping[CoreName, PlaceState]
) -> Dearrayed:
    """Lay what a person decided over what was found; scores of the map stay with their names.

    What was found at the place of a locked core under another name is the same tissue: it is taken
    as missing there.
    """
    if not locked:
        return found
    by_name = {core.name: core for core in found.cores}
    kept = [
        _without_taken_tissue(core, locked, found.grid.diameter_px)
        for core in found.cores
        if core.name not in locked
    ]
    told = [
        _as_told(picture, found, state, by_name.get(name))
        for name, state in locked.items()
        if not state.is_gone
    ]
    cores = [core for core in kept if core is not None] + told
    reach_px = _SAME_PLACE_DIAMETERS * found.grid.diameter_px
    outside = tuple(core for core in found.grid.outside if not _is_named(core, cores, reach_px))
    return replace(
        found,
        cores=tuple(sorted(cores, key=lambda core: core.name)),
        grid=found.grid.model_copy(update={"outside": outside}),
    )


def _is_named(outside: CoreOutside, cores: Iterable[TissueCore], reach_px: float) -> bool:
    return any(
        core.status.has_tissue
        and np.hypot(outside.x_px - core.x_px, outside.y_px - core.y_px) < reach_px
        for core in cores
    )


def _without_taken_tissue(
    core: TissueCore, locked: Mapping[CoreName, PlaceState], diameter_px: float
) -> TissueCore | None:
    if not core.status.has_tissue:
        return core
    is_taken = any(
        (state.status is None or state.status.has_tissue)
        and np.hypot(state.x_px - core.x_px, state.y_px - core.y_px)
        < _SAME_PLACE_DIAMETERS * diameter_px
        for state in locked.values()
    )
    if not is_taken:
        return core
    if core.status is CoreStatus.EXTRA:
        return None
    return replace(
        core, status=CoreStatus.MISSING, source=PlaceSource.PREDICTED, tissue_fraction=0.0
    )


def _as_told(
    picture: SlidePicture, found: Dearrayed, state: PlaceState, same_name: TissueCore | None
) -> TissueCore:
    """Measure the place that a person named; place, size and what they said stay as told."""
    node = NamedNode(
        name=state.name,
        found_xy=(state.x_px, state.y_px),
        predicted_xy=(state.x_px, state.y_px),
        tissue_ratio=_SURELY_THERE,
        is_expected=True,
        in_scan=True,
        label=None if same_name is None else same_name.label,
        source=PlaceSource.MANUAL,
        pitch_px=min(found.grid.pitch_px),
    )
    core = measured_cores(picture, found.white, [node], state.diameter_px)[0]
    return replace(
        core,
        x_px=state.x_px,
        y_px=state.y_px,
        diameter_px=state.diameter_px,
        status=state.status or core.status,
        source=PlaceSource.MANUAL,
        offset_pitches=0.0,
        is_locked=True,
    )
