"""A repeat is named as the first scan is, and where the map would say otherwise that is told."""

from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.mosaic import Mosaic, MosaicWriter
from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.image import Rgb
from blurryscope.pipeline.naming import name_repeat
from blurryscope.tma.find import find_cores
from blurryscope.tma.recognise import NamedScan
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide

SLIDE = ToySlide(rows=3, columns=4, missing=frozenset({"A1", "A2", "A3", "A4"}))


def mosaic_of(folder: Path, rgb: Rgb) -> Mosaic:
    path = folder / "mosaic.ome.zarr"
    with MosaicWriter(path, rgb.shape[:2], 10.0) as writer:
        writer.write_rows(np.ascontiguousarray(rgb))
    return Mosaic(path)


@pytest.fixture
def upside_down(tmp_path: Path) -> Mosaic:
    return mosaic_of(tmp_path, np.rot90(SLIDE.picture().read_level(0), 2))


def first_scan(place: tuple[int, int] | None) -> NamedScan:
    found = find_cores(SLIDE.picture(), SLIDE.map(), TmaSettings(place=place))
    return NamedScan(picture=SLIDE.picture(), cores=found.cores, grid=found.grid)


def test_an_answer_for_the_first_scan_names_its_repeats_too(
    upside_down: Mosaic, tmp_path: Path
) -> None:
    for place in ((0, 0), (1, 0), (-1, 0)):
        first = first_scan(place)
        if first.grid.candidates and lost(first.cores) == SLIDE.missing:
            break
    repeat = name_repeat(upside_down, first, SLIDE.map(), TmaSettings(orientation=None), tmp_path)
    assert lost(repeat.cores) == SLIDE.missing
    assert repeat.grid.agrees_with_first
    assert not repeat.grid.needs_confirmation


def test_a_repeat_of_a_part_of_the_array_raises_no_alarm(tmp_path: Path) -> None:
    whole = ToySlide(rows=4, columns=5, missing=frozenset({"B2"}), border_px=25.0)
    found = find_cores(whole.picture(), whole.map(), TmaSettings())
    first = NamedScan(picture=whole.picture(), cores=found.cores, grid=found.grid)
    _, below_y = 2 * whole.centres()[CoreName(3, 2)]
    part = mosaic_of(tmp_path, whole.picture().read_level(0)[: int(below_y) - 70])
    repeat = name_repeat(part, first, whole.map(), TmaSettings(orientation=None), tmp_path)
    assert repeat.grid.agrees_with_first
    assert not repeat.grid.needs_confirmation
    assert "shows only part of the array" in repeat.grid.reasons[0]
    assert lost(repeat.cores) == {"B2"}
    unknown = {str(c.name) for c in repeat.cores if c.status is CoreStatus.NOT_SCANNED}
    assert unknown == {f"D{number}" for number in range(1, 6)}


def lost(cores: object) -> set[str]:
    assert isinstance(cores, tuple)
    return {str(core.name) for core in cores if core.status is CoreStatus.MISSING}
