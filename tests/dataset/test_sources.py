"""A slide that was run becomes samples: its labels, its quality, the patients of its map."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.split import Part, Unit, checked_split, core_key
from blurryscope.artifacts.tissue_cores import read_core_grid, read_tissue_cores, write_core_grid
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.dataset.build import build_data_set, check_data_set
from blurryscope.dataset.sources import (
    SlideSource,
    cases_of_map,
    inputs_of_slides,
    pictures_of_slides,
    stacks_in,
)


def test_cores_with_tissue_and_a_score_become_samples(slide_dir: Path) -> None:
    pictures = list(pictures_of_slides([SlideSource(folder=slide_dir)]))
    scored = {c.name: c for c in read_tissue_cores(slide_dir / "cores.csv") if c.label is not None}
    assert {picture.sample.core for picture in pictures} <= scored.keys()
    assert len(pictures) >= 4
    for picture in pictures:
        core = scored[picture.sample.core]
        assert (picture.sample.score, picture.sample.focus) == (core.label, core.focus)
        assert picture.sample.holds_whole_core
        assert picture.pixels.dtype == np.uint8
    assert set(inputs_of_slides([SlideSource(folder=slide_dir)])) == {
        f"{slide_dir.name}/cores.csv",
        f"{slide_dir.name}/cores.json",
    }


def test_patients_of_the_map_keep_their_cores_together(slide_dir: Path, tmp_path: Path) -> None:
    plain = list(pictures_of_slides([SlideSource(folder=slide_dir)]))
    rows = [f"{p.sample.core},{p.sample.score:d},P1" for p in plain]
    table = tmp_path / "map.csv"
    table.write_text("core,her2,case\n" + "\n".join(rows) + "\n", encoding="utf-8")
    pictures = list(pictures_of_slides([SlideSource(folder=slide_dir, map_path=table)]))
    samples = [picture.sample for picture in pictures]
    assert {sample.case for sample in samples} == {"P1"}
    assert set(cases_of_map(table).values()) == {"P1"}
    parts = {core_key(sample): Part.TRAIN for sample in samples}
    parts[core_key(samples[0])] = Part.TEST
    with pytest.raises(InputError, match="leaks: patient P1"):
        checked_split("it", samples, parts, Unit.CORE)


def test_a_copy_beside_the_repeats_of_a_slide_is_not_learnt_from(slide_dir: Path) -> None:
    slide = slide_dir.parent / "repeats"
    shutil.copytree(slide_dir, slide / "repeat-1")
    shutil.copytree(slide_dir, slide / "repeat-1 copy")
    pictures = list(pictures_of_slides([SlideSource(folder=slide)]))
    assert {picture.sample.repeat for picture in pictures} == {1}


def test_a_slide_may_have_a_name_that_no_file_has(slide_dir: Path, tmp_path: Path) -> None:
    cores = [core for core in read_tissue_cores(slide_dir / "cores.csv") if core.label is not None]
    rows = [f"S24/117,{core.name},{core.label:d}" for core in cores]
    table = tmp_path / "map.csv"
    table.write_text("slide,core,her2\n" + "\n".join(rows) + "\n", encoding="utf-8")
    pictures = pictures_of_slides([SlideSource(folder=slide_dir, map_path=table)])
    data = build_data_set(tmp_path / "set", pictures, recipe={})
    assert {sample.slide for sample in data.samples} == {"S24/117"}
    assert all(sample.path.name.startswith("S24-117_1_") for sample in data.samples)
    check_data_set(data.folder)


def test_one_map_of_all_slides_knows_a_slide_by_the_name_that_its_cores_were_given(
    slide_dir: Path, tmp_path: Path
) -> None:
    grid = read_core_grid(slide_dir / "cores.json")
    cores = [core for core in read_tissue_cores(slide_dir / "cores.csv") if core.label is not None]
    rows = [
        f"{slide},{core.name},{core.label:d},{slide}-1"
        for core in cores
        for slide in ("OTHER", grid.slide)
    ]
    table = tmp_path / "map.csv"
    table.write_text("slide,core,her2,case\n" + "\n".join(rows) + "\n", encoding="utf-8")
    pictures = list(pictures_of_slides([SlideSource(folder=slide_dir, map_path=table)]))
    assert slide_dir.name not in {"OTHER", grid.slide}
    assert {picture.sample.slide for picture in pictures} == {grid.slide}
    assert {picture.sample.case for picture in pictures} == {f"{grid.slide}-1"}


def test_a_slide_whose_names_need_confirmation_is_refused(slide_dir: Path) -> None:
    grid = read_core_grid(slide_dir / "cores.json")
    doubtful = grid.model_copy(update={"needs_confirmation": True, "confirmed_by_hand": False})
    write_core_grid(slide_dir / "cores.json", doubtful)
    with pytest.raises(InputError, match="labels are not final"):
        list(pictures_of_slides([SlideSource(folder=slide_dir)]))


def test_a_folder_without_cores_or_stacks_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="holds no cores"):
        list(pictures_of_slides([SlideSource(folder=tmp_path)]))
    with pytest.raises(MissingInputError, match=r"holds no stack \(\.tif\)"):
        stacks_in([tmp_path])
    with pytest.raises(MissingInputError, match="no such file or folder"):
        stacks_in([tmp_path / "none"])


def test_stacks_of_either_ending_are_found(tmp_path: Path) -> None:
    for name in ("S_1_A1_2.tif", "S_1_A2_2.tiff"):
        (tmp_path / name).touch()
    assert [path.suffix for path in stacks_in([tmp_path])] == [".tif", ".tiff"]
