import json
import os
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import Blosc, Zstd
from numpy.typing import NDArray

from blurryscope.artifacts.mosaic import Mosaic, MosaicWriter
from blurryscope.basics.errors import InputError, MissingInputError, OutputError
from blurryscope.basics.image import Rgb
from blurryscope.testing import largest_file, smooth_picture

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def _write(folder: Path, picture: Rgb, cuts: list[int] | None = None) -> Mosaic:
    ends = [0, *sorted(cuts or []), len(picture)]
    with MosaicWriter(folder, picture.shape[:2], 0.72) as writer:
        for start, end in pairwise(ends):
            writer.write_rows(picture[start:end])
    return Mosaic(folder)


@st.composite
def cut_pictures(draw: st.DrawFn) -> tuple[Rgb, list[int]]:
    # Around the sides of chunks (512) and of their halves is where bands go wrong.
    sides = st.integers(1, 40) | st.sampled_from([511, 512, 513, 1023, 1024, 1025, 1535])
    rows, columns = draw(sides), draw(sides)
    picture = smooth_picture(np.random.default_rng(draw(st.integers(0, 99))), (rows, columns))
    return picture, draw(st.lists(st.integers(0, rows), max_size=5))


@settings(max_examples=30, deadline=None)
@given(cut_pictures())
def test_a_mosaic_written_in_any_bands_is_read_as_it_was(made: tuple[Rgb, list[int]]) -> None:
    picture, cuts = made
    with TemporaryDirectory() as folder:
        mosaic = _write(Path(folder) / "mosaic.ome.zarr", picture, cuts)
        assert mosaic.size_px == picture.shape[:2]
        np.testing.assert_array_equal(mosaic.read_level(0), picture)


@settings(max_examples=20, deadline=None)
@given(cut_pictures())
def test_the_bands_do_not_show_in_any_level(made: tuple[Rgb, list[int]]) -> None:
    picture, cuts = made
    with TemporaryDirectory() as folder:
        in_bands = _write(Path(folder) / "bands.ome.zarr", picture, cuts)
        at_once = _write(Path(folder) / "once.ome.zarr", picture)
        for level in range(at_once.level_count):
            np.testing.assert_array_equal(in_bands.read_level(level), at_once.read_level(level))


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.integers(-80, 700)] * 2), st.tuples(*[st.integers(1, 900)] * 2), st.data())
def test_a_region_is_the_picture_inside_and_unscanned_outside(
    corner: tuple[int, int], size: tuple[int, int], data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 9))
    picture = smooth_picture(np.random.default_rng(seed), (530, 640))
    padded = np.pad(picture, ((100, 2000), (100, 2000), (0, 0)))
    top, left = corner[0] + 100, corner[1] + 100
    with TemporaryDirectory() as folder:
        mosaic = _write(Path(folder) / "mosaic.ome.zarr", picture)
        np.testing.assert_array_equal(
            mosaic.read(*corner, size), padded[top : top + size[0], left : left + size[1]]
        )


@pytest.fixture
def picture() -> Rgb:
    return smooth_picture(np.random.default_rng(1), (1101, 1390))


def test_each_level_is_the_mean_of_the_one_below(tmp_path: Path, picture: Rgb) -> None:
    mosaic = _write(tmp_path / "mosaic.ome.zarr", picture)
    assert mosaic.level_count == 3
    for level in (1, 2):
        below = mosaic.read_level(level - 1).astype(np.float64)
        rows, columns = below.shape[0] // 2, below.shape[1] // 2
        means = below[: rows * 2, : columns * 2].reshape(rows, 2, columns, 2, 3).mean(axis=(1, 3))
        assert np.abs(mosaic.read_level(level) - means).max() <= 0.5


def test_the_edge_of_the_scan_is_not_darkened_in_coarser_levels(tmp_path: Path) -> None:
    scanned = np.zeros((601, 700, 3), np.uint8)
    scanned[101:333, 55:402] = (200, 150, 90)
    mosaic = _write(tmp_path / "mosaic.ome.zarr", scanned)
    coarse = mosaic.read_level(1)
    assert {tuple(pixel) for pixel in coarse.reshape(-1, 3).tolist()} == {
        (0, 0, 0),
        (200, 150, 90),
    }


@pytest.mark.parametrize("empty_fraction", [0.02, 0.5, 0.98])
def test_unscanned_pixels_have_no_part_in_the_mean_of_four(
    tmp_path: Path, empty_fraction: float
) -> None:
    rng = np.random.default_rng(12)
    rows = rng.integers(1, 256, (700, 600, 3)).astype(np.uint8)
    rows[rng.random(rows.shape[:2]) < empty_fraction] = 0
    with MosaicWriter(tmp_path / "s.ome.zarr", (700, 600), 1.0) as writer:
        writer.write_rows(rows)
    fours = rows.reshape(350, 2, 300, 2, 3).swapaxes(1, 2).reshape(350, 300, 4, 3)
    counts = (fours > 0).any(axis=3).sum(axis=2)[..., None]
    means = fours.sum(axis=2) / np.maximum(counts, 1)
    halved = Mosaic(tmp_path / "s.ome.zarr").read_level(1)
    assert np.abs(halved - means).max() <= 0.5
    assert np.array_equal(halved.any(axis=2), counts[..., 0] > 0)


def test_the_caller_may_reuse_its_array_at_once(tmp_path: Path, picture: Rgb) -> None:
    band = np.empty((100, picture.shape[1], 3), np.uint8)
    folder = tmp_path / "mosaic.ome.zarr"
    with MosaicWriter(folder, picture.shape[:2], 0.72) as writer:
        for top in range(0, len(picture), 100):
            rows = picture[top : top + 100]
            band[: len(rows)] = rows
            writer.write_rows(band[: len(rows)])
            band[:] = 7
    np.testing.assert_array_equal(Mosaic(folder).read_level(0), picture)


def test_the_folder_is_zarr_2_with_lz4_chunks_that_qupath_reads(
    tmp_path: Path, picture: Rgb
) -> None:
    folder = tmp_path / "mosaic.ome.zarr"
    _write(folder, picture)
    stored = json.loads((folder / "0" / ".zarray").read_text(encoding="utf-8"))
    assert stored["zarr_format"] == 2
    assert stored["dimension_separator"] == "/"
    assert stored["chunks"] == [1, 512, 512]
    assert (stored["compressor"]["id"], stored["compressor"]["cname"]) == ("blosc", "lz4")
    chunk = Blosc().decode((folder / "0" / "2" / "1" / "2").read_bytes())
    corner = np.frombuffer(chunk, np.uint8).reshape(512, 512)
    np.testing.assert_array_equal(corner[:, :366], picture[512:1024, 1024:, 2])
    assert not corner[:, 366:].any()


def test_every_level_is_read_from_its_files_as_zarr_reads_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    holed = smooth_picture(rng, (1101, 1390))
    holed[:, 400:1100] = 0  # one column of chunks is not there at all
    folder = tmp_path / "mosaic.ome.zarr"
    mosaic = _write(folder, holed)
    for level in range(mosaic.level_count):
        whole = np.moveaxis(_by_zarr(folder, level), 0, 2)
        np.testing.assert_array_equal(mosaic.read_level(level), whole)
        for _ in range(20):
            top, bottom = np.sort(rng.integers(0, whole.shape[0] + 1, 2)).tolist()
            left, right = np.sort(rng.integers(0, whole.shape[1] + 1, 2)).tolist()
            region = mosaic.read(top, left, (bottom - top, right - left), level)
            np.testing.assert_array_equal(region, whole[top:bottom, left:right])


def _by_zarr(folder: Path, level: int) -> NDArray[np.uint8]:
    """(rgb, row, col) as another program would see them."""
    array = zarr.open_array(folder / str(level), mode="r")
    return np.asarray(array[:], np.uint8)


def test_a_mosaic_with_chunks_of_another_program_is_read_too(tmp_path: Path, picture: Rgb) -> None:
    folder = tmp_path / "mosaic.ome.zarr"
    _write(folder, picture)
    group = zarr.open_group(folder, mode="a", zarr_format=2)
    group.create_array(
        "0", data=_by_zarr(folder, 0), chunks=(3, 300, 200), compressors=Zstd(), overwrite=True
    )
    np.testing.assert_array_equal(Mosaic(folder).read_level(0), picture)
    np.testing.assert_array_equal(
        Mosaic(folder).read(250, 1200, (400, 400)),
        np.pad(picture, ((0, 0), (0, 400), (0, 0)))[250:650, 1200:1600],
    )


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((3, 40, 60), np.uint16), "uint16"),
        (np.zeros((4, 40, 60), np.uint8), "4 channels"),
        (np.zeros((40, 60, 3), np.uint8), "40 channels"),
        (np.zeros((3, 0, 60), np.uint8), "0 x 60 pixels"),
    ],
    ids=["16 bits", "with transparency", "channels last", "empty"],
)
def test_pixels_of_another_program_that_would_be_misread_are_refused(
    tmp_path: Path, picture: Rgb, pixels: NDArray[np.generic], words: str
) -> None:
    folder = tmp_path / "mosaic.ome.zarr"
    _write(folder, picture)
    group = zarr.open_group(folder, mode="a", zarr_format=2)
    group.create_array("0", data=pixels, overwrite=True)
    with pytest.raises(InputError, match=rf"mosaic\.ome\.zarr: .*{words}"):
        Mosaic(folder)


@pytest.mark.parametrize("scale", [0.0, -0.72, float("nan"), float("inf")])
def test_a_mosaic_whose_pixels_have_no_size_is_refused(
    tmp_path: Path, picture: Rgb, scale: float
) -> None:
    folder = tmp_path / "mosaic.ome.zarr"
    _write(folder, picture)
    told = json.loads((folder / ".zattrs").read_text(encoding="utf-8"))
    first = told["multiscales"][0]["datasets"][0]
    first["coordinateTransformations"][0]["scale"] = [1.0, scale, scale]
    (folder / ".zattrs").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(InputError, match="size of a pixel"):
        Mosaic(folder)


def test_a_mosaic_that_counts_in_another_unit_is_refused(tmp_path: Path, picture: Rgb) -> None:
    folder = tmp_path / "mosaic.ome.zarr"
    _write(folder, picture)
    told = json.loads((folder / ".zattrs").read_text(encoding="utf-8"))
    told["multiscales"][0]["axes"][-1]["unit"] = "millimeter"
    (folder / ".zattrs").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(InputError, match="millimeter"):
        Mosaic(folder)


@pytest.mark.parametrize("content", [b"", b"\x02\x01", None])
def test_a_damaged_chunk_is_told_with_its_file(
    tmp_path: Path, picture: Rgb, content: bytes | None
) -> None:
    mosaic = _write(tmp_path / "mosaic.ome.zarr", picture)
    chunk = tmp_path / "mosaic.ome.zarr" / "0" / "1" / "1" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-100] if content is None else content)
    with pytest.raises(InputError, match=r"0.1.1.0: is damaged .*Stitch the slide again"):
        mosaic.read(500, 10, (20, 20))


def test_every_level_states_its_physical_size(tmp_path: Path, picture: Rgb) -> None:
    folder = tmp_path / "mosaic.ome.zarr"
    mosaic = _write(folder, picture)
    assert mosaic.pixel_size_um == 0.72
    attributes = json.loads((folder / ".zattrs").read_text(encoding="utf-8"))
    multiscale = attributes["multiscales"][0]
    assert multiscale["version"] == "0.4"
    assert [axis["name"] for axis in multiscale["axes"]] == ["c", "y", "x"]
    assert [
        dataset["coordinateTransformations"][0]["scale"] for dataset in multiscale["datasets"]
    ] == [[1.0, 0.72 * factor, 0.72 * factor] for factor in (1, 2, 4)]


def test_the_ome_xml_is_well_formed_and_gives_size_and_pixel_size(
    tmp_path: Path, picture: Rgb
) -> None:
    folder = tmp_path / 'slide <7> & "old".ome.zarr'
    _write(folder, picture)
    root = ElementTree.parse(folder / "OME" / "METADATA.ome.xml").getroot()
    image = root.find(f"{OME}Image")
    pixels = root.find(f"{OME}Image/{OME}Pixels")
    assert image is not None
    assert pixels is not None
    assert image.get("Name") == folder.name
    assert (pixels.get("SizeX"), pixels.get("SizeY"), pixels.get("SizeC")) == ("1390", "1101", "3")
    assert (pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit")) == ("0.72", "µm")
    names = [channel.get("Name") for channel in pixels.findall(f"{OME}Channel")]
    assert names == ["Red", "Green", "Blue"]


def test_chunks_that_no_frame_covered_take_no_space(tmp_path: Path) -> None:
    folder = tmp_path / "mosaic.ome.zarr"
    half = np.zeros((512, 1024, 3), np.uint8)
    half[:, 512:] = 200
    _write(folder, half)
    assert not (folder / "0" / "0" / "0" / "0").exists()
    assert (folder / "0" / "0" / "0" / "1").exists()


@pytest.mark.parametrize("row_count", [1100, 1102])
def test_rows_that_are_too_few_or_too_many_are_refused_and_the_old_mosaic_stays(
    tmp_path: Path, picture: Rgb, row_count: int
) -> None:
    folder = tmp_path / "mosaic.ome.zarr"
    _write(folder, picture)
    rows = np.full((row_count, 1390, 3), 9, np.uint8)
    with pytest.raises(ValueError, match="1101 rows were promised"):
        _write_only(folder, rows, (1101, 1390))
    np.testing.assert_array_equal(Mosaic(folder).read_level(0), picture)
    assert [entry.name for entry in tmp_path.iterdir()] == [folder.name]


def _write_only(folder: Path, rows: Rgb, size_px: tuple[int, int]) -> None:
    with MosaicWriter(folder, size_px, 0.72) as writer:
        writer.write_rows(rows)


@pytest.mark.parametrize("rows", [np.zeros((4, 9, 3), np.uint8), np.zeros((4, 8, 3), np.float32)])
def test_rows_of_another_width_or_type_are_refused(tmp_path: Path, rows: Rgb) -> None:
    with pytest.raises(ValueError, match="uint8 of width 8"):
        _write_only(tmp_path / "mosaic.ome.zarr", rows, (4, 8))


@pytest.mark.parametrize("name", ["mosaic", "mosaic.tif"])
def test_a_folder_without_zarr_in_its_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\.zarr"):
        MosaicWriter(tmp_path / name, (4, 8), 0.72)


def test_a_disk_that_fills_up_while_chunks_are_written_leaves_the_old_mosaic(
    tmp_path: Path, picture: Rgb
) -> None:
    folder = tmp_path / "mosaic.ome.zarr"
    _write(folder, picture)
    noise = np.random.default_rng(0).integers(1, 255, picture.shape, np.uint8)
    with largest_file(100_000), pytest.raises(OutputError, match="no space left"):
        _write(folder, noise)
    np.testing.assert_array_equal(Mosaic(folder).read_level(0), picture)
    assert os.listdir(tmp_path) == [folder.name]  # noqa: PTH208 — names, hidden ones too


@pytest.mark.parametrize(
    "attributes", [None, "{", "{}", '{"multiscales": []}', '{"multiscales": [{"datasets": [{}]}]}']
)
def test_a_folder_that_is_no_mosaic_is_refused(tmp_path: Path, attributes: str | None) -> None:
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}', encoding="utf-8")
    if attributes is not None:
        (tmp_path / ".zattrs").write_text(attributes, encoding="utf-8")
    with pytest.raises(InputError, match="is not an OME-Zarr"):
        Mosaic(tmp_path)


def test_a_mosaic_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="Stitch the slide first"):
        Mosaic(tmp_path / "mosaic.ome.zarr")
