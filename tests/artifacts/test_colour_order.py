"""Which colour a stack stores first: shown by the grid that video leaves, and by nothing else."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.artifacts.colour_order import is_blue_first
from blurryscope.artifacts.samples import read_stack, stacks_of_other_order, write_stack
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.testing import through_video

_REAL = Path(__file__).parents[2].parent / "shared" / "data" / "blurryscope-stacks"
_SIDE_PX = 256


@pytest.fixture(scope="module")
def light() -> NDArray[np.float32]:
    """(view, row, col, rgb) float32: soft tissue, blue in places and brown in others."""
    rng = np.random.default_rng(5)
    blue, brown = np.array([0.68, 0.62, 0.38]), np.array([0.35, 0.575, 0.74])
    amounts = np.stack(
        [
            cv2.GaussianBlur(rng.random((_SIDE_PX, _SIDE_PX), np.float32) ** 4, (0, 0), 3)
            for _ in range(10)
        ]
    ).reshape(5, 2, _SIDE_PX, _SIDE_PX, 1)
    amounts = (amounts / amounts.max()) ** 2
    density = 0.8 * (amounts[:, 0] * blue + amounts[:, 1] * brown)
    return np.asarray(250.0 * 10.0**-density, np.float32)


@pytest.fixture(scope="module")
def video(light: NDArray[np.float32]) -> Rgb:
    return through_video(light)


def test_a_stack_that_was_a_video_shows_its_order_both_ways(video: Rgb) -> None:
    assert is_blue_first(video) is False
    assert is_blue_first(video[..., ::-1]) is True


def test_the_authors_folded_subtraction_leaves_the_order_to_be_seen(video: Rgb) -> None:
    glass = np.array([240, 225, 210])
    assert is_blue_first(to_uint8(255.0 - np.abs(video.astype(np.float64) - glass))) is False


def test_no_colour_cast_and_no_failed_white_balance_is_called_a_swap(video: Rgb) -> None:
    rng = np.random.default_rng(0)
    wide = video.astype(np.float64)
    for _ in range(10):
        cast = wide * rng.uniform(0.75, 1.3, 3)
        assert is_blue_first(to_uint8(cast)) is not True
        folded = 255 - np.abs(cast - rng.integers(180, 250, 3))
        assert is_blue_first(to_uint8(folded)) is not True


def test_where_no_grid_is_left_nothing_is_said(light: NDArray[np.float32], video: Rgb) -> None:
    rng = np.random.default_rng(1)
    assert is_blue_first(to_uint8(light)) is None
    assert is_blue_first(to_uint8(light.max(axis=-1, keepdims=True).repeat(3, axis=-1))) is None
    assert is_blue_first(rng.integers(0, 256, video.shape).astype(np.uint8)) is None
    assert is_blue_first(np.full((5, _SIDE_PX, _SIDE_PX, 3), 255, np.uint8)) is None
    resampled = np.stack(
        [cv2.resize(view, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA) for view in video]
    )
    assert is_blue_first(resampled) is None
    _, packed = cv2.imencode(
        ".jpg", to_uint8(light).reshape(-1, _SIDE_PX, 3), [cv2.IMWRITE_JPEG_QUALITY, 60]
    )
    jpeg = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    assert is_blue_first(jpeg.reshape(video.shape)) is None


def test_blue_first_is_refused_unless_an_order_is_told(video: Rgb, tmp_path: Path) -> None:
    video = np.tile(video, (1, 2, 2, 1))
    blue_first, red_first = tmp_path / "S_1_A1.tif", tmp_path / "S_1_A2.tif"
    write_stack(blue_first, video[..., ::-1])
    write_stack(red_first, video)
    with pytest.raises(InputError, match=r"S_1_A1.tif: stores blue first.*Give --bgr"):
        read_stack(blue_first, bgr=None)
    np.testing.assert_array_equal(read_stack(blue_first, bgr=True), video)
    np.testing.assert_array_equal(read_stack(blue_first, bgr=False), video[..., ::-1])
    np.testing.assert_array_equal(read_stack(red_first, bgr=None), video)
    assert stacks_of_other_order([blue_first, red_first], bgr=True) == [red_first]
    assert stacks_of_other_order([blue_first, red_first], bgr=False) == [blue_first]


@pytest.mark.skipif(not _REAL.is_dir(), reason="../shared/data is not here")
def test_all_of_the_authors_stacks_show_that_they_store_blue_first() -> None:
    assert all(is_blue_first(read_stack(path)) is True for path in _REAL.glob("*.tif"))
