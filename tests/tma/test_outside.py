"""A map that ends before the array does would name every core one line off: it is asked about."""

import csv
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.slide_map import SlideMap
from blurryscope.artifacts.tissue_cores import CoreStatus, read_core_grid
from blurryscope.basics.core_name import CoreName
from blurryscope.tma.array_folder import write_array
from blurryscope.tma.candidates import draw_candidates
from blurryscope.tma.find import Dearrayed, find_cores
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.overview import draw_overview
from blurryscope.tma.picture import PlainPicture, working_picture
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide, map_of
from blurryscope.tma.write import write_cores

SLIDE = ToySlide(rows=4, columns=5, missing=frozenset({"B2", "C4"}))


def short_map(rows: int = 3, columns: int = 5) -> SlideMap:
    return map_of([str(CoreName(row, column)) for row in range(rows) for column in range(columns)])


@pytest.fixture(scope="module")
def found() -> Dearrayed:
    return find_cores(SLIDE.picture(), short_map(), TmaSettings())


@pytest.mark.parametrize(("rows", "columns", "count"), [(3, 5, 5), (4, 4, 4)])
def test_a_map_one_row_or_column_short_is_asked_about(rows: int, columns: int, count: int) -> None:
    found = find_cores(SLIDE.picture(), short_map(rows, columns), TmaSettings())
    assert found.grid.needs_confirmation
    assert any(
        reason.startswith(f"{count} cores lie outside the map's rows and columns")
        for reason in found.grid.reasons
    )


def test_the_line_beyond_which_cores_lie_is_the_labs_whichever_way_the_array_lies() -> None:
    turned = np.ascontiguousarray(np.rot90(SLIDE.picture().read_level(0)))
    settings = TmaSettings(orientation=Orientation.TURNED_270)
    found = find_cores(PlainPicture(turned, 10.0), short_map(4, 4), settings)
    assert {core.line for core in found.grid.outside} <= {"column 1", "column 4"}
    assert len(found.grid.outside) == 4


def test_one_piece_of_debris_beside_the_array_is_told_but_not_asked_about() -> None:
    slide = ToySlide(rows=4, columns=5, missing=frozenset({"A2", "A3", "A4", "A5", "B2", "C4"}))
    listed = [name for name in map(str, SLIDE.names()) if name[0] != "A"]
    named = [f"{chr(ord(name[0]) - 1)}{name[1:]}" for name in listed]
    found = find_cores(slide.picture(), map_of(named), TmaSettings())
    assert len(found.grid.outside) == 1
    assert not any("outside the map" in reason for reason in found.grid.reasons)


def test_a_whole_map_leaves_no_core_outside() -> None:
    assert not find_cores(SLIDE.picture(), SLIDE.map(), TmaSettings()).grid.outside


def test_an_answer_ends_the_asking_and_keeps_the_list() -> None:
    found = find_cores(SLIDE.picture(), short_map(), TmaSettings(place=(0, 0)))
    assert not found.grid.needs_confirmation
    assert len(found.grid.outside) == 5


def test_cores_outside_are_written_where_slide_and_map_differ(
    found: Dearrayed, tmp_path: Path
) -> None:
    picture = SLIDE.picture()
    write_cores(found, picture, tmp_path)
    write_array(found, picture, tmp_path, slide_map=short_map(), layout=None)
    with (tmp_path / "array/differences.csv").open(encoding="utf-8", newline="") as file:
        beyond = [row for row in csv.DictReader(file) if not row["core"]]
    assert len(beyond) == 5
    assert {row["slide"] for row in beyond} == {CoreStatus.EXTRA}
    assert all("of the map, at " in row["what"] for row in beyond)
    assert read_core_grid(tmp_path / "cores.json").outside == found.grid.outside


def blue(picture: np.ndarray) -> int:
    red, green, other = np.moveaxis(picture.astype(int), -1, 0)
    return int(np.count_nonzero((abs(red - 40) < 12) & (abs(green - 90) < 12) & (other > 178)))


def test_cores_outside_are_ringed_blue(found: Dearrayed) -> None:
    whole = find_cores(SLIDE.picture(), SLIDE.map(), TmaSettings())
    working = working_picture(SLIDE.picture())
    assert blue(draw_overview(found, working)) > blue(draw_overview(whole, working)) + 500
    choice = draw_candidates(found, working)
    assert choice is not None
    assert blue(choice) > 500
