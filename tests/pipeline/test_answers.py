"""An answer that a person gave is never lost, nor used for another question."""

from collections.abc import Callable
from pathlib import Path

import pytest

from blurryscope.artifacts.edit_log import read_edit_log
from blurryscope.artifacts.tissue_cores import CoreStatus, read_core_grid, read_tissue_cores
from blurryscope.basics.errors import InputError
from blurryscope.tma.toy_slides import ToySlide

Rename = Callable[..., Path]

ROW_LOST = ToySlide(rows=3, columns=4, missing=frozenset({"A1", "A2", "A3", "A4"}))
"""Two rows are left of three: nothing shows whether A or C is gone."""


def missing_rows(folder: Path) -> set[str]:
    cores = read_tissue_cores(folder / "cores.csv")
    return {str(core.name)[0] for core in cores if core.status is CoreStatus.MISSING}


def other_row(folder: Path) -> tuple[int, int]:
    """The answer that puts the names where they are not."""
    return (1, 0) if missing_rows(folder) == {"C"} else (-1, 0)


def test_an_answer_holds_when_the_same_is_asked_again(named: Rename) -> None:
    folder = named(ROW_LOST)
    assert read_core_grid(folder / "cores.json").needs_confirmation
    before = missing_rows(folder)
    named(place=other_row(folder))
    answered = (folder / "cores.csv").read_bytes()
    named()
    assert (folder / "cores.csv").read_bytes() == answered
    assert missing_rows(folder) != before
    assert not read_core_grid(folder / "cores.json").needs_confirmation


def test_an_answer_given_twice_is_written_down_once(named: Rename) -> None:
    folder = named(ROW_LOST)
    for _ in range(2):
        named(place=(0, 0))
    assert len(read_edit_log(folder).entries) == 1


def test_an_answer_about_another_map_is_told_and_not_used(named: Rename, tmp_path: Path) -> None:
    folder = named(ROW_LOST)
    named(place=other_row(folder))
    other = tmp_path / "other.csv"
    text = (tmp_path / "map.csv").read_text("utf-8").replace("B2,,", "B2,NA,")
    other.write_text(text, encoding="utf-8")
    named(map_path=other)
    grid = read_core_grid(folder / "cores.json")
    assert grid.needs_confirmation
    assert "was given for another map" in grid.reasons[0]


def test_an_answer_can_be_taken_back(named: Rename) -> None:
    folder = named(ROW_LOST)
    named(place=(0, 0))
    named(forgets_answers=True)
    assert read_core_grid(folder / "cores.json").needs_confirmation
    named()
    assert read_core_grid(folder / "cores.json").needs_confirmation


def test_confirmed_names_are_not_replaced_by_names_without_a_map(named: Rename) -> None:
    folder = named(ROW_LOST)
    named(place=(0, 0))
    before = (folder / "cores.csv").read_bytes()
    with pytest.raises(InputError, match="given with a map, and now there is none"):
        named(map_path=None)
    assert (folder / "cores.csv").read_bytes() == before
