import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.basics.image import Grey
from blurryscope.stitch.features import absorbance_detail, log_of
from blurryscope.stitch.motion import OverlapCorrelator, match_patch, peak_offset
from tests.stitch.dirty_field import (
    COLUMNS,
    ROWS,
    blurred_tissue,
    dirty_shading,
    frame_of,
    seen_shading,
)


@pytest.fixture(scope="module")
def tissue() -> Grey:
    return blurred_tissue()


@pytest.fixture(scope="module")
def shading() -> Grey:
    return dirty_shading()


@pytest.fixture(scope="module")
def known_shading(tissue: Grey, shading: Grey) -> Grey:
    return seen_shading(tissue, shading)


@pytest.mark.parametrize("moved", [(0, 60), (0, -60), (-3, 75), (8, -40), (0, 6)])
def test_the_shift_is_found_where_plain_phase_correlation_locks_on_the_shading(
    tissue: Grey, shading: Grey, known_shading: Grey, moved: tuple[int, int]
) -> None:
    earlier = frame_of(tissue, shading, 100, 250, seed=10)
    later = frame_of(tissue, shading, 100 + moved[0], 250 + moved[1], seed=11)
    plain = cv2.phaseCorrelate(earlier.astype(np.float32), later.astype(np.float32))[0]
    correlator = OverlapCorrelator((ROWS, COLUMNS))
    correlator.push(absorbance_detail(earlier, log_of(known_shading), 12))
    shift = correlator.push(absorbance_detail(later, log_of(known_shading), 12))
    assert np.hypot(plain[0], plain[1]) < 1  # in vain: dirt and corners stand still
    assert shift is not None
    # The stage moved one way, so the content went the other.
    assert (shift.row_px, shift.col_px) == pytest.approx((-moved[0], -moved[1]), abs=0.7)
    assert shift.correlation > 0.6


def test_the_first_frame_has_nothing_to_be_compared_with() -> None:
    assert OverlapCorrelator((20, 30)).push(np.zeros((20, 30), np.float32)) is None


def test_frames_that_show_nothing_have_no_correlation() -> None:
    rng = np.random.default_rng(5)
    correlator = OverlapCorrelator((40, 60), noise_sigma=0.01)
    correlator.push(rng.normal(0, 0.002, (40, 60)).astype(np.float32))
    shift = correlator.push(rng.normal(0, 0.002, (40, 60)).astype(np.float32))
    assert shift is not None
    assert shift.correlation < 0.1


def test_frames_that_are_alike_are_still() -> None:
    detail = np.random.default_rng(6).normal(0, 0.1, (40, 60)).astype(np.float32)
    correlator = OverlapCorrelator((40, 60))
    correlator.push(detail)
    shift = correlator.push(detail + 0.001)
    assert shift is not None
    assert (shift.row_px, shift.col_px) == pytest.approx((0, 0), abs=0.01)
    assert shift.stillness > 0.99


def test_the_pictures_given_are_left_as_they_were() -> None:
    rng = np.random.default_rng(7)
    details = [rng.normal(size=(30, 40)).astype(np.float32) for _ in range(3)]
    before = [detail.copy() for detail in details]
    correlator = OverlapCorrelator((30, 40))
    for detail in details:
        correlator.push(detail)
    for detail, was in zip(details, before, strict=True):
        np.testing.assert_array_equal(detail, was)


def _slow_correlation(
    earlier: Grey, later: Grey, shift: tuple[int, int], noise_sigma: float
) -> float:
    """Sum over the pixels that both show, one at a time, over the root of both their energies."""
    rows, columns = earlier.shape
    product, energy_earlier, energy_later, count = 0.0, 0.0, 0.0, 0
    for row in range(rows):
        for column in range(columns):
            there_row, there_column = row + shift[0], column + shift[1]
            if 0 <= there_row < rows and 0 <= there_column < columns:
                a, b = float(earlier[row, column]), float(later[there_row, there_column])
                product += a * b
                energy_earlier += a * a
                energy_later += b * b
                count += 1
    floor = noise_sigma**2 * count + 1e-9
    return product / float(np.sqrt((energy_earlier + floor) * (energy_later + floor)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(7, 9), (8, 8), (5, 12)])
def test_all_shifts_agree_with_a_plain_loop_over_the_overlap(
    shape: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    earlier, later = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    slow = {
        (row, column): _slow_correlation(earlier, later, (row, column), 0.3)
        for row in range(-shape[0] + 1, shape[0])
        for column in range(-shape[1] + 1, shape[1])
        if (shape[0] - abs(row)) * (shape[1] - abs(column)) >= 0.25 * shape[0] * shape[1]
    }
    correlator = OverlapCorrelator(shape, least_overlap_fraction=0.25, noise_sigma=0.3)
    correlator.push(earlier)
    shift = correlator.push(later)
    assert shift is not None
    best = max(slow, key=lambda place: slow[place])
    assert shift.correlation == pytest.approx(slow[best], abs=1e-5)
    assert np.abs(np.array([shift.row_px, shift.col_px]) - best).max() <= 0.5
    assert shift.stillness == pytest.approx(max(slow[0, 0], 0), abs=1e-5)


@given(
    st.floats(-0.49, 0.49),
    st.floats(-0.49, 0.49),
    st.floats(0.1, 5),
    st.integers(0, 6),
    st.integers(0, 8),
)
def test_the_vertex_of_a_parabola_is_found_even_across_the_border(
    d_row: float, d_column: float, steepness: float, row: int, column: int
) -> None:
    rows = (np.arange(7) - row + 3) % 7 - 3 - d_row
    columns = (np.arange(9) - column + 4) % 9 - 4 - d_column
    surface = (1 - steepness * (rows[:, None] ** 2 + columns**2)).astype(np.float32)
    found = peak_offset(surface, row, column)
    assert found == pytest.approx((d_row, d_column), abs=1e-3)


def test_a_patch_is_found_to_a_part_of_a_pixel() -> None:
    noise = np.random.default_rng(9).normal(size=(80, 120)).astype(np.float32)
    region = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.float32)
    moved = np.array([[1, 0, 0.4], [0, 1, -0.3]])
    seen = cv2.warpAffine(region, moved, (120, 80), flags=cv2.INTER_CUBIC)
    patch = np.ascontiguousarray(seen[20:60, 30:90], np.float32)
    found = match_patch(patch, region)
    assert (found.row, found.column) == pytest.approx((20.3, 29.6), abs=0.1)
    assert found.correlation > 0.98
    # Noise blurred by s has a correlation of exp(-d^2 / 4 s^2).
    assert found.sharpness == pytest.approx(1 / (2 * 3**2), rel=0.25)


def test_a_patch_that_holds_an_edge_alone_is_found_without_sharpness() -> None:
    y, x = np.mgrid[:80, :120].astype(np.float32)
    region = np.asarray(np.tanh((y - 40 + 0.5 * (x - 60)) / 4), np.float32)
    found = match_patch(region[20:60, 30:90].copy(), region)
    assert found.correlation > 0.99
    assert abs(found.sharpness) < 1e-4


def test_a_best_place_on_the_border_of_the_search_is_no_match() -> None:
    ramp: Grey = np.tile(np.arange(60.0) ** 2, (40, 1)).astype(np.float32)
    assert match_patch(ramp[5:25, :20].copy(), ramp).correlation == 0.0
