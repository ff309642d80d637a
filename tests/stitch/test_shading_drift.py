"""A field that changes slowly is followed by what empty glass shows, and tissue is not followed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.stitch.shading_drift import ShadingDrift
from blurryscope.testing import smooth_picture

ROWS, COLUMNS, FRAMES = 60, 80, 20
GAIN = np.linspace(0.9, 1.2, COLUMNS, dtype=np.float32)[None, :, None] * np.ones(
    (ROWS, 1, 3), np.float32
)


def _lane(rng: np.random.Generator, change: NDArray[np.float64]) -> list[Rgb]:
    """Glass, then a core with pale rims, then glass, as a field shows them that has changed."""
    slide = np.full((ROWS, 20 * FRAMES + COLUMNS, 3), 195.0)
    slide[10:, 150:300] = 90 + 0.4 * smooth_picture(rng, (ROWS - 10, 150), 12)
    frames = [slide[:, 20 * n : 20 * n + COLUMNS] / GAIN * change for n in range(FRAMES)]
    return [to_uint8(np.asarray(frame + rng.normal(0, 1.0, frame.shape))) for frame in frames]


def _slope(across: float, along: float) -> NDArray[np.float64]:
    rows = np.linspace(-1, 1, ROWS)[:, None, None]
    columns = np.linspace(-1, 1, COLUMNS)[None, :, None]
    return np.asarray((1 + across * rows + along * columns) * np.ones(3))


@pytest.mark.parametrize(("across", "along"), [(0.08, 0.0), (0.0, -0.1), (0.05, 0.05)])
def test_a_slope_that_grows_from_lane_to_lane_is_evened_out(across: float, along: float) -> None:
    rng, drift = np.random.default_rng(5), ShadingDrift(GAIN)
    for number in range(21):
        share = min(number / 16, 1.0)
        change = _slope(across * share, along * share)
        drift.follow(_lane(rng, 0.97 * change))  # darker as a whole, which is none of its business
    factor = drift.factor((ROWS, COLUMNS))
    assert factor is not None
    left = factor * _slope(across, along)
    assert np.abs(left / left.mean() - 1).max() < 0.006
    larger = drift.factor((4 * ROWS, 4 * COLUMNS))
    assert larger is not None
    assert np.abs(larger[2::4, 2::4] - factor).max() < 0.003


def test_a_field_that_stays_is_left_as_it_is() -> None:
    rng, drift = np.random.default_rng(6), ShadingDrift(GAIN)
    for _ in range(20):
        drift.follow(_lane(rng, np.ones((ROWS, COLUMNS, 3))))
    assert drift.factor((ROWS, COLUMNS)) is None


def test_where_no_glass_is_seen_nothing_is_learnt() -> None:
    rng, drift = np.random.default_rng(7), ShadingDrift(GAIN)
    tissue = smooth_picture(rng, (ROWS, COLUMNS), 6)
    for _ in range(5):
        drift.follow([tissue] * FRAMES)
    assert drift.factor((ROWS, COLUMNS)) is None
