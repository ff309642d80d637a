"""A `cores.csv` that somebody changed by hand: what was done, row by row, as edits."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from blurryscope.artifacts.edit_log import Author, EditEntry
from blurryscope.artifacts.tissue_cores import TissueCore
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.tma.edits import Table, lock, move, remove, rename, set_status, unlock

_ROUNDED_PX = 0.011
"""The table holds hundredths of pixels; spreadsheets may drop zeros but not more."""


def edits_in_table(
    where: object, table: Table, changed: Mapping[CoreName, TissueCore], author: Author
) -> list[EditEntry]:
    """The edits that lead from `table`, as it was written, to `changed`.

    Rows under each other's names are a swap or a relabelling, another place is a move. Raises
    `InputError` for what is no edit of places: scores, listed cores taken out, two rows for one
    piece of tissue.
    """
    _refuse_other_scores(where, table, changed)
    author = replace(author, through="table")
    taken = _taken(where, table, changed)
    try:
        return _edits(table, changed, taken, author)
    except InputError as error:  # it names the core alone
        raise InputError(f"{where}, core {error.where}", error.problem, error.remedy) from error


def _edits(
    table: Table,
    changed: Mapping[CoreName, TissueCore],
    taken: Mapping[CoreName, CoreName],
    author: Author,
) -> list[EditEntry]:
    renamed = taken.keys() | set(taken.values())
    entries = [rename(table, taken, author)] if taken else []
    for name in sorted(changed.keys() - renamed):
        entries += _edits_of_core(table, name, changed[name], author)
    for name in sorted(table.cores.keys() - changed.keys() - renamed):
        entries.append(remove(table, name, author))
    return entries


def _taken(
    where: object, table: Table, changed: Mapping[CoreName, TissueCore]
) -> dict[CoreName, CoreName]:
    """New name to old name, for tissue that is called otherwise now."""
    taken: dict[CoreName, CoreName] = {}
    for name, before in sorted(table.cores.items()):
        if not before.status.has_tissue:
            continue
        now = [
            to for to, core in changed.items() if core.status.has_tissue and _is_at(core, before)
        ]
        if len(now) > 1:
            raise InputError(
                f"{where}, cores {' and '.join(map(str, sorted(now)))}",
                "lie at the same place",
                "Keep one of them, or mark the other as missing",
            )
        if now and now[0] != name:
            taken[now[0]] = name
    return taken


def _edits_of_core(
    table: Table, name: CoreName, after: TissueCore, author: Author
) -> Iterator[EditEntry]:
    before = table.cores.get(name)
    has_moved = not _is_at(after, before)
    was_there = before is not None and before.status.has_tissue
    if not after.status.has_tissue and was_there:
        yield set_status(table, name, after.status, author)
    elif after.status.has_tissue and (has_moved or not was_there):
        yield move(table, name, (after.x_px, after.y_px), author)
    elif before is not None and after.status is not before.status:
        yield set_status(table, name, after.status, author)
    elif before is not None and after.is_locked != before.is_locked:
        yield (lock if after.is_locked else unlock)(table, [name], author)


def _is_at(one: TissueCore, other: TissueCore | None) -> bool:
    return (
        other is not None
        and abs(one.x_px - other.x_px) < _ROUNDED_PX
        and abs(one.y_px - other.y_px) < _ROUNDED_PX
    )


def _refuse_other_scores(
    where: object, table: Table, changed: Mapping[CoreName, TissueCore]
) -> None:
    """Scores belong to names and come from the map alone; moving rows may have moved them."""
    known = {(core.label, round(core.x_px), round(core.y_px)) for core in table.cores.values()}
    for name, core in sorted(changed.items()):
        before = table.cores.get(name)
        is_own = before is not None and core.label is before.label
        is_carried = (core.label, round(core.x_px), round(core.y_px)) in known
        if not is_own and not is_carried and core.label is not None:
            raise InputError(
                f"{where}, core {name}", "has another score", "Correct the score in the map"
            )
