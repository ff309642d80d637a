"""Real cores are scanned by imagined microscopes, keep their score, and are never tested on."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.split import Part
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.her2 import Score
from blurryscope.cli import app
from blurryscope.dataset.build import open_data_set
from blurryscope.dataset.packed import Packing
from blurryscope.dataset.tissue import TissueScans, tissue_pictures_in, tissue_views

_PACKING = Packing(view_px=32, crop_count=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two discs of tissue on glass, at 2 µm a pixel: a blue one of score 0, a brown one of 3."""
    row, column = np.mgrid[:300, :300]
    disc = np.hypot(row - 150, column - 150) < 120
    for score, colour in ((0, (180, 170, 210)), (3, (150, 110, 80))):
        picture = np.full((300, 300, 3), 240, np.uint8)
        picture[disc] = colour
        cv2.imwrite(str(tmp_path / f"{score}_case.png"), picture[..., ::-1])
    return tmp_path


def test_each_scan_shows_the_core_with_its_score(folder: Path) -> None:
    cores = list(tissue_views(_scans(folder, 9), _PACKING, workers=1))
    assert [core.sample.score for core in cores] == [Score.ZERO] * 9 + [Score.THREE] * 9
    assert len({core.views.tobytes() for core in cores}) == 18
    brownness = [_brownness(core.views[-1]) for core in cores]
    assert np.median(brownness[9:]) > np.median(brownness[:9]) + 10


def test_scans_do_not_depend_on_how_many_there_are(folder: Path) -> None:
    few = list(tissue_views(_scans(folder, 2), _PACKING, workers=1))
    many = list(tissue_views(_scans(folder, 9), _PACKING, workers=1))
    np.testing.assert_array_equal(few[1].views, many[1].views)


def test_a_picture_whose_name_tells_no_score_is_refused(folder: Path) -> None:
    (folder / "case5.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"case5\.png.*does not begin with a score"):
        tissue_pictures_in(folder)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="holds no picture"):
        tissue_pictures_in(tmp_path)


def test_real_cores_are_learnt_from_and_never_tested_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    words = ["--simulate", "8", "--repeats", "1", "--pixel-size-um", "6", "--view-px", "32"]
    words += ["--tissue", str(folder), "--tissue-pixel-size-um", "2", "--tissue-scans", "1"]
    words += ["--shares", "0.25,0.25,0.25,0.25", "--crops", "4", "--workers", "1"]
    app(["dataset", "build", *words, "--out", str(out), "--quiet"], standalone_mode=False)
    data = open_data_set(out)
    split = data.split("holdout")
    real = [sample for sample in data.samples if sample.slide in ("0_case", "3_case")]
    assert [split.part_of(sample) for sample in real] == [Part.TRAIN, Part.TRAIN]
    assert {split.part_of(sample) for sample in data.samples} == set(Part)
    assert set(data.note.inputs_sha256) == {"0_case.png", "3_case.png"}


def _scans(folder: Path, count: int) -> TissueScans:
    return TissueScans(folder=folder, pixel_size_um=2.0, scans_per_core=count, seed=5)


def _brownness(view: np.ndarray) -> float:
    middle = view[8:24, 8:24].astype(float).mean(axis=(0, 1))
    return float(middle[0] - middle[2])
