"""What a slide's array is, in its folder, and as a template for the next slide."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from blurryscope.artifacts.array_layout import PlaceKind
from blurryscope.artifacts.lab_map import MapEntry, SlideMap
from blurryscope.artifacts.layout_file import read_layout
from blurryscope.artifacts.map_table import safe_cell
from blurryscope.artifacts.score_words import Presence
from blurryscope.artifacts.tissue_cores import read_core_grid, write_core_grid
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score
from blurryscope.tma.array_folder import confirmed_layout, write_array
from blurryscope.tma.find import find_cores
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide, map_of
from blurryscope.tma.write import write_cores

FREE = {"A1", "C4"}
SLIDE = ToySlide(rows=3, columns=4, missing=frozenset({*FREE, "B2", "B3"}))


def lab_map() -> SlideMap:
    """B2 has a score and is lost; B3 is known to be lost; C3 is called lost and is there."""
    listed = [str(name) for name in SLIDE.names() if str(name) not in FREE]
    entries = dict(map_of(listed, B2=Score.TWO).entries)
    lost = MapEntry(score=None, case="=1+1", presence=Presence.LOST)
    entries |= {CoreName(1, 2): lost, CoreName(2, 2): lost}
    return SlideMap(slide=None, entries=entries)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("array")
    picture = SLIDE.picture()
    found = find_cores(picture, lab_map(), TmaSettings(place=(0, 0)))
    write_cores(found, picture, out)
    write_array(found, picture, out, slide_map=lab_map(), layout=None)
    return out


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["core"]: row for row in csv.DictReader(file)}


def test_what_is_missing_or_should_not_be_there_is_listed(folder: Path) -> None:
    told = {name: row["what"] for name, row in rows_of(folder / "array/differences.csv").items()}
    assert told == {
        "B2": "missing, although the map gives a score",
        "C3": "there, although the map calls it lost",
    }


def test_no_cell_of_a_table_is_a_formula(folder: Path) -> None:
    assert rows_of(folder / "array/map.csv")["C3"]["case"] == "'=1+1"
    assert safe_cell("2+") == "2+"


def test_a_template_knows_empty_places_and_sizes(folder: Path) -> None:
    layout = confirmed_layout(folder)
    assert {str(place.name) for place in layout.special} == FREE
    assert layout.pitch_um == pytest.approx((1700, 1700), rel=0.03)
    assert layout.core_diameter_um == pytest.approx(1040, rel=0.1)
    assert layout == read_layout(folder / "array/layout.toml")


def test_a_template_names_the_next_slide_of_the_block(folder: Path) -> None:
    layout = confirmed_layout(folder)
    following = replace(SLIDE, missing=frozenset({*FREE, "A2"}), seed=9, tilt_deg=4.0)
    found = find_cores(following.picture(), None, TmaSettings(layout=layout))
    lost = {str(core.name) for core in found.cores if not core.status.has_tissue}
    assert lost == {"A2"}
    assert {place.kind for place in layout.special} == {PlaceKind.EMPTY}


def test_names_that_are_not_confirmed_make_no_template(folder: Path, tmp_path: Path) -> None:
    grid = read_core_grid(folder / "cores.json")
    (tmp_path / "array").mkdir()
    (tmp_path / "array/layout.toml").write_bytes((folder / "array/layout.toml").read_bytes())
    unsure = grid.model_copy(update={"needs_confirmation": True, "reasons": ("Perhaps turned",)})
    write_core_grid(tmp_path / "cores.json", unsure)
    with pytest.raises(InputError, match="not confirmed: Perhaps turned"):
        confirmed_layout(tmp_path)
