from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.mosaic import Mosaic, MosaicWriter
from blurryscope.artifacts.small_pictures import (
    SMALL_PX,
    SMALL_QUALITY,
    fitted,
    fresh_small_picture,
    jpeg_of,
)
from blurryscope.artifacts.tissue_cores import read_core_grid, read_tissue_cores
from blurryscope.basics.errors import InputError
from blurryscope.tma.find import find_cores
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide
from blurryscope.tma.white_balance import GLASS_LEVEL
from blurryscope.tma.write import write_cores


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    slide = ToySlide(rows=2, columns=3, missing=frozenset({"B2"}))
    out_dir = tmp_path_factory.mktemp("slide")
    picture = slide.picture()
    write_cores(find_cores(picture, slide.map(), TmaSettings()), picture, out_dir)
    return out_dir


def test_tables_come_back(written: Path) -> None:
    assert [str(core.name) for core in read_tissue_cores(written / "cores.csv")] == [
        "A1", "A2", "A3", "B1", "B2", "B3",
    ]  # fmt: skip
    grid = read_core_grid(written / "cores.json")
    assert (grid.rows, grid.columns, grid.names_from) == (2, 3, "map")
    assert grid.research_use_only


def test_every_core_that_is_there_has_its_picture(written: Path) -> None:
    names = {path.stem for path in (written / "cores").glob("*.png")}
    assert names == {"A1", "A2", "A3", "B1", "B3", "overview"}


def test_every_picture_has_a_small_one_as_pages_show_it(written: Path) -> None:
    folder = written / "cores"
    for full in folder.glob("[AB]*.png"):
        small = fresh_small_picture(full)
        assert small is not None
        bgr = cv2.imread(str(full))
        assert bgr is not None
        shown = jpeg_of(fitted(np.asarray(bgr, np.uint8), SMALL_PX), SMALL_QUALITY)
        assert small.read_bytes() == shown
    assert len(list((folder / "small").iterdir())) == 5


def test_a_cores_picture_is_white_balanced_and_shows_glass_all_around(written: Path) -> None:
    bgr = cv2.imread(str(written / "cores" / "A2.png"))
    assert bgr is not None
    rim = np.concatenate([bgr[0], bgr[-1], bgr[:, 0], bgr[:, -1]]).astype(np.float64)
    assert np.abs(rim.mean(axis=0) - GLASS_LEVEL).max() < 1.5
    assert bgr[bgr.shape[0] // 2, bgr.shape[1] // 2].min() < 225


def test_writing_again_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    slide = ToySlide(rows=2, columns=3, missing=frozenset({"B2"}))
    picture = slide.picture()
    write_cores(find_cores(picture, slide.map(), TmaSettings()), picture, tmp_path)
    for name in ("cores.csv", "cores.json", "cores/A1.png", "cores/overview.png"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()


def test_a_damaged_mosaic_leaves_the_cores_of_before(tmp_path: Path) -> None:
    picture = ToySlide(rows=2, columns=3).picture()
    with MosaicWriter(tmp_path / "mosaic.ome.zarr", picture.size_px, 1.0) as writer:
        writer.write_rows(picture.read_level(0))
    mosaic = Mosaic(tmp_path / "mosaic.ome.zarr")
    found = find_cores(mosaic, None, TmaSettings())
    write_cores(found, mosaic, tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "cores").rglob("*.*")}
    for chunk in (tmp_path / "mosaic.ome.zarr" / "0" / "0").rglob("[0-9]*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(InputError, match="is damaged"):
        write_cores(found, mosaic, tmp_path)
    assert {path: path.read_bytes() for path in (tmp_path / "cores").rglob("*.*")} == before
