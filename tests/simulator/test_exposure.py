import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.simulator.exposure import blur_along_scan, box_kernel


@given(st.floats(1.0, 120.0))
def test_the_kernel_is_a_box_of_its_length(length_px: float) -> None:
    kernel = box_kernel(length_px).astype(np.float64)
    places = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
    assert 1.0 / kernel.max() == pytest.approx(length_px, rel=1e-4)
    assert (kernel * places).sum() == pytest.approx(0.0, abs=1e-3)


def test_a_line_across_the_scan_is_smeared_over_speed_times_exposure() -> None:
    line = np.full((5, 201, 3), 250, np.uint8)
    line[:, 100] = 10
    length_px = 5000.0 * 0.0078 / 0.72
    blurred = blur_along_scan(line, length_px)
    darkened = 250.0 - blurred[2, :, 0]
    assert (darkened > 0.5).sum() == pytest.approx(length_px, abs=2)
    assert np.array_equal(blurred[0], blurred[4])


def test_nothing_changes_across_the_scan() -> None:
    line = np.full((21, 50, 3), 200, np.uint8)
    line[10] = 0
    assert np.array_equal(blur_along_scan(line, 30.0), line)


def test_a_blur_below_one_pixel_changes_nothing() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (9, 9, 3), np.uint8)
    assert np.array_equal(blur_along_scan(picture, 0.4), picture)
