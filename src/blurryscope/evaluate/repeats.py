"""Several scans of one core become one answer: the paper's rules, and ours.

The paper counts three ways. *All scans*: nothing is fused, each scan is a case. *Highest
confidence*: the scan that is surest speaks. *Confidence-weighted*: a mean of the class indices,
weighted by confidence. Ours is the mean of the log-probabilities: scans that are each a little
sure add up, and one that is sure and alone can be outvoted.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from blurryscope.artifacts.decision_rule import DecisionRules
from blurryscope.artifacts.predictions import (
    PALE,
    CoreResult,
    Decision,
    Prediction,
    Probabilities,
    most_probable,
)
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.fusing import log_average
from blurryscope.basics.her2 import Score


class FusionRule(StrEnum):
    """How repeats become one answer."""

    LOG_AVERAGE = "log-average"
    """Mean log-probability, then normed. Ours, the default."""
    HIGHEST_CONFIDENCE = "highest-confidence"
    CONFIDENCE_WEIGHTED = "confidence-weighted"
    """round(sum(score * confidence) / sum(confidence)), half to even; confidence is the mean."""
    PLAIN_AVERAGE = "plain-average"
    """round(mean score), half to even; confidence is the mean. (The paper thresholds this one by
    the confidence of the first scan alone, which is a slip that is not repeated here.)"""
    MAJORITY = "majority"
    """The commonest score, the lowest where several are; confidence is the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """What the repeats of one core say together."""

    score: Score
    confidence: float
    probabilities: Probabilities


def fuse(repeats: Sequence[Probabilities], rule: FusionRule = FusionRule.LOG_AVERAGE) -> Fused:
    """Fuse the probabilities of one or more repeats of a core."""
    if not repeats:
        raise ValueError("repeats must not be empty")
    return _RULES[rule](repeats)


def fuse_core(
    predictions: Sequence[Prediction],
    *,
    decision_rules: DecisionRules,
    rule: FusionRule = FusionRule.LOG_AVERAGE,
) -> CoreResult:
    """Fuse what was predicted for one core of one slide.

    Repeats that were withheld or referred take no part; if all were, so is the core, with their
    reasons. Else the rule for as many scans as take part judges the fused answer.
    """
    slide, core = _one_core(predictions)
    used = [p for p in predictions if p.probabilities and not _is_referred(p)]
    if not used:
        return _not_answered(slide, core, predictions, rule)
    fused = fuse([p.probabilities for p in used if p.probabilities], rule)
    rule_of_count = decision_rules.of(len(used))
    decision, reason = rule_of_count.decide(fused.probabilities, fused.confidence)
    score = fused.score if decision is Decision.SCORED else None
    return CoreResult(
        slide=slide,
        core=core,
        score=score,
        probabilities=fused.probabilities,
        p_positive=_positive(fused.probabilities),
        confidence=fused.confidence,
        decision=decision,
        reason=reason,
        repeats_used=len(used),
        agreement=None if score is None else [p.score for p in used].count(score) / len(used),
    )


def _not_answered(
    slide: str, core: CoreName, predictions: Sequence[Prediction], rule: FusionRule
) -> CoreResult:
    """No repeat counts. What the network said of referred ones is kept for the record."""
    told = [p.probabilities for p in predictions if p.probabilities]
    fused = fuse(told, rule) if told else None
    return CoreResult(
        slide=slide,
        core=core,
        score=None,
        probabilities=None if fused is None else fused.probabilities,
        p_positive=None if fused is None else _positive(fused.probabilities),
        confidence=None if fused is None else fused.confidence,
        decision=Decision.WITHHELD if fused is None else Decision.REFER,
        reason=_said_once([prediction.reason for prediction in predictions]),
    )


def _said_once(reasons: Sequence[str]) -> str:
    """Each reason with the figures of the first repeat that gave it; paleness is one reason."""
    by_words: dict[str, str] = {}
    for reason in reasons:
        words = PALE if reason.startswith(PALE) else _FIGURES.sub("", reason)
        by_words.setdefault(words, reason)
    return "; ".join(by_words.values())


_FIGURES = re.compile(r"\d+(\.\d+)?")


def _is_referred(prediction: Prediction) -> bool:
    return prediction.decision is Decision.REFER


def _positive(probabilities: Probabilities) -> float:
    return min(probabilities[2] + probabilities[3], 1.0)


def fuse_slide(
    predictions: Sequence[Prediction],
    *,
    decision_rules: DecisionRules,
    rule: FusionRule = FusionRule.LOG_AVERAGE,
) -> list[CoreResult]:
    """Fuse all cores, each by itself, in the order in which they first come."""
    cores: dict[tuple[str, CoreName], list[Prediction]] = {}
    for prediction in predictions:
        cores.setdefault((prediction.slide, prediction.core), []).append(prediction)
    return [
        fuse_core(repeats, decision_rules=decision_rules, rule=rule) for repeats in cores.values()
    ]


def share_of_commonest(scores: Sequence[Score]) -> float:
    """Share of the scores that equal the commonest one, 1/n to 1."""
    return scores.count(commonest(scores)) / len(scores)


def consistency(cores: Sequence[Sequence[Score]]) -> float:
    """The paper's figure: mean over cores. Blind to whether the scores are right."""
    if not cores:
        raise ValueError("cores must not be empty")
    return math.fsum(share_of_commonest(scores) for scores in cores) / len(cores)


def commonest(scores: Sequence[Score]) -> Score:
    """The mode; the lowest where several are equally common."""
    counts = Counter(scores)
    most = max(counts.values())
    return min(score for score, count in counts.items() if count == most)


def _one_core(predictions: Sequence[Prediction]) -> tuple[str, CoreName]:
    cores = {(prediction.slide, prediction.core) for prediction in predictions}
    if len(cores) != 1:
        raise ValueError(f"predictions must be of one core, got {len(cores)}")
    return cores.pop()


def _log_average(repeats: Sequence[Probabilities]) -> Fused:
    zero, one, two, three = (float(p) for p in log_average(np.array(repeats)))
    probabilities = (zero, one, two, three)
    return Fused(
        score=_top(probabilities), confidence=max(probabilities), probabilities=probabilities
    )


def _highest_confidence(repeats: Sequence[Probabilities]) -> Fused:
    surest = max(repeats, key=max)
    return Fused(score=_top(surest), confidence=max(surest), probabilities=surest)


def _confidence_weighted(repeats: Sequence[Probabilities]) -> Fused:
    confidences = [max(probabilities) for probabilities in repeats]
    weighted = math.fsum(_top(p) * c for p, c in zip(repeats, confidences, strict=True))
    # Python rounds halves to even, as NumPy did for the paper.
    score = Score(round(weighted / math.fsum(confidences)))
    return _with_mean_confidence(score, repeats, confidences)


def _plain_average(repeats: Sequence[Probabilities]) -> Fused:
    score = Score(round(sum(map(_top, repeats)) / len(repeats)))
    return _with_mean_confidence(score, repeats, [1.0] * len(repeats))


def _majority(repeats: Sequence[Probabilities]) -> Fused:
    return _with_mean_confidence(
        commonest([_top(p) for p in repeats]), repeats, [1.0] * len(repeats)
    )


def _with_mean_confidence(
    score: Score, repeats: Sequence[Probabilities], weights: Sequence[float]
) -> Fused:
    """Rules on class indices say nothing of probabilities; those are averaged with `weights`."""
    sums = [
        math.fsum(p * weight for p, weight in zip(of_class, weights, strict=True))
        for of_class in zip(*repeats, strict=True)
    ]
    confidence = math.fsum(max(probabilities) for probabilities in repeats) / len(repeats)
    return Fused(score=score, confidence=confidence, probabilities=_normed(sums))


def _normed(weights: Sequence[float]) -> Probabilities:
    total = math.fsum(weights)
    zero, one, two, three = (weight / total for weight in weights)
    return zero, one, two, three


def _top(probabilities: Probabilities) -> Score:
    return most_probable(probabilities)


_RULES: dict[FusionRule, Callable[[Sequence[Probabilities]], Fused]] = {
    FusionRule.LOG_AVERAGE: _log_average,
    FusionRule.HIGHEST_CONFIDENCE: _highest_confidence,
    FusionRule.CONFIDENCE_WEIGHTED: _confidence_weighted,
    FusionRule.PLAIN_AVERAGE: _plain_average,
    FusionRule.MAJORITY: _majority,
}
