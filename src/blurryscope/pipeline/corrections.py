"""Corrections by a person in a slide's folder: taken in, written down, and laid over the results.

`cores.csv` may be changed by hand. Whatever reads it next compares it with the table that the
program wrote, writes the difference into `edits.jsonl`, and brings pictures and sheets in line, so
that no core is scored under a name that its picture does not have.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from blurryscope.artifacts.array_layout import Layout
from blurryscope.artifacts.edit_log import (
    Author,
    EditEntry,
    EditKind,
    EditLog,
    append_edits,
    read_edit_log,
)
from blurryscope.artifacts.layout_file import read_layout
from blurryscope.artifacts.tissue_cores import TissueCore, read_core_grid, read_tissue_cores
from blurryscope.basics.clock import SystemClock
from blurryscope.basics.errors import InputError
from blurryscope.pipeline.steps import fingerprint_of, stamp
from blurryscope.tma.array_folder import FOLDER, LAYOUT, TABLE, write_array_again
from blurryscope.tma.edits import Table, with_edits
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.hand_edited import edits_in_table
from blurryscope.tma.picture import SlidePicture
from blurryscope.tma.white_balance import WhiteBalance
from blurryscope.tma.write import write_cores

MakeEdits = Callable[[Table], Sequence[EditEntry]]


def take_in_hand_edits(
    folder: Path, picture: SlidePicture, author: Author | None = None
) -> Sequence[EditEntry]:
    """Write down what was changed by hand in `cores.csv`, and bring everything in line with it.

    Does nothing where the table is as it was written, or where a run was killed while it wrote.
    """
    table, written = folder / "cores.csv", folder / FOLDER / TABLE
    if not (table.is_file() and written.is_file()) or stamp(folder, "cores") is None:
        return ()
    log = read_edit_log(folder)
    if table.read_bytes() == written.read_bytes():
        if not _shows(read_tissue_cores(written), log):  # killed between the log and the tables
            correct(folder, picture, lambda _: (), is_new=True)
        return ()
    changed = {core.name: core for core in read_tissue_cores(table, by_name_alone=True)}
    told = author or Author(at=SystemClock().utc_now())
    return correct(
        folder, picture, lambda before: edits_in_table(table, before, changed, told), is_new=True
    )


def correct(
    folder: Path, picture: SlidePicture, make_edits: MakeEdits, *, is_new: bool = False
) -> Sequence[EditEntry]:
    """Make edits, write them down, and write tables, pictures and sheets anew.

    `is_new` says that `cores.csv` itself holds what is being taken in.
    """
    if not is_new:
        take_in_hand_edits(folder, picture)
    log = read_edit_log(folder)
    log.refuse_other_size(folder, picture.size_px)
    cores = read_tissue_cores(folder / FOLDER / TABLE)
    layout = read_layout(folder / FOLDER / LAYOUT)
    grid = read_core_grid(folder / "cores.json")
    entries = make_edits(_table(cores, layout, picture, grid.diameter_px))
    append_edits(folder, entries)
    before = Dearrayed(
        cores=tuple(cores), grid=grid, white=WhiteBalance(np.array(grid.white, np.float64))
    )
    after = with_edits(_freed(before, entries), picture, read_edit_log(folder).locked)
    write_cores(after, picture, folder)
    write_array_again(after, picture, folder, layout)
    return entries


def _shows(cores: Sequence[TissueCore], log: EditLog) -> bool:
    """Whether a table has all that was decided."""
    by_name = {core.name: core for core in cores}
    return all(
        (name not in by_name) if state.is_gone else (name in by_name and by_name[name].is_locked)
        for name, state in log.locked.items()
    )


def _freed(before: Dearrayed, entries: Sequence[EditEntry]) -> Dearrayed:
    """Without the locks that were taken off just now."""
    freed = {s.name for e in entries if e.kind is EditKind.UNLOCK for s in e.after}
    cores = (
        replace(core, is_locked=False) if core.name in freed else core for core in before.cores
    )
    return replace(before, cores=tuple(cores))


def _table(
    cores: Sequence[TissueCore], layout: Layout, picture: SlidePicture, diameter_px: float
) -> Table:
    return Table(
        cores={core.name: core for core in cores},
        names=frozenset(layout.names()),
        size_px=picture.size_px,
        diameter_px=diameter_px,
    )


def with_kept_edits(found: Dearrayed, picture: SlidePicture, folder: Path) -> Dearrayed:
    """What was found, with the edits that a person made in this folder before."""
    log = read_edit_log(folder)
    log.refuse_other_size(folder, picture.size_px)
    return with_edits(found, picture, log.locked)


CORRECTED = "corrected"
"""The stamp that says which corrections of the first repeat a folder was named after."""


def corrections_print(first: Path) -> str:
    """Checksum of what was corrected in the first repeat: the others are named after it."""
    locked = read_edit_log(first).locked
    return fingerprint_of([state.model_dump() for state in locked.values()])


def refuse_uncarried_corrections(folders: Sequence[Path]) -> None:
    """Repeats that still have the names of before would be fused with tissue of other cores."""
    current, none = corrections_print(folders[0]), fingerprint_of([])
    behind = [folder for folder in folders[1:] if (stamp(folder, CORRECTED) or none) != current]
    if behind:
        raise InputError(
            behind[0],
            f"was named before {folders[0].name} was corrected",
            "Carry the corrections over with `blurryscope run` or `blurryscope cores`, and the map",
        )
