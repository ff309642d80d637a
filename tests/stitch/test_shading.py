import numpy as np

from blurryscope.stitch.shading import lasting_shading
from tests.stitch.dirty_field import COLUMNS, ROWS, blurred_tissue, dirty_shading, seen_shading


def test_shading_is_what_stays_when_tissue_passes() -> None:
    shading = dirty_shading()
    ratio = seen_shading(blurred_tissue(), shading) / shading
    assert np.abs(ratio / np.median(ratio) - 1).mean() < 0.03


def test_shading_is_found_where_most_frames_show_tissue() -> None:
    shading, rng = dirty_shading(), np.random.default_rng(12)
    glass = np.clip(shading + rng.normal(0, 1.5, (50, ROWS, COLUMNS)), 0, 255).astype(np.uint8)
    shows_tissue = rng.random((50, ROWS, COLUMNS)) < 0.6
    frames = np.where(shows_tissue, glass // 2, glass).astype(np.uint8)
    ratio = lasting_shading(frames) / shading
    assert (np.abs(ratio / np.median(ratio) - 1) < 0.03).mean() > 0.9


def test_shading_can_be_divided_by_where_a_pixel_is_dead() -> None:
    assert lasting_shading(np.zeros((5, 2, 3), np.uint8)).min() == 1.0
