from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.basics.errors import InputError
from blurryscope.tma.picture import PlainPicture, open_slide, working_picture


def gradient(rows: int, columns: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rgb = np.full((rows, columns, 3), 200, np.uint8)
    rgb[..., 0] = (np.arange(columns) % 256).astype(np.uint8)
    rgb[..., 1] = (np.arange(rows) % 256).astype(np.uint8)[:, None]
    return rgb


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_picture_file_keeps_its_pixels_and_its_colours(tmp_path: Path, suffix: str) -> None:
    rgb = gradient(40, 60)
    path = tmp_path / f"slide{suffix}"
    if suffix == ".png":
        cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    else:
        tifffile.imwrite(path, rgb, photometric="rgb")
    assert np.array_equal(open_slide(path, 2.0).read_level(0), rgb)


def test_a_rectangle_reads_the_same_from_a_picture_and_from_a_mosaic(tmp_path: Path) -> None:
    rgb = gradient(300, 700)
    with MosaicWriter(tmp_path / "mosaic.ome.zarr", (300, 700), 1.0) as writer:
        writer.write_rows(rgb)
    mosaic, plain = open_slide(tmp_path), PlainPicture(rgb, 1.0)
    for corner in ((-20, -30), (250, 650), (10, 20), (400, 10), (5, -900)):
        assert np.array_equal(mosaic.read(*corner, (80, 90)), plain.read(*corner, (80, 90)))


def test_a_coordinate_of_the_working_picture_leads_back_to_full_resolution() -> None:
    rgb = np.full((1200, 1600, 3), 230, np.uint8)
    rgb[600:616, 800:816] = 10
    working = working_picture(PlainPicture(rgb, 1.0))
    assert working.shrink > 1
    rows, columns = np.nonzero(working.rgb[..., 0] < 120)
    assert working.to_full(float(rows.mean())) == pytest.approx(607.5)
    assert working.to_full(float(columns.mean())) == pytest.approx(807.5)


@pytest.mark.parametrize("name", ["slide.png", "slide.tif"])
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("no picture")
    with pytest.raises(InputError, match=r"cannot be read as a (picture|TIFF)"):
        open_slide(tmp_path / name)


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_slide(tmp_path / "slide.png")


def test_a_picture_of_sixteen_bits_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "deep.tif", np.zeros((20, 20, 3), np.uint16), photometric="rgb")
    with pytest.raises(InputError, match="uint16"):
        open_slide(tmp_path / "deep.tif")
