"""Pale cores: a score stands only where it does not hang on contrast that may be lost."""

from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.decision_rule import DecisionRule
from blurryscope.artifacts.predictions import Decision
from blurryscope.artifacts.samples import sample_of_file
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.classify.contrast import PALE_RELIEF, likely_contrast, with_contrast
from blurryscope.classify.gate import stack_quality
from blurryscope.classify.predict import contrast_doubt, load_model, prediction_of
from blurryscope.dataset.simulated import SimulatedCores, simulated_pictures
from blurryscope.dataset.views import make_stack

_SAMPLE = sample_of_file(Path("S_1_A1_2.tif"))
_RULE = DecisionRule(threshold=0.5)
_ONE = np.array([0.2, 0.7, 0.1, 0.0])
_TWO = np.array([0.0, 0.2, 0.7, 0.1])
_UNSURE = np.array([0.4, 0.4, 0.1, 0.1])


def test_contrast_that_glare_took_is_brought_back() -> None:
    stack = _drawn_stack()
    veiled = to_uint8(250 + 0.4 * (stack.astype(np.float32) - 250))
    again = with_contrast(veiled, 0.4).astype(int)
    # Glass is taken from the picture, 98 % of which is darker: within 5 levels of the 250 above.
    assert np.abs(again - stack).max() <= 12
    assert np.abs(again - stack).mean() <= 5


def test_full_contrast_changes_nothing() -> None:
    stack = _drawn_stack()
    np.testing.assert_array_equal(with_contrast(stack, 1.0), stack)


@pytest.mark.parametrize("left", [0.0, -0.5, 1.5])
def test_contrast_beyond_all_of_it_is_refused(left: float) -> None:
    with pytest.raises(ValueError, match="left must be above 0 and at most 1"):
        with_contrast(np.zeros((5, 8, 8, 3), np.uint8), left)


def test_the_less_relief_the_less_contrast_is_likely_left() -> None:
    left = [likely_contrast(relief) for relief in (0.0, 0.002, PALE_RELIEF, 0.03, 1.0)]
    assert left == sorted(left)
    assert left[0] > 0
    assert 0.2 < left[1] < left[2] < 0.6
    assert left[-1] == 1.0


def test_an_answer_that_takes_the_other_side_with_more_contrast_counts_for_nothing() -> None:
    assert contrast_doubt(_ONE, _TWO, _RULE) == (
        "pale: 1+ as it is, 2+ if the picture has lost contrast: read by eye"
    )


def test_an_answer_that_more_contrast_makes_unsure_counts_for_nothing() -> None:
    assert "unsure if the picture has lost contrast" in (
        contrast_doubt(_ONE, _UNSURE, _RULE) or "no doubt"
    )


def test_an_unsure_answer_on_the_other_side_of_more_contrast_takes_no_part_either() -> None:
    assert contrast_doubt(_UNSURE, _UNSURE[::-1], _RULE) == (
        "pale: unsure, whether or not the picture has lost contrast: read by eye"
    )


def test_an_answer_that_stays_on_its_side_stands() -> None:
    assert contrast_doubt(_ONE, _ONE[[1, 0, 2, 3]], _RULE) is None
    assert contrast_doubt(_UNSURE, _UNSURE, _RULE) is None


def test_a_core_that_glare_takes_over_the_line_is_referred_and_gets_no_score() -> None:
    classifier = load_model()
    clear, veiled = (classifier.score(_SAMPLE, _drawn_stack(glare)) for glare in (None, 0.8))
    assert clear.score is Score.THREE
    assert veiled.decision is Decision.REFER
    assert veiled.score is None
    assert veiled.reason.startswith("pale: 1+ as it is, ")
    unchecked = prediction_of(_SAMPLE, np.array(veiled.probabilities), classifier.decision_rule())
    assert unchecked.score is Score.ONE


def _drawn_stack(glare: float | None = None) -> Rgb:
    wanted = SimulatedCores(core_count=8, scans_per_core=1, pixel_size_um=2.2, seed=4, glare=glare)
    pictures = list(simulated_pictures(wanted, workers=1))
    stack = make_stack(pictures[7].pixels, pixel_size_um=2.2)
    assert stack_quality(stack).spots < 6
    return stack
