"""Conformal sets hold the truth as often as promised; temperatures put sharpness right."""

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.calibration import fitted_temperature, tempered
from blurryscope.basics.conformal import class_cutoffs, score_sets

_CLASSES = 4


def test_a_cutoff_is_the_quantile_that_leaves_room_for_the_new_core() -> None:
    # nine cores of class 0 with misfits 0.1 … 0.9; ceil(10 · 0.8) = 8, so the eighth: 0.8
    misfits = np.arange(1, 10) / 10
    probabilities = np.stack([1 - misfits, misfits], axis=1)
    cutoffs = class_cutoffs(probabilities, np.zeros(9, np.int64), 0.2)
    assert cutoffs[0] == pytest.approx(0.8)


def test_a_class_with_too_few_calibration_cores_is_in_every_set() -> None:
    probabilities = np.array([[0.9, 0.1]] * 8)
    cutoffs = class_cutoffs(probabilities, np.zeros(8, np.int64), 0.1)
    assert cutoffs.tolist() == [1.0, 1.0]
    assert score_sets(np.array([[0.0, 1.0]]), cutoffs).all()


def test_scans_of_one_core_share_its_weight() -> None:
    misfits = np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.9, 0.9, 0.9])
    probabilities = np.stack([1 - misfits, misfits], axis=1)
    groups = np.array([0, 1, 2, 3, 4, 4, 4, 4])
    labels = np.zeros(8, np.int64)
    # five cores: 0.6 · 6 = 3.6 of them, reached at the fourth; eight scans taken singly: 5.4
    assert class_cutoffs(probabilities, labels, 0.4, groups)[0] == pytest.approx(0.4)
    assert class_cutoffs(probabilities, labels, 0.4)[0] == pytest.approx(0.9)


def test_coverage_of_every_class_is_within_two_standard_errors_of_its_target() -> None:
    rng = np.random.default_rng(5)
    probabilities, labels = _drawn(rng, 40_000, sharpness=2.0)
    cutoffs = class_cutoffs(probabilities[:20_000], labels[:20_000], 0.1)
    sets = score_sets(probabilities[20_000:], cutoffs)
    held = sets[np.arange(20_000), labels[20_000:]]
    for of in range(_CLASSES):
        among = held[labels[20_000:] == of]
        calibrated = (labels[:20_000] == of).sum()
        error = np.sqrt(0.1 * 0.9 * (1 / len(among) + 1 / calibrated))
        assert abs(among.mean() - 0.9) < 2 * error


@pytest.mark.parametrize("planted", [0.5, 1.0, 3.0])
def test_a_planted_temperature_is_found_again(planted: float) -> None:
    probabilities, labels = _drawn(np.random.default_rng(1), 20_000)
    distorted = tempered(probabilities, 1 / planted)
    assert fitted_temperature(distorted, labels) == pytest.approx(planted, rel=0.05)


def test_a_temperature_keeps_the_order_and_the_sum() -> None:
    row = np.array([[0.1, 0.2, 0.3, 0.4]])
    blunt = tempered(row, 3.0)
    assert (np.diff(blunt) > 0).all()
    assert blunt.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(tempered(blunt, 1 / 3), row)


def _drawn(
    rng: np.random.Generator, count: int, sharpness: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities, sharpened, with labels drawn from what they were before."""
    true = rng.dirichlet(np.ones(_CLASSES), count)
    labels = (rng.random((count, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(max=_CLASSES - 1)
    return tempered(true, 1 / sharpness), labels.astype(np.int64)
