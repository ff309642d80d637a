"""A score is given where the confidence and the set of possible scores allow it."""

import pytest

from blurryscope.artifacts.decision_rule import DecisionRule, DecisionRules
from blurryscope.artifacts.predictions import Decision, Probabilities
from blurryscope.basics.her2 import Score

_CUTOFFS: Probabilities = (0.8, 0.8, 0.8, 0.8)
"""Whatever has a probability of at least 0.2 is possible."""


def test_a_sure_answer_is_a_score() -> None:
    rule = DecisionRule(threshold=0.5, cutoffs=_CUTOFFS)
    assert rule.decide((0.0, 0.1, 0.1, 0.8), 0.8) == (Decision.SCORED, "")


def test_a_set_on_both_sides_is_no_score_and_says_which_they_are() -> None:
    decision, reason = DecisionRule(cutoffs=_CUTOFFS).decide((0.05, 0.6, 0.3, 0.05), 0.6)
    assert decision is Decision.INDETERMINATE
    assert "it may be 1+ or 2+" in reason
    assert "90 %" in reason


def test_a_set_on_one_side_leaves_the_score() -> None:
    rule = DecisionRule(threshold=0.5, cutoffs=_CUTOFFS)
    assert rule.possible((0.4, 0.55, 0.05, 0.0)) == (Score.ZERO, Score.ONE)
    assert rule.decide((0.4, 0.55, 0.05, 0.0), 0.55)[0] is Decision.SCORED


def test_a_confidence_below_the_threshold_is_no_score() -> None:
    decision, reason = DecisionRule(threshold=0.7).decide((0.0, 0.0, 0.4, 0.6), 0.6)
    assert decision is Decision.INDETERMINATE
    assert reason == "confidence 0.60 is below 0.70"


def test_shares_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        DecisionRule(threshold=1.5)


def test_more_scans_than_were_calibrated_are_judged_as_the_most_that_were() -> None:
    one, two = DecisionRule(threshold=0.5), DecisionRule(threshold=0.6)
    rules = DecisionRules((one, two))
    assert [rules.of(count) for count in (1, 2, 3, 9)] == [one, two, two, two]
    with pytest.raises(ValueError, match="scan_count"):
        rules.of(0)
