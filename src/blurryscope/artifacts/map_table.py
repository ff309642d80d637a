"""`array/map.csv`, the map as it was read, and `array/differences.csv`, where the slide differs."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from blurryscope.artifacts.lab_map import MapEntry, SlideMap
from blurryscope.artifacts.score_words import Presence
from blurryscope.artifacts.tissue_cores import CoreOutside, CoreStatus, TissueCore
from blurryscope.artifacts.whole import present_file, whole_file
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError

_COLUMNS = ("core", "case", "map", "score", "kind", "remark")
_DIFFERENCES = ("core", "case", "map", "slide", "what")


def write_map_table(path: Path, slide_map: SlideMap) -> None:
    """Write every place that the map lists, each reader's word beside the score that is used."""
    readers = slide_map.readers
    rows = (
        [
            name,
            safe_cell(entry.case or ""),
            entry.presence,
            "" if entry.score is None else entry.score.label,
            entry.kind or "",
            _remark(entry, slide_map.rule),
            *(_word_of(entry, reader) for reader in readers),
        ]
        for name, entry in sorted(slide_map.entries.items())
    )
    _write(path, (*_COLUMNS, *(safe_cell(f"reader {reader}") for reader in readers)), rows)


def _remark(entry: MapEntry, rule: str | None) -> str:
    if entry.is_undecided:
        return f"readers disagree, and {rule} decides nothing"
    return f"readers disagree; score by {rule}" if entry.is_disputed else ""


def _word_of(entry: MapEntry, reader: str) -> str:
    return next((str(r.word) for r in entry.readings if r.reader == reader), "")


def read_map_table(path: Path) -> dict[CoreName, tuple[Presence, str]]:
    """What the map says of each place, and the case, out of `map.csv`."""
    present_file(path, "Find the cores again: blurryscope cores")
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return {
                CoreName.parse(row["core"]): (Presence(row["map"]), row["case"])
                for row in csv.DictReader(file)
            }
        except (KeyError, ValueError) as error:
            raise InputError(path, "cannot be read", "Find the cores again") from error


def write_differences(
    path: Path,
    listed: Mapping[CoreName, tuple[Presence, str]],
    cores: Iterable[TissueCore],
    outside: Iterable[CoreOutside] = (),
) -> None:
    """Write where slide and map differ: cores that are missing, and tissue that is not listed.

    Cores beyond the map's rows and columns have no name; they follow the others.
    """
    beyond = (
        [
            "",
            "",
            "not listed",
            CoreStatus.EXTRA,
            f"core beyond {core.line} of the map, at {core.x_px:.0f},{core.y_px:.0f}",
        ]
        for core in outside
    )
    _write(path, _DIFFERENCES, chain(_differences(listed, cores), beyond))


def _differences(
    listed: Mapping[CoreName, tuple[Presence, str]], cores: Iterable[TissueCore]
) -> Iterator[list[object]]:
    for core in sorted(cores, key=lambda core: core.name):
        presence, case = listed.get(core.name, (None, ""))
        what = _difference(core, presence)
        if what is not None:
            yield [core.name, case, presence or "not listed", core.status, what]


def _difference(core: TissueCore, presence: Presence | None) -> str | None:
    is_expected = presence is not None and presence.expects_tissue
    if core.status is CoreStatus.UNSURE:
        return "hardly any tissue: look"
    if core.status is CoreStatus.NOT_SCANNED:
        return "not scanned"
    if is_expected and not core.status.has_tissue:
        scored = presence is Presence.SCORED
        return "missing, although the map gives a score" if scored else "missing"
    if not is_expected and core.status.has_tissue:
        lost = presence is Presence.LOST
        return "there, although the map calls it lost" if lost else "tissue without a core"
    return None


def safe_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula; `2+` stays as it is."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _write(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
