import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.artifacts.tissue_cores import (
    Block,
    CoreGrid,
    CoreStatus,
    PlaceSource,
    TissueCore,
    read_core_grid,
    read_tissue_cores,
    write_core_grid,
    write_tissue_cores,
)
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY, Score
from blurryscope.tma.orientation import Orientation

shares = st.integers(0, 100).map(lambda percent: percent / 100)
pixels = st.integers(1, 1_000_000).map(lambda hundredths: hundredths / 100)
cores = st.builds(
    TissueCore,
    name=st.builds(CoreName, st.integers(0, 300), st.integers(0, 300)),
    x_px=pixels,
    y_px=pixels,
    diameter_px=pixels,
    status=st.sampled_from(CoreStatus),
    tissue_fraction=shares,
    focus=shares,
    confidence=shares,
    label=st.sampled_from([None, *Score]),
    source=st.sampled_from(PlaceSource),
    offset_pitches=shares,
    saturation=shares,
)


@given(st.lists(cores, max_size=5, unique_by=lambda core: core.name))
def test_cores_come_back_as_they_were_written(written: list[TissueCore]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cores.csv"
        write_tissue_cores(path, written)
        assert read_tissue_cores(path) == written


def _core(x_px: float) -> TissueCore:
    return TissueCore(
        name=CoreName(0, 0), x_px=x_px, y_px=1, diameter_px=9, status=CoreStatus.OK, focus=1,
        tissue_fraction=1, confidence=1, label=None, source=PlaceSource.AUTO,
    )  # fmt: skip


def test_a_core_that_contradicts_its_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cores.csv"
    write_tissue_cores(path, [_core(x_px=1.0)])
    path.write_text(path.read_text().replace("A1,1,1", "A1,2,1"))
    with pytest.raises(InputError, match="line 2"):
        read_tissue_cores(path)


@pytest.mark.parametrize("place", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("column", ["x_px", "y_px", "diameter_px", "offset_pitches"])
def test_a_core_that_lies_nowhere_is_told_by_its_line(
    tmp_path: Path, column: str, place: str
) -> None:
    path = tmp_path / "cores.csv"
    write_tissue_cores(path, [_core(x_px=1.0)])
    heading, row = (line.split(",") for line in path.read_text().splitlines())
    row[heading.index(column)] = place
    path.write_text("\n".join(map(",".join, (heading, row))) + "\n")
    with pytest.raises(InputError, match=rf"cores\.csv, line 2: .*{column} must be finite"):
        read_tissue_cores(path)


def test_a_remark_beside_a_row_of_a_spreadsheet_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cores.csv"
    core = _core(x_px=1.5)
    write_tissue_cores(path, [core])
    head, row = path.read_text().replace(",", ";").replace(".", ",").splitlines()
    path.write_text(f"{head}\n{row};looks odd\n", encoding="utf-8-sig")
    assert read_tissue_cores(path) == [core]


GRID = CoreGrid(
    rows=2, columns=3, layout=(Block(first_row=0, first_column=0, rows=2, columns=3),),
    orientation="as-scanned", placement_margin=7.5, needs_confirmation=False,
    names_from="map", pixel_size_um=None, diameter_px=100.0, pitch_px=(170.0, 171.0),
    tilt_deg=-1.5, white=(240.0, 239.0, 230.0), research_use_only=RESEARCH_USE_ONLY,
)  # fmt: skip


@pytest.mark.parametrize("orientation", Orientation)
def test_the_grid_comes_back_as_it_was_written(tmp_path: Path, orientation: Orientation) -> None:
    grid = GRID.model_copy(update={"orientation": orientation.value})
    write_core_grid(tmp_path / "cores.json", grid)
    assert read_core_grid(tmp_path / "cores.json") == grid


@pytest.mark.parametrize(
    ("entry", "value"),
    [("orientation", "turned-45"), ("diameter_px", -1.0), ("diameter_px", float("nan"))],
)
def test_a_grid_that_no_array_can_have_is_told_by_its_entry(
    tmp_path: Path, entry: str, value: object
) -> None:
    stored = GRID.model_dump(mode="json") | {entry: value}
    (tmp_path / "cores.json").write_text(json.dumps(stored))
    with pytest.raises(InputError, match=rf"cores\.json, {entry}: "):
        read_core_grid(tmp_path / "cores.json")


def test_a_grid_with_a_misspelt_entry_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cores.json").write_text('{"rows": 3, "colums": 4}')
    with pytest.raises(InputError, match="colums: is not known here; columns is missing"):
        read_core_grid(tmp_path / "cores.json")
