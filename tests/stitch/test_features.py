import cv2
import numpy as np
import pytest

from blurryscope.stitch.features import absorbance_detail, log_of, shrunk
from blurryscope.testing import smooth_picture
from tests.stitch.dirty_field import COLUMNS, ROWS, blurred_tissue, dirty_shading


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5, 8])
def test_a_shrunk_frame_is_the_mean_of_its_blocks(factor: int) -> None:
    luma = np.random.default_rng(84).integers(0, 256, (121, 163)).astype(np.uint8)
    rows, columns = 121 // factor, 163 // factor
    blocks = luma[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    off = shrunk(luma, factor) - blocks.mean(axis=(1, 3))
    assert np.abs(off).max() <= 1.5
    assert abs(off.mean()) < 0.5


@pytest.mark.parametrize(("shape", "sigma_px"), [((120, 160), 6.0), ((240, 320), 12.0)])
def test_detail_is_absorbance_less_its_gaussian_blur(
    shape: tuple[int, int], sigma_px: float
) -> None:
    luma = smooth_picture(np.random.default_rng(85), shape, grain_px=5)[..., 1]
    shading = log_of(np.full(shape, 240, np.float32))
    absorbance = shading - np.log(luma + np.float32(1))
    plain = absorbance - cv2.GaussianBlur(absorbance, (0, 0), sigma_px)
    off = absorbance_detail(luma, shading, sigma_px) - plain
    assert off[8:-8, 8:-8].std() < 0.01 * plain.std()


def test_detail_does_not_care_for_exposure_or_shading() -> None:
    tissue, shading = blurred_tissue(), dirty_shading()
    light = tissue[:ROWS, :COLUMNS]
    flat = np.full_like(shading, 200.0)
    details = [
        absorbance_detail(np.rint(light * field * factor).astype(np.uint8), log_of(field), 10)
        for field, factor in ((flat, 1.0), (flat, 0.8), (shading, 1.0))
    ]
    for detail in details[1:]:
        assert np.abs(detail - details[0]).mean() < 0.1 * details[0].std()
