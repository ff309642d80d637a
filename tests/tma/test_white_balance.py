import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurryscope.basics.errors import InputError
from blurryscope.tma.toy_slides import ToySlide
from blurryscope.tma.white_balance import GLASS_LEVEL, WhiteBalance, find_white_balance

channel = st.floats(90.0, 245.0)


@settings(max_examples=12, deadline=None)
@given(st.tuples(channel, channel, channel))
def test_glass_has_no_cast_left_however_strong_it_was(white: tuple[float, float, float]) -> None:
    slide = ToySlide(rows=3, columns=3, white=np.array(white))
    balance = find_white_balance(slide.draw())
    assert np.abs(balance.white / white - 1.0).max() < 0.01
    glass = balance.apply(np.full((4, 4, 3), np.rint(white), np.uint8))[0, 0].astype(float)
    assert np.ptp(glass) <= 0.01 * GLASS_LEVEL + 1


def test_each_channel_is_scaled_and_rounded_by_itself() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    white = np.array([231.2, 118.4, 90.7])
    plain = np.clip(np.rint(rgb * (GLASS_LEVEL / white)), 0, 255)
    off_by = np.abs(WhiteBalance(white).apply(rgb) - plain)
    assert off_by.max() <= 1.0  # of two halves, float32 may take the other
    assert np.count_nonzero(off_by) < 0.001 * rgb.size


def test_glass_is_found_where_tissue_covers_most_of_the_slide() -> None:
    slide = ToySlide(rows=5, columns=5, pitch_px=54.0, border_px=8.0, jitter_px=0.0)
    assert np.abs(find_white_balance(slide.draw()).white / slide.white - 1.0).max() < 0.02


def test_unscanned_black_and_a_saturated_reflex_are_not_taken_for_glass() -> None:
    slide = ToySlide(rows=2, columns=3)
    rgb = slide.draw()
    rgb[:, :150] = 0
    rgb[:40, -40:] = 255
    assert np.abs(find_white_balance(rgb).white / slide.white - 1.0).max() < 0.01
    assert not find_white_balance(rgb).apply(rgb)[:, :150].any()


def test_there_is_no_halo_around_tissue() -> None:
    slide = ToySlide(rows=1, columns=1, border_px=150.0, strength=3.0)
    rgb = slide.draw()
    balanced = find_white_balance(rgb).apply(rgb).astype(np.float64)
    x, y = slide.centres()[slide.names()[0]]
    rows, columns = np.indices(rgb.shape[:2])
    away = np.hypot(columns - x, rows - y) - slide.diameter_px / 2
    near, far = balanced[(away > 2) & (away < 12)], balanced[away > 60]
    assert np.abs(near.mean(axis=0) - far.mean(axis=0)).max() < 0.5


def test_a_picture_without_a_scanned_pixel_is_refused() -> None:
    with pytest.raises(InputError, match="no scanned pixel"):
        find_white_balance(np.zeros((50, 50, 3), np.uint8))


def test_steps_of_exposure_between_lanes_leave_the_more_frequent_glass_white() -> None:
    slide = ToySlide(rows=4, columns=4)
    rgb = slide.draw()
    rgb[: len(rgb) // 3] = cv2.convertScaleAbs(rgb[: len(rgb) // 3], alpha=0.9)
    assert np.abs(find_white_balance(rgb).white / slide.white - 1.0).max() < 0.01
