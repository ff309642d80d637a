"""Stacks and their list: round trips, the authors' naming, and files that are no stacks."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from blurryscope.artifacts.samples import (
    Sample,
    read_samples,
    read_stack,
    sample_of_file,
    stack_files,
    with_checksum,
    write_samples,
    write_stack,
)
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb

_REAL = Path(__file__).parents[2].parent / "shared" / "data" / "blurryscope-stacks"


def test_a_stack_comes_back_as_it_was_written(tmp_path: Path) -> None:
    stack = _stack()
    write_stack(tmp_path / "S_1_A1.tif", stack)
    np.testing.assert_array_equal(read_stack(tmp_path / "S_1_A1.tif"), stack)


def test_blue_first_files_are_turned_to_red_first(tmp_path: Path) -> None:
    write_stack(tmp_path / "S_1_A1.tif", _stack())
    turned = read_stack(tmp_path / "S_1_A1.tif", bgr=True)
    np.testing.assert_array_equal(turned[..., 0], _stack()[..., 2])


def test_the_authors_naming_is_read() -> None:
    sample = sample_of_file(Path("BR20812_3_J12_3.tif"))
    assert (sample.slide, sample.repeat) == ("BR20812", 3)
    assert (sample.core, sample.score) == (CoreName.parse("J12"), Score.THREE)


def test_a_slide_name_may_hold_underscores_and_the_score_may_be_absent() -> None:
    sample = sample_of_file(Path("lab_7_slide_2_AA3.tif"))
    assert (sample.slide, sample.repeat, sample.score) == ("lab_7_slide", 2, None)


def test_a_name_that_says_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="for example BR20812_3_J12_3"):
        sample_of_file(Path("picture.tif"))


def test_samples_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "stacks" / "S_1_A1_2.tif"
    write_stack(path, _stack())
    samples = [
        with_checksum(sample_of_file(path)),
        Sample(
            slide="Größe", case="P, 7", core=CoreName(27, 11), repeat=2, score=None, path=path,
            tissue_fraction=0.25, focus=0.5,
        ),
    ]  # fmt: skip
    write_samples(tmp_path / "samples.csv", samples)
    assert read_samples(tmp_path / "samples.csv") == samples


def test_a_sample_row_that_cannot_be_read_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    write_samples(path, [sample_of_file(tmp_path / "S_1_A1_2.tif")])
    path.write_text(path.read_text(encoding="utf-8").replace("2+", "2.5"), encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        read_samples(path)


@pytest.mark.parametrize("name", ["S_1_A0.tif", "S_1_ZZ1000000_2.tif"])
def test_a_name_of_no_place_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="does not say which core"):
        sample_of_file(Path(name))


@pytest.mark.parametrize("shape", [(512, 512, 3), (3, 512, 512, 3), (5, 512, 384, 3), (5, 8, 8, 3)])
def test_a_picture_that_is_no_stack_is_refused_with_its_shape(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "S_1_A1.tif"
    tifffile.imwrite(path, np.zeros(shape, np.uint8), photometric="rgb")
    with pytest.raises(InputError, match=re.escape(str(shape))):
        read_stack(path)


def test_a_file_that_is_no_tiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "S_1_A1.tif"
    path.write_bytes(b"no picture at all")
    with pytest.raises(InputError, match="cannot be read as a TIFF"):
        read_stack(path)
    with pytest.raises(MissingInputError):
        read_stack(tmp_path / "S_2_A1.tif")


@pytest.mark.parametrize("kept", [0.0, 2e-6, 0.001, 0.5, 0.99])
def test_a_stack_that_is_cut_off_is_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "S_1_A1.tif"
    write_stack(path, _stack())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match="S_1_A1"):
        read_stack(path)


def test_a_stack_with_wrong_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "S_1_A1.tif"
    write_stack(path, _stack())
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 100] = bytes(100)
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="cannot be read as a TIFF"):
        read_stack(path)


def test_the_stacks_of_a_folder_are_its_tiffs_however_spelled_but_not_hidden_ones(
    tmp_path: Path,
) -> None:
    for name in ("b.tif", "a.TIFF", "c.TIF", ".b.tif.partial.tif", "._b.tif", "d.png"):
        (tmp_path / name).touch()
    assert [path.name for path in stack_files(tmp_path)] == ["a.TIFF", "b.tif", "c.TIF"]


@pytest.mark.skipif(not _REAL.is_dir(), reason="no blurryscope-stacks in shared/data")
def test_strongly_stained_cores_of_the_authors_are_brown_once_turned() -> None:
    for path in sorted(_REAL.glob("*_3.tif")):
        red, _, blue = read_stack(path, bgr=True).reshape(-1, 3).mean(axis=0)
        assert red > blue, path.name


def _stack() -> Rgb:
    tile = np.random.default_rng(3).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    return np.tile(tile, (1, 32, 32, 1))
