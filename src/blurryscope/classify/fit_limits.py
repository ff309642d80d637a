"""Fitting a model's limits: from cores it learnt from, and from cores set aside for calibration."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.decision_rule import DecisionRule, DecisionRules
from blurryscope.artifacts.samples import Sample
from blurryscope.artifacts.split import Part
from blurryscope.artifacts.training_set import LabelledStacks, refuse_smaller_views
from blurryscope.basics.calibration import fitted_temperature, tempered
from blurryscope.basics.conformal import class_cutoffs
from blurryscope.basics.errors import InputError
from blurryscope.basics.fusing import log_average
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.calibrate import threshold_withholding
from blurryscope.classify.familiarity import fitted_familiarity
from blurryscope.classify.gate import MEASURED_PX, objection, stack_quality
from blurryscope.classify.limits import Limits
from blurryscope.classify.predict import Classifier

_FAMILIAR_STACKS = 1_000
"""Training stacks that familiarity is fitted to, about; many times the number of features."""
_FEWEST_CORES = 40
"""Of calibration cores of as many patients: ten of a class are the fewest for sets that hold it in
90 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """What limits are to promise."""

    coverage: float = 0.9
    """How often a set of scores holds the true one."""
    withheld_share: float = 0.15
    """Of calibration stacks, by the threshold; the paper's share."""
    strange_share: float = 0.02
    """Of calibration stacks, which are all familiar, that may be called strange."""

    def __post_init__(self) -> None:
        for name in ("coverage", "withheld_share", "strange_share"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be above 0 and below 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredStacks:
    """Stacks of a part that pass the gate, with what the network says."""

    probabilities: NDArray[np.float64]
    features: NDArray[np.float32]
    scores: NDArray[np.int64]
    owners: NDArray[np.str_]
    """The patient of each stack, or its core where that is not known."""
    cores: NDArray[np.str_]

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "AnsweredStacks":
        """Some of them, in the order given."""
        return AnsweredStacks(
            probabilities=self.probabilities[chosen],
            features=self.features[chosen],
            scores=self.scores[chosen],
            owners=self.owners[chosen],
            cores=self.cores[chosen],
        )


def fitted_limits(
    classifier: Classifier,
    data: LabelledStacks,
    settings: LimitSettings | None = None,
    *,
    fitted_on: dict[str, str | int | float] | None = None,
    progress: Progress = silent,
) -> Limits:
    """Fit familiarity to the training part, all else to the calibration part; test is not read.

    `classifier` must have no limits yet, or they would be fitted on top of those.
    """
    if classifier.limits is not None:
        raise ValueError("classifier must be loaded without limits")
    refuse_smaller_views(data, max(classifier.view_px, MEASURED_PX))
    kept = data.part(Part.CALIBRATE)
    # Before anything is looked at, which takes minutes.
    _refuse_too_few(data.name, {_owner(data.samples[index]) for index in kept})
    learnt = data.part(Part.TRAIN)
    some = learnt[:: max(1, len(learnt) // _FAMILIAR_STACKS)]
    train = _answered(classifier, data, some, progress)
    calibration = _answered(classifier, data, kept, progress)
    _refuse_too_few(data.name, calibration.owners.tolist())
    _refuse_lacking_scores(data.name, train)
    return _limits_from(train, calibration, settings or LimitSettings(), fitted_on or {})


def _limits_from(
    train: AnsweredStacks,
    calibration: AnsweredStacks,
    settings: LimitSettings,
    fitted_on: dict[str, str | int | float],
) -> Limits:
    familiarity = fitted_familiarity(train.features, train.scores)
    temperature = fitted_temperature(calibration.probabilities, calibration.scores)
    rule = _rule_for(
        replace(calibration, probabilities=tempered(calibration.probabilities, temperature)),
        coverage=settings.coverage,
        withheld_share=settings.withheld_share,
    )
    distances = familiarity.distance(calibration.features)
    return Limits(
        temperature=temperature,
        rules=DecisionRules((rule,)),
        familiarity=familiarity,
        farthest=float(np.quantile(distances, 1 - settings.strange_share)),
        fitted_on={
            **fitted_on,
            "training_stacks": len(train.scores),
            "calibration_stacks": len(calibration.scores),
            "calibration_patients": len(np.unique(calibration.owners)),
        },
    )


def with_fused_rules(
    classifier: Classifier,
    data: LabelledStacks,
    *,
    withheld_share: float = 0.15,
    fitted_on: dict[str, str | int | float] | None = None,
    progress: Progress = silent,
) -> Limits:
    """Give a model's limits, with a rule for two scans of a core, for three, … added.

    The calibration part of `data` needs several scans of each core, by one microscope as repeats
    of a slide are. Each rule promises what that for a single scan does. Scans that the gate or
    familiarity would keep from being fused take no part here either.
    """
    limits = classifier.limits
    if limits is None:
        raise InputError(
            classifier.name, "has no limits to add to", "Fit them first: blurryscope fit-limits"
        )
    refuse_smaller_views(data, max(classifier.view_px, MEASURED_PX))
    kept = data.part(Part.CALIBRATE)
    # Before anything is looked at, which takes minutes.
    _refuse_scanned_once(data.name, (_core(data.samples[index]) for index in kept))
    scans = _answered(classifier, data, kept, progress)
    scans = scans.rows(limits.familiarity.distance(scans.features) <= limits.farthest)
    single = limits.rules.of(1)
    fused_rules = [
        _rule_for(answers, coverage=single.coverage, withheld_share=withheld_share)
        for answers in _fused_answers(scans)
    ]
    if not fused_rules:
        _refuse_scanned_once(data.name, scans.cores.tolist())
    told = limits.fitted_on | (fitted_on or {}) | {"fused_stacks": len(scans.scores)}
    return replace(limits, rules=DecisionRules((single, *fused_rules)), fitted_on=told)


def _fused_answers(scans: AnsweredStacks) -> Iterator[AnsweredStacks]:
    """What any two scans of a core say together, any three, … while there are cores enough."""
    rows_of_core = [np.flatnonzero(scans.cores == core) for core in np.unique(scans.cores)]
    for count in range(2, max(map(len, rows_of_core), default=0) + 1):
        chosen = [np.array(rows) for core in rows_of_core for rows in combinations(core, count)]
        firsts = scans.rows(np.array([rows[0] for rows in chosen], np.intp))
        if len(np.unique(firsts.cores)) < _FEWEST_CORES:
            return
        fused = np.array([log_average(scans.probabilities[rows]) for rows in chosen])
        yield replace(firsts, probabilities=fused)


def _rule_for(answers: AnsweredStacks, *, coverage: float, withheld_share: float) -> DecisionRule:
    """What keeps the promises on calibrated answers."""
    cutoffs = class_cutoffs(answers.probabilities, answers.scores, 1 - coverage, answers.owners)
    zero, one, two, three = (float(cutoff) for cutoff in cutoffs)
    return DecisionRule(
        threshold=threshold_withholding(withheld_share, answers.probabilities.max(axis=1)),
        cutoffs=(zero, one, two, three),
        coverage=coverage,
    )


def _answered(
    classifier: Classifier, data: LabelledStacks, indices: Sequence[int], progress: Progress
) -> AnsweredStacks:
    """As in use: the largest views there are, and none that the gate refuses."""
    rows, features, scores, owners, cores = [], [], [], [], []
    for number, index in enumerate(indices, start=1):
        stack = data.stack(index, data.largest_view_px)
        sample = data.samples[index]
        progress("look at the data set", number / len(indices))
        if sample.score is None or objection(stack_quality(stack)) is not None:
            continue
        answers = classifier.answers(stack[None])
        rows.append(answers.probabilities[0])
        features.append(answers.features[0])
        scores.append(int(sample.score))
        cores.append(_core(sample))
        owners.append(_owner(sample))
    return AnsweredStacks(
        probabilities=np.array(rows),
        features=np.array(features, np.float32),
        scores=np.array(scores, np.int64),
        owners=np.array(owners, np.str_),
        cores=np.array(cores, np.str_),
    )


def _owner(sample: Sample) -> str:
    """The patient, or the core where that is not known."""
    return sample.case or _core(sample)


def _core(sample: Sample) -> str:
    return f"{sample.slide} {sample.core}"


def _refuse_scanned_once(name: str, cores: Iterable[str]) -> None:
    """`cores` has the core of every scan."""
    several = sum(count > 1 for count in Counter(cores).values())
    if several < _FEWEST_CORES:
        raise InputError(
            name,
            f"holds fewer than {_FEWEST_CORES} calibration cores with several scans",
            "Draw some: blurryscope dataset build --repeats 3 --one-microscope",
        )


def _refuse_too_few(name: str, owners: Iterable[str]) -> None:
    patients = len(set(owners))
    if patients < _FEWEST_CORES:
        raise InputError(
            name,
            f"holds cores of {patients} patients to calibrate with that are fit to be scored",
            f"Set those of {_FEWEST_CORES} aside before training: blurryscope dataset split {name} "
            "--shares",
        )


def _refuse_lacking_scores(name: str, train: AnsweredStacks) -> None:
    if len(np.unique(train.scores)) < 4:
        raise InputError(
            name,
            "lacks a score among its training cores",
            "Give cores of all four scores to train",
        )
