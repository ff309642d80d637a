"""A toy slide on disk, named into a folder as a user would."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from blurryscope.pipeline import RunSettings, find_and_write_cores
from blurryscope.tma.toy_slides import ToySlide

Rename = Callable[..., Path]
"""Name the cores anew with the settings given; returns the slide's folder."""


@pytest.fixture
def named(tmp_path: Path) -> Rename:
    """The picture is drawn and the map written on the first call."""
    picture, lab_map, out = tmp_path / "toy.png", tmp_path / "map.csv", tmp_path / "slide"

    def name(
        slide: ToySlide | None = None,
        *,
        place: tuple[int, int] | None = None,
        map_path: Path | None = lab_map,
        forgets_answers: bool = False,
    ) -> Path:
        if slide is not None:
            cv2.imwrite(str(picture), slide.draw()[..., ::-1])
            rows = "".join(f"{core},,p{at}\n" for at, core in enumerate(slide.names()))
            lab_map.write_text("core,her2,case\n" + rows, encoding="utf-8")
        settings = RunSettings(forgets_answers=forgets_answers)
        settings = replace(settings, tma=replace(settings.tma, place=place))
        find_and_write_cores(picture, out, map_path, None, settings)
        return out

    return name
