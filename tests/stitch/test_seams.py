"""Lanes that do not show the same where they overlap are torn; neither blur, noise nor light is."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.stitch.seams import SharedRows, TornSeam

ROWS, COLUMNS, TOP = 90, 1600, 700
"""What two lanes share, and where it begins in the mosaic."""
WHITE = 232
CORE = slice(500, 1100)


@pytest.fixture(scope="module")
def slide() -> NDArray[np.float32]:
    """Rows of glass with a core between two columns, (row, col), wider than what is shared."""
    rng = np.random.default_rng(3)
    grain = cv2.GaussianBlur(rng.normal(size=(ROWS, COLUMNS + 400)).astype(np.float32), (0, 0), 6)
    density = np.zeros_like(grain)
    core = slice(CORE.start + 200, CORE.stop + 200)
    density[:, core] = 0.15 + 0.08 * grain[:, core] / grain.std()
    moved = cv2.blur(np.exp(-density), (54, 1))
    return np.asarray(WHITE * moved, np.float32)


def _seen(slide: NDArray[np.float32], shift_px: int = 0) -> Rgb:
    grey = slide[:, 200 + shift_px : 200 + shift_px + COLUMNS]
    return to_uint8(np.repeat(grey[..., None], 3, axis=2))


def _torn(above: Rgb, here: Rgb, step: int = 2) -> list[TornSeam]:
    shared = SharedRows(TOP, (ROWS, COLUMNS), step)
    shared.note(above, here, np.ones(here.shape[:2], np.uint8), (TOP, 0))
    return shared.torn(5)


def _noisy(picture: Rgb, seed: int) -> Rgb:
    noise = np.random.default_rng(seed).normal(0, 3, picture.shape)
    return to_uint8(np.asarray(picture + noise, np.float32))


def test_lanes_that_show_the_same_are_whole_whatever_noise_and_light(
    slide: NDArray[np.float32],
) -> None:
    above, here = _noisy(_seen(slide), 1), _noisy(_seen(slide * np.float32(0.9)), 2)
    assert _torn(above, here) == []


@pytest.mark.parametrize("shift_px", [-150, -60, 60, 150])
def test_a_core_that_lies_elsewhere_in_the_next_lane_is_told_with_its_place(
    slide: NDArray[np.float32], shift_px: int
) -> None:
    torn = _torn(_noisy(_seen(slide), 1), _noisy(_seen(slide, shift_px), 2))
    assert {seam.lane for seam in torn} == {5}
    assert CORE.start - 450 <= torn[0].x_from_px <= CORE.start + 128
    assert CORE.stop - 128 <= torn[-1].x_to_px <= CORE.stop + 450
    assert all(-1 <= seam.agreement < 0.4 for seam in torn)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_the_area_told_is_that_of_the_tissue_that_one_lane_lacks(
    slide: NDArray[np.float32], step: int
) -> None:
    glass = np.full((ROWS, COLUMNS, 3), WHITE, np.uint8)
    half = _seen(slide).copy()
    half[:, (CORE.start + CORE.stop) // 2 :] = WHITE
    core_px = ROWS * (CORE.stop - CORE.start)
    for lacking, area_px in ((glass, core_px), (half, core_px / 2)):
        torn = _torn(_noisy(_seen(slide), 1), _noisy(lacking, 2), step)
        assert sum(seam.differing_px for seam in torn) == pytest.approx(area_px, rel=0.25)


def test_what_blur_hides_is_no_tear(slide: NDArray[np.float32]) -> None:
    assert _torn(_seen(slide), _seen(slide, 4)) == []


def test_glass_with_noise_and_uneven_light_is_not_torn() -> None:
    glass = np.full((ROWS, COLUMNS, 3), WHITE, np.uint8)
    leaning = to_uint8(glass * np.linspace(0.97, 1.0, COLUMNS, dtype=np.float32)[:, None])
    assert _torn(_noisy(glass, 1), _noisy(leaning, 2)) == []


def test_a_speck_of_dust_that_both_lanes_show_some_pixels_apart_is_no_tear() -> None:
    glass = np.full((ROWS, COLUMNS + 400), WHITE, np.float32)
    views = []
    for column in (700, 730):
        with_speck = cv2.circle(glass.copy(), (column, 40), 9, 40.0, -1)
        views.append(_noisy(_seen(np.asarray(with_speck, np.float32)), column))
    assert _torn(views[0], views[1]) == []


def test_what_was_not_scanned_is_not_compared(slide: NDArray[np.float32]) -> None:
    above = _seen(slide).copy()
    above[:, CORE.start - 60 : CORE.stop + 60] = 0
    assert _torn(above, _seen(slide)) == []


@settings(max_examples=12)
@given(first=st.integers(0, 40), width=st.integers(30, 400), step=st.sampled_from([1, 2, 3, 5]))
def test_frames_laid_one_by_one_tell_what_the_whole_lane_tells(
    slide: NDArray[np.float32], first: int, width: int, step: int
) -> None:
    above, here = _seen(slide), _seen(slide, 60)
    shared = SharedRows(TOP, (ROWS, COLUMNS), step)
    mosaic = above.copy()
    for left in range(0, COLUMNS, width):
        # Each frame reaches into what the one before it has laid already.
        box = slice(0, ROWS), slice(max(left - 20, 0), min(left + width, COLUMNS))
        for rows in (slice(0, first), slice(first, ROWS)):
            part = rows, box[1]
            corner = TOP + rows.start, box[1].start
            inside = np.ones(here[part].shape[:2], np.uint8)
            shared.note(mosaic[part], here[part], inside, corner)
        mosaic[box] = here[box]
    assert shared.torn(5) == _torn(above, here, step)


def test_rows_above_what_is_shared_are_left_out(slide: NDArray[np.float32]) -> None:
    above, here = _seen(slide), _seen(slide, 60)
    shared = SharedRows(TOP, (ROWS, COLUMNS), 2)
    more = np.full((31, COLUMNS, 3), 9, np.uint8)
    shared.note(
        np.concatenate([more, above]),
        np.concatenate([more, here]),
        np.ones((ROWS + 31, COLUMNS), np.uint8),
        (TOP - 31, 0),
    )
    assert shared.torn(5) == _torn(above, here)
