"""Frames pasted edge to edge: every one whole, in its place, turned the right way."""

import json
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.derived_mosaic import derivation_of
from blurryscope.artifacts.frame_places import FramePlace, StageState, write_frame_places
from blurryscope.artifacts.mosaic import Mosaic, MosaicWriter
from blurryscope.artifacts.video import VideoWriter
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb
from blurryscope.stitch.abutted import abut_film

ROWS, COLUMNS = 48, 64
LANES = [-1, 0, 0, 0, -1, 1, 1]
"""One frame each: at rest, three going right, at rest, two coming back."""


def _frame(index: int) -> Rgb:
    """A grey of its own, darker at the top left."""
    frame = np.full((ROWS, COLUMNS, 3), 60 + 20 * index, np.uint8)
    frame[:8, :8] = 20
    return frame


def _scan(folder: Path, rotation_deg: float, frame_count: int = len(LANES)) -> Path:
    folder.mkdir()
    video = folder / "scan.mkv"
    with VideoWriter(video, (ROWS, COLUMNS), 30, "ffv1") as film:
        for index in range(frame_count):
            film.write(_frame(index), index / 30)
    slide = folder / "slide"
    with MosaicWriter(slide / "mosaic.ome.zarr", (100, 100), 0.72) as mosaic:
        mosaic.write_rows(np.full((100, 100, 3), 200, np.uint8))
    along = {1: 10.0, 2: 20.0, 3: 30.0, 5: 30.0, 6: 20.0}
    write_frame_places(
        slide / "frames.csv",
        [
            FramePlace(
                frame=index, time_s=index / 30, lane=lane, x_px=along.get(index),
                y_px=None if lane < 0 else 20.0 + 60 * lane, confidence=0.9,
                state=StageState.RESTING if lane < 0 else StageState.MOVING,
            )
            for index, lane in enumerate(LANES)
        ],
    )  # fmt: skip
    (slide / "stitch.json").write_text(json.dumps({"camera_rotation_deg": rotation_deg}))
    return video


@pytest.mark.parametrize("rotation_deg", [0.3, -94.4, 90.0, 178.0])
def test_whole_frames_stand_edge_to_edge_in_order_of_place(
    tmp_path: Path, rotation_deg: float
) -> None:
    video = _scan(tmp_path / "scan", rotation_deg)
    pasted = Mosaic(abut_film(video, video.parent / "slide")).read_level(0)
    turned = [np.rot90(_frame(index), round(rotation_deg / 90)) for index in range(len(LANES))]
    high, wide = turned[0].shape[:2]
    assert pasted.shape == (2 * high, 3 * wide, 3)
    expected = np.zeros_like(pasted)
    expected[:high] = np.concatenate([turned[1], turned[2], turned[3]], axis=1)
    expected[high:, : 2 * wide] = np.concatenate([turned[6], turned[5]], axis=1)
    assert np.abs(pasted.astype(int) - expected).max() <= 2  # colour conversion of the codec


def test_it_says_that_it_is_not_the_mosaic(tmp_path: Path) -> None:
    video = _scan(tmp_path / "scan", 0.0)
    told = derivation_of(abut_film(video, video.parent / "slide"))
    assert told is not None
    assert "parity" in str(told["for"])


def test_another_film_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    video = _scan(tmp_path / "scan", 0.0, frame_count=5)
    with pytest.raises(InputError, match="lane 1"):
        abut_film(video, video.parent / "slide")
    assert [path.name for path in (video.parent / "slide").glob("*abutted*")] == []


@pytest.mark.parametrize(
    "stored",
    [b'{"camera_rotation_deg": 90\xff', b"{}", b'{"camera_rotation_deg": NaN}', b"[90]"],
)
def test_a_stitch_json_that_does_not_say_how_the_camera_was_turned_is_an_error_that_names_it(
    tmp_path: Path, stored: bytes
) -> None:
    video = _scan(tmp_path / "scan", 0.0)
    (video.parent / "slide" / "stitch.json").write_bytes(stored)
    with pytest.raises(InputError, match=r"stitch\.json"):
        abut_film(video, video.parent / "slide")
