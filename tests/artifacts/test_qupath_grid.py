from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.artifacts.array_layout import Layout, LayoutBlock
from blurryscope.artifacts.core_labels import read_axis
from blurryscope.artifacts.qupath_grid import (
    GridCore,
    QuPathGrid,
    map_of_grid,
    read_qptma,
    write_qpmap,
    write_qptma,
)
from blurryscope.artifacts.score_words import Presence
from blurryscope.artifacts.slide_map import read_slide_map
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError


def as_qupath_reads(path: Path) -> list[dict[str, str]]:
    """QuPath's own rules, written anew: skip to the sizes, then a tab table of W x H rows."""
    lines = path.read_text(encoding="utf-8").split("\n")
    width = height = 0
    while not lines[0].startswith("Core name"):
        line = lines.pop(0)
        if line.startswith("TMA grid width:"):
            width = int(line.split(":")[1])
        if line.startswith("TMA grid height:"):
            height = int(line.split(":")[1])
    headings = lines.pop(0).split("\t")
    rows = [dict(zip(headings, line.split("\t"), strict=True)) for line in lines if line]
    assert len(rows) == width * height
    for row in rows:
        for length in ("X", "Y", "Width", "Height"):
            float(row[length])
    return rows


@st.composite
def grids(draw: st.DrawFn) -> QuPathGrid:
    height, width = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    place = st.integers(-50_000, 400_000).map(lambda hundredths: hundredths / 100)
    side = st.integers(1, 90_000).map(lambda hundredths: hundredths / 100)
    cores = tuple(
        GridCore(
            label=f"{CoreName(row, column)}",
            left_px=draw(place),
            top_px=draw(place),
            width_px=draw(side),
            height_px=draw(side),
            is_present=draw(st.booleans()),
            case=draw(st.none() | st.text("aB3-ü ", min_size=1).map(str.strip).filter(bool)),
        )
        for row in range(height)
        for column in range(width)
    )
    return QuPathGrid(width=width, height=height, cores=cores)


@given(grids())
def test_a_grid_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, grid: QuPathGrid
) -> None:
    path = tmp_path_factory.mktemp("grid") / "slide.qptma"
    write_qptma(path, grid)
    back = read_qptma(path)
    collapsed = [" ".join((core.case or "").split()) or None for core in grid.cores]
    assert [core.case for core in back.cores] == collapsed
    for core, written in zip(back.cores, grid.cores, strict=True):
        assert core.centre_px == pytest.approx(written.centre_px)


@given(grids())
def test_qupath_reads_what_is_written(
    tmp_path_factory: pytest.TempPathFactory, grid: QuPathGrid
) -> None:
    path = tmp_path_factory.mktemp("grid") / "slide.qptma"
    write_qptma(path, grid)
    rows = as_qupath_reads(path)
    assert [row["Present"] for row in rows] == [str(c.is_present).lower() for c in grid.cores]


def test_an_older_grid_with_other_lines_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.qptma"
    path.write_text(
        "Image: slide.svs\nTMA grid width: 2\nTMA grid height: 1\n"
        "Core name\tX\tY\tWidth\tHeight\tPresent\tUnique ID\n"
        "1-A\t0\t0\t10\t10\ttrue\tp7\n1-B\t20\t0\t10\t10\tfalse\t\n",
        encoding="utf-8",
    )
    read = map_of_grid(read_qptma(path))
    assert read.entries[CoreName(0, 0)].case == "p7"
    assert read.entries[CoreName(1, 0)].presence is Presence.LOST
    assert read.layout is not None
    assert read.layout.blocks[0].is_lettered_across


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("A1\t0\t0\t10\t10\ttrue\n", "needs 2 cores, got 1"),
        ("A1\t0\t0\t10\t10\ttrue\nA2\t\t\t\t\tfalse\n", "line 5: cannot be read"),
        ("A1\t0\t0\t10\t10\ttrue\nA2\t0\t0\t10\t10\tmaybe\n", "neither true nor false"),
    ],
)
def test_a_grid_that_is_not_whole_is_refused(tmp_path: Path, rows: str, said: str) -> None:
    path = tmp_path / "bad.qptma"
    path.write_text(
        "TMA grid width: 2\nTMA grid height: 1\nCore name\tX\tY\tWidth\tHeight\tPresent\n" + rows,
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=said):
        read_qptma(path)


@pytest.mark.parametrize("labels", ["A1 A2 A3 A4", "A1 A2 C2 C1", "A1 B2 C3 D4"])
def test_a_grid_whose_labels_do_not_tell_rows_and_columns_is_no_map(labels: str) -> None:
    cores = tuple(
        GridCore(
            label=label, left_px=0, top_px=0, width_px=9, height_px=9, is_present=True, case=None
        )
        for label in labels.split()
    )
    with pytest.raises(InputError, match="labels that are not rows and columns"):
        map_of_grid(QuPathGrid(width=2, height=2, cores=cores))


def test_cases_come_back_from_a_qpmap_also_where_the_last_column_is_empty(tmp_path: Path) -> None:
    block = LayoutBlock(row_labels=read_axis("A-B"), column_labels=read_axis("1-3"), at=(0, 0))
    cases = {CoreName(0, 0): "p1", CoreName(1, 1): "p 2"}
    path = tmp_path / "slide.qpmap"
    write_qpmap(path, Layout((block,)), cases)
    assert all(line.count("\t") == 3 for line in path.read_text("utf-8").splitlines())
    read = read_slide_map(path)
    assert {n: e.case for n, e in read.entries.items() if e.case} == cases
    assert read.entries[CoreName(1, 2)].presence is Presence.EMPTY
