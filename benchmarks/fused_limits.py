"""Whether answers fused of several scans of a core want limits of their own.

Usage: python benchmarks/fused_limits.py SET [MODEL]

SET needs several scans of each core by one microscope: `blurryscope dataset build --simulate 400
--repeats 3 --one-microscope --view-px 128 --crops 8 --seed 6 --shares 0.02,0.01,0.485,0.485`.
Rules are fitted to its calibration part; both they and the rule for a single scan then judge what
any so many scans of a core of the test part say together.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from blurryscope.artifacts.decision_rule import DecisionRule, DecisionRules
from blurryscope.artifacts.predictions import Decision, Prediction, most_probable
from blurryscope.artifacts.split import Part
from blurryscope.basics.her2 import Score
from blurryscope.classify.fit_limits import with_fused_rules
from blurryscope.classify.predict import Classifier, load_model
from blurryscope.classify.shipped import SHIPPED
from blurryscope.dataset.build import open_data_set
from blurryscope.dataset.stacks import DataSetStacks
from blurryscope.evaluate.repeats import consistency, fuse_core

Group = tuple[list[Prediction], Score]
"""Some scans of one core, and its label."""


def main() -> None:
    data = open_data_set(Path(sys.argv[1]))
    stacks = DataSetStacks(data, data.split("holdout"))
    classifier = load_model(sys.argv[2] if len(sys.argv) > 2 else SHIPPED)
    fitted = with_fused_rules(classifier, stacks).rules
    scans = _fit_scans(classifier, stacks)
    for count in range(1, len(fitted.by_count) + 1):
        groups = [
            (list(some), label)
            for predictions, label in scans
            for some in combinations(predictions, count)
        ]
        print(f"{count} scans of a core, {len(groups)} times:")
        for name, rule in (("for one scan", fitted.of(1)), ("of their own", fitted.of(count))):
            print(f"  limits {name}: {_told(rule)}; {_judged(groups, rule)}")
    _print_consistency([predictions for predictions, _ in scans])


def _print_consistency(cores: Sequence[list[Prediction]]) -> None:
    """Of the scans of a core with each other, those without a score counted and left out."""
    every = [
        [most_probable(each.probabilities) for each in scans if each.probabilities is not None]
        for scans in cores
    ]
    scored = [[each.score for each in scans if each.score is not None] for scans in cores]
    for name, scores in (("whatever is most probable", every), ("scores that are given", scored)):
        several = [some for some in scores if len(some) > 1]
        print(f"consistency of {name}: {consistency(several):.1%} of {len(several)} cores")


def _fit_scans(classifier: Classifier, stacks: DataSetStacks) -> list[Group]:
    """Of each test core the scans that would be fused."""
    cores: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    labels: dict[tuple[str, str], Score] = {}
    for index in stacks.part(Part.TEST):
        sample = stacks.samples[index]
        if sample.score is None:
            continue
        prediction = classifier.score(sample, stacks.stack(index, stacks.largest_view_px))
        if prediction.decision not in {Decision.WITHHELD, Decision.REFER}:
            key = sample.slide, str(sample.core)
            cores[key].append(prediction)
            labels[key] = sample.score
    return [(predictions, labels[key]) for key, predictions in cores.items()]


def _told(rule: DecisionRule) -> str:
    cutoffs = ", ".join(f"{cutoff:.2f}" for cutoff in rule.cutoffs or ())
    return f"threshold {rule.threshold:.3f}, cutoffs {cutoffs}"


def _judged(groups: Sequence[Group], rule: DecisionRule) -> str:
    rules = DecisionRules((rule,))
    results = [(fuse_core(some, decision_rules=rules), label) for some, label in groups]
    holds = [
        label in rule.possible(result.probabilities)
        for result, label in results
        if result.probabilities is not None
    ]
    scored = [(result.score, label) for result, label in results if result.score is not None]
    every = [
        (most_probable(result.probabilities), label)
        for result, label in results
        if result.probabilities is not None
    ]
    unscored = 1 - len(scored) / len(results)
    return (
        f"sets hold the label in {np.mean(holds):.1%}, no score {unscored:.1%}; "
        f"right {_right(every)}, of those scored {_right(scored)}"
    )


def _right(answers: Sequence[tuple[Score, Score]]) -> str:
    four = np.mean([said is label for said, label in answers])
    two = np.mean([said.is_positive == label.is_positive for said, label in answers])
    return f"{four:.1%} of four classes, {two:.1%} of two"


if __name__ == "__main__":
    main()
