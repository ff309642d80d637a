"""A toy slide on disk, named into a folder as a user would."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import pytest

from blurryscope.basics.core_name import CoreName
from blurryscope.pipeline.cores import find_and_write_cores
from blurryscope.pipeline.settings import RunSettings
from blurryscope.tma.toy_slides import ToySlide

Rename = Callable[..., Path]
"""Name the cores anew with the settings given; returns the slide's folder."""


@pytest.fixture
def named(tmp_path: Path) -> Rename:
    """The picture is drawn and the map written where a slide is given."""
    return partial(name_toy, tmp_path)


def name_toy(
    base: Path,
    slide: ToySlide | None = None,
    *,
    place: tuple[int, int] | None = None,
    map_path: Path | None = Path("map.csv"),
    forgets_answers: bool = False,
) -> Path:
    picture, lab_map, out = base / "toy.png", base / "map.csv", base / "slide"
    if slide is not None:
        cv2.imwrite(str(picture), slide.draw()[..., ::-1])
        rows = "".join(f"{core},,p{at}\n" for at, core in enumerate(slide.names()))
        lab_map.write_text("core,her2,case\n" + rows, encoding="utf-8")
    settings = RunSettings(forgets_answers=forgets_answers)
    settings = replace(settings, tma=replace(settings.tma, place=place))
    chosen = None if map_path is None else base / map_path
    find_and_write_cores(picture, out, chosen, None, settings)
    return out


CORRECTED = ToySlide(rows=3, columns=4, missing=frozenset({"B2"}), brown=frozenset({"A1", "C4"}))


@pytest.fixture(scope="session")
def found_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a slide lies that was named once. Not to be changed."""
    base = tmp_path_factory.mktemp("toy")
    name_toy(base, CORRECTED)
    return base


@pytest.fixture
def folder(found_toy: Path, tmp_path: Path) -> Path:
    """A copy of its results, to do with as one likes; `named` names them anew."""
    shutil.copytree(found_toy, tmp_path, dirs_exist_ok=True)
    return tmp_path / "slide"


@pytest.fixture
def missing_at(folder: Path) -> tuple[float, float]:
    """Where the core that was lost from the slide would have lain."""
    assert folder.is_dir()
    x_px, y_px = CORRECTED.centres()[CoreName(1, 1)]
    return float(x_px), float(y_px)
