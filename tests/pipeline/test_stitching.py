"""What is known of a film, and what a second command may do to its folder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from blurryscope.artifacts.recording import Recording, read_recording, write_recording
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import silent
from blurryscope.cli import app
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.stitching import refuse_unknown_blur, stitch_into
from blurryscope.simulator.presets import PLAIN
from blurryscope.simulator.scan import simulate_scan
from blurryscope.simulator.slide import SlideDesign


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small scan of which only the pixel size is recorded."""
    camera = replace(PLAIN.camera, rows=240, columns=320, pixel_size_um=2.24)
    design = SlideDesign(rows=1, columns=2, core_diameter_um=700, pitch_um=1000, margin_um=500)
    scan = simulate_scan(
        tmp_path_factory.mktemp("scan"),
        design=design,
        settings=replace(PLAIN, camera=camera),
        seed=2,
    )
    write_recording(scan.video.with_name("recording.json"), Recording(pixel_size_um=2.2))
    return scan.video


@pytest.fixture(scope="module")
def slide(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stitched") / "slide"
    stitch_into(film, out, settings=RunSettings(), progress=silent)
    return out


@pytest.mark.parametrize(
    ("name", "told"),
    [("stitch.json", r"stitch\.json: cannot be read"), (".steps/stitch", None)],
)
def test_a_file_that_was_damaged_is_told_or_made_again(
    film: Path, slide: Path, tmp_path: Path, name: str, told: str | None
) -> None:
    folder = shutil.copytree(slide, tmp_path / "slide")
    (folder / name).write_bytes(b"\x9b")
    command = ["stitch", str(film), "--out", str(folder), "--quiet"]
    if told is None:
        app(command, standalone_mode=False)
        assert (folder / name).read_bytes() == (slide / name).read_bytes()
    else:
        with pytest.raises(InputError, match=told):
            app(command, standalone_mode=False)


def test_a_recorded_pixel_size_counts_more_than_a_speed_that_is_only_assumed(slide: Path) -> None:
    assert read_recording(slide / "recording.json").pixel_size_um == 2.2
    assert json.loads((slide / "stitch.json").read_text())["pixel_size_source"] == "given"


def test_a_layer_is_not_added_to_a_mosaic_that_would_be_another_one(
    film: Path, slide: Path
) -> None:
    before = (slide / "frames.csv").read_bytes()
    stitch_into(film, slide, settings=RunSettings(), progress=silent, replaces=False)
    with pytest.raises(InputError, match="other options"):
        stitch_into(
            film, slide, settings=RunSettings(is_mirrored=True), progress=silent, replaces=False
        )
    assert (slide / "frames.csv").read_bytes() == before


def test_blur_of_unknown_length_is_refused_before_anything_is_stitched(
    film: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="exposed"):
        refuse_unknown_blur(film, tmp_path, None)
    refuse_unknown_blur(film, tmp_path, 0.0078)
