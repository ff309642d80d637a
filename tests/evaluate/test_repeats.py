"""Fusing repeats, against cases worked by hand."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.artifacts.decision_rule import DecisionRule, DecisionRules
from blurryscope.artifacts.predictions import Decision, Prediction, Probabilities
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.evaluate.repeats import (
    FusionRule,
    consistency,
    fuse,
    fuse_core,
    fuse_slide,
    share_of_commonest,
)

_ZERO_SURE: Probabilities = (0.9, 0.1, 0.0, 0.0)
_TWO_UNSURE: Probabilities = (0.1, 0.2, 0.4, 0.3)
_THREE_UNSURE: Probabilities = (0.1, 0.1, 0.3, 0.5)
_CORE = CoreName(0, 0)
_REPEATS = (_ZERO_SURE, _TWO_UNSURE, _THREE_UNSURE)


def test_the_surest_scan_speaks_for_all() -> None:
    fused = fuse(_REPEATS, FusionRule.HIGHEST_CONFIDENCE)
    assert (fused.score, fused.confidence) == (Score.ZERO, 0.9)


def test_confidence_weights_the_class_indices() -> None:
    # (0 * 0.9 + 2 * 0.4 + 3 * 0.5) / (0.9 + 0.4 + 0.5) = 2.3 / 1.8 = 1.28
    fused = fuse(_REPEATS, FusionRule.CONFIDENCE_WEIGHTED)
    assert fused.score is Score.ONE
    assert fused.confidence == pytest.approx((0.9 + 0.4 + 0.5) / 3)


def test_the_plain_average_rounds_the_mean_score() -> None:
    assert fuse(_REPEATS, FusionRule.PLAIN_AVERAGE).score is Score.TWO  # 5 / 3 = 1.67


@pytest.mark.parametrize(
    ("scores", "fused"), [((0, 1), 0), ((1, 2), 2), ((2, 3), 2)], ids=["0.5", "1.5", "2.5"]
)
@pytest.mark.parametrize("rule", [FusionRule.PLAIN_AVERAGE, FusionRule.CONFIDENCE_WEIGHTED])
def test_halves_are_rounded_to_even(scores: tuple[int, ...], fused: int, rule: FusionRule) -> None:
    assert fuse([_certain(score) for score in scores], rule).score == fused


def test_the_majority_takes_the_lowest_of_equally_common_scores() -> None:
    assert fuse(_REPEATS, FusionRule.MAJORITY).score is Score.ZERO
    assert fuse([_certain(3), _certain(1), _certain(3)], FusionRule.MAJORITY).score is Score.THREE


def test_log_probabilities_are_averaged_and_normed() -> None:
    fused = fuse([(0.5, 0.3, 0.1, 0.1), (0.2, 0.6, 0.1, 0.1)], FusionRule.LOG_AVERAGE)
    roots = [math.sqrt(0.1), math.sqrt(0.18), 0.1, 0.1]
    assert fused.probabilities == pytest.approx([root / sum(roots) for root in roots])
    assert fused.score is Score.ONE


def test_the_papers_consistency_counts_the_commonest_score() -> None:
    assert share_of_commonest([Score(1), Score(1), Score(3)]) == pytest.approx(2 / 3)
    assert share_of_commonest([Score(0), Score(1), Score(3)]) == pytest.approx(1 / 3)


def test_consistency_is_the_mean_over_cores() -> None:
    cores = [[Score(2)] * 3, [Score(0), Score(1), Score(3)]]
    assert consistency(cores) == pytest.approx((1 + 1 / 3) / 2)


@given(st.permutations(_REPEATS), st.sampled_from(FusionRule))
def test_the_order_of_the_repeats_does_not_matter(
    shuffled: list[Probabilities], rule: FusionRule
) -> None:
    fused, other = fuse(_REPEATS, rule), fuse(shuffled, rule)
    assert fused.score is other.score
    assert fused.confidence == pytest.approx(other.confidence)


@given(st.sampled_from(_REPEATS), st.integers(1, 4), st.sampled_from(FusionRule))
def test_repeats_that_are_equal_fuse_to_themselves(
    probabilities: Probabilities, count: int, rule: FusionRule
) -> None:
    fused = fuse([probabilities] * count, rule)
    assert fused.probabilities == pytest.approx(probabilities, abs=1e-5)
    assert fused.confidence == pytest.approx(max(probabilities), abs=1e-5)


def test_agreement_is_the_share_of_repeats_that_gave_the_fused_score() -> None:
    """Two repeats lean to 0 a little, one of them too little for a score; one is sure of 3+."""
    rule = DecisionRule(threshold=0.3)
    leaning: Probabilities = (0.4, 0.15, 0.15, 0.3)
    sure: Probabilities = (0.001, 0.001, 0.001, 0.997)
    three = [
        _prediction(leaning, 1),
        replace(
            _prediction(leaning, 2), score=None, decision=Decision.INDETERMINATE, reason="unsure"
        ),
        replace(_prediction(sure, 3), score=Score.THREE),
    ]
    result = fuse_core(three, decision_rules=_always(rule))
    assert result.score is Score.THREE
    assert result.agreement == pytest.approx(1 / 3)


def test_a_withheld_repeat_takes_no_part() -> None:
    result = fuse_core(
        [_prediction(None, 1), _prediction(_ZERO_SURE, 2)],
        decision_rules=_always(DecisionRule(threshold=0.5)),
    )
    assert result.decision is Decision.SCORED
    assert (result.score, result.repeats_used, result.agreement) == (Score.ZERO, 1, 1.0)


def test_a_core_whose_repeats_are_all_withheld_is_withheld_with_their_reasons() -> None:
    result = fuse_core(
        [_prediction(None, 1), _prediction(None, 2)],
        decision_rules=_always(DecisionRule(threshold=0.5)),
    )
    assert result.decision is Decision.WITHHELD
    assert result.reason == "out of focus"
    assert result.repeats_used == 0


def test_a_fused_confidence_below_the_threshold_withholds_the_score() -> None:
    result = fuse_core(
        [_prediction(_TWO_UNSURE, 1)], decision_rules=_always(DecisionRule(threshold=0.6))
    )
    assert result.decision is Decision.INDETERMINATE
    assert result.score is None
    assert result.reason == "confidence 0.40 is below 0.60"
    assert result.agreement is None
    assert result.p_positive == pytest.approx(0.7)


def test_cores_of_a_slide_are_fused_each_by_itself() -> None:
    cores = [CoreName(0, 0), CoreName(0, 1)]
    predictions = [
        _prediction(_certain(index), repeat, core)
        for repeat in (1, 2)
        for index, core in enumerate(cores)
    ]
    results = fuse_slide(predictions, decision_rules=_always(DecisionRule(threshold=0.5)))
    assert [(result.core, result.score) for result in results] == [
        (cores[0], Score.ZERO),
        (cores[1], Score.ONE),
    ]


def test_predictions_of_two_cores_are_not_one_core() -> None:
    with pytest.raises(ValueError, match="one core, got 2"):
        fuse_core(
            [_prediction(_ZERO_SURE, 1), _prediction(_ZERO_SURE, 1, CoreName(5, 5))],
            decision_rules=_always(DecisionRule(threshold=0.5)),
        )


def test_a_fused_answer_is_judged_by_the_rule_for_as_many_scans_as_took_part() -> None:
    strict, lenient = DecisionRule(threshold=0.95), DecisionRule(threshold=0.5)
    rules = DecisionRules((strict, lenient))
    sure, unfit = _prediction(_ZERO_SURE, 1), _prediction(None, 3)
    both = fuse_core([sure, _prediction(_ZERO_SURE, 2), unfit], decision_rules=rules)
    assert (both.decision, both.repeats_used) == (Decision.SCORED, 2)
    alone = fuse_core([sure, _referred(_ZERO_SURE, 2), unfit], decision_rules=rules)
    assert (alone.decision, alone.repeats_used) == (Decision.INDETERMINATE, 1)
    assert alone.reason == "confidence 0.90 is below 0.95"


def _always(rule: DecisionRule) -> DecisionRules:
    return DecisionRules((rule,))


def _certain(score: int) -> Probabilities:
    zero, one, two, three = (1.0 if number == score else 0.0 for number in range(4))
    return zero, one, two, three


def _prediction(
    probabilities: Probabilities | None, repeat: int, core: CoreName = _CORE
) -> Prediction:
    if probabilities is None:
        return Prediction(
            slide="S", repeat=repeat, core=core, score=None, probabilities=None, p_positive=None,
            decision=Decision.WITHHELD, reason="out of focus",
        )  # fmt: skip
    return Prediction(
        slide="S", repeat=repeat, core=core, score=Score.ZERO, probabilities=probabilities,
        p_positive=probabilities[2] + probabilities[3], decision=Decision.SCORED,
    )  # fmt: skip


def test_a_referred_repeat_takes_no_part() -> None:
    referred = _referred(_THREE_UNSURE, 2)
    result = fuse_core(
        [_prediction(_ZERO_SURE, 1), referred], decision_rules=_always(DecisionRule())
    )
    assert (result.score, result.repeats_used) == (Score.ZERO, 1)


def test_a_core_whose_repeats_are_all_referred_is_referred_with_their_reason() -> None:
    result = fuse_core(
        [_referred(_ZERO_SURE, 1), _prediction(None, 2)], decision_rules=_always(DecisionRule())
    )
    assert (result.decision, result.score) == (Decision.REFER, None)
    assert result.probabilities == pytest.approx(_ZERO_SURE, abs=1e-5)
    assert result.reason.startswith("unlike the cores")


def _fused_reason(reasons: list[str]) -> str:
    """The reason of a core whose repeats are all referred, for these."""
    referred = [
        replace(_referred(_ZERO_SURE, number), reason=reason)
        for number, reason in enumerate(reasons, start=1)
    ]
    return fuse_core(referred, decision_rules=_always(DecisionRule())).reason


def test_a_reason_that_all_repeats_give_with_other_figures_is_said_once() -> None:
    reasons = [
        "distance 1.27, at most 1.13: read by eye",
        "distance 1.3, at most 1.13: read by eye",
    ]
    assert _fused_reason(reasons) == reasons[0]


def test_repeats_that_are_pale_in_other_words_are_pale_once() -> None:
    reasons = [
        "pale: 1+ as it is, 2+ if the picture has lost contrast: read by eye",
        "pale: unsure as it is, 2+ if the picture has lost contrast: read by eye",
        "unlike the cores that the network learnt from",
    ]
    assert _fused_reason(reasons) == f"{reasons[0]}; {reasons[2]}"


def test_repeats_that_doubt_alone_can_be_sure_together() -> None:
    # each may be 1+ or 2+; together 2+ has 0.9: (0.75 / 0.25)² = 9
    rule = DecisionRule(cutoffs=(0.8, 0.8, 0.8, 0.8))
    doubtful: Probabilities = (0.0, 0.25, 0.75, 0.0)
    assert rule.decide(doubtful, 0.75)[0] is Decision.INDETERMINATE
    surer: Probabilities = (0.0, 0.05, 0.95, 0.0)
    fused = fuse_core(
        [_prediction(doubtful, 1), _prediction(surer, 2)], decision_rules=_always(rule)
    )
    assert fused.decision is Decision.SCORED


def _referred(probabilities: Probabilities, repeat: int) -> Prediction:
    return replace(
        _prediction(probabilities, repeat),
        score=None,
        decision=Decision.REFER,
        reason="unlike the cores that the network learnt from",
    )
