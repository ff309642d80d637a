"""The evaluation that nobody has to doubt: everything is fixed on calibration cores first.

Temperature, threshold and conformal cutoffs come from the cores whose part is `calibrate`; the
cores whose part is `test` are then looked at once. One core counts once, its scans fused; patients
are what the bootstrap draws. The first figures are those with nothing withheld.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.labelled_table import CALIBRATE, TEST, LabelledTable
from blurryscope.basics.calibration import fitted_temperature, tempered
from blurryscope.basics.conformal import class_cutoffs, score_sets
from blurryscope.basics.errors import InputError
from blurryscope.evaluate.breakdown import Stratum, by_quality, by_repeat, by_slide
from blurryscope.evaluate.cases import Cases, fused_cases
from blurryscope.evaluate.intervals import (
    Estimate,
    Interval,
    bootstrapped,
    estimates,
    told_interval,
    wilson,
)
from blurryscope.evaluate.metrics import (
    POSITIVE_METRICS,
    SCORE_METRICS,
    calibration_gap,
    confusion,
)
from blurryscope.evaluate.repeat_agreement import RepeatAgreement, repeat_agreement

_FEWEST_TO_CALIBRATE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class HonestSettings:
    """What is decided before any test core is looked at."""

    withheld_share: float = 0.15
    """Of calibration cores; the threshold is set there. The paper's share."""
    miscoverage: float = 0.1
    """Share of cores whose conformal set may miss the true score."""
    replicates: int = 1000
    """Of the bootstrap, and of the shuffles behind chance levels."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.withheld_share < 1.0:
            raise ValueError(f"withheld_share must be 0 to below 1, got {self.withheld_share}")
        if not 0.0 < self.miscoverage < 1.0:
            raise ValueError(f"miscoverage must be above 0 and below 1, got {self.miscoverage}")
        if self.replicates < 1:
            raise ValueError(f"replicates must be positive, got {self.replicates}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """What was set on calibration cores."""

    core_count: int
    temperature: float
    threshold: float
    cutoffs: NDArray[np.float64]
    """(class,), see `class_cutoffs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationError:
    """ECE, and what it would be if the probabilities were exactly true."""

    before: Estimate
    after: Estimate
    if_perfect: float
    """Mean over labels drawn from the probabilities: what so few cores show of any model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What remains at the threshold from the calibration cores."""

    coverage: Estimate
    accuracy: Estimate
    confusion: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCoverage:
    """How often conformal sets hold the label, of one class or of all."""

    label: str
    coverage: Estimate
    mean_size: float
    single_share: float
    """Sets with exactly one class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All figures for one number of classes."""

    cases: Cases
    """Test cores, tempered."""
    raw: Cases
    """The same as they came."""
    estimates: Mapping[str, Estimate]
    confusion: NDArray[np.int64]
    calibration_error: CalibrationError
    fixed: Fixed | None
    """None where no part was for calibration: nothing is then withheld and no set is made."""
    selected: Selected | None
    conformal: tuple[ClassCoverage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HonestReport:
    """The whole evaluation of one table."""

    name: str
    views: Mapping[int, View]
    """By number of classes, four first."""
    agreement: RepeatAgreement | None
    """None where no core has repeats."""
    repeats: tuple[Stratum, ...]
    """First scans, second ones and so on, each by itself."""
    slides: tuple[Stratum, ...]
    qualities: tuple[Stratum, ...]
    test_count: int
    patient_count: int | None
    """None where patients are not known: the bootstrap then draws cores, and intervals are too
    narrow if patients have several."""
    unused: Mapping[str, int]
    """Rows that took no part, by reason."""

    @property
    def knows_patients(self) -> bool:
        return self.patient_count is not None


def honest_evaluation(table: LabelledTable, settings: HonestSettings) -> HonestReport:
    """Evaluate the test cores of a table; its calibration cores fix what has to be fixed.

    A table that tells no parts is a test set as a whole. Rows of other parts are left out.
    """
    test, calibration, unused = parts_of(table)
    rng = np.random.default_rng(settings.seed)
    test_cases, calibration_cases = fused_cases(test), _cases_or_none(calibration)
    views = {
        classes: _view(test_view, calibration_view, settings, rng)
        for classes, test_view, calibration_view in _views_of(test_cases, calibration_cases)
    }
    first = next(iter(views.values()))
    threshold = None if first.fixed is None else first.fixed.threshold
    return HonestReport(
        name=table.name,
        views=views,
        agreement=repeat_agreement(test, rng, settings.replicates),
        repeats=by_repeat(test),
        slides=by_slide(first.cases, threshold),
        qualities=by_quality(first.cases, threshold),
        test_count=test_cases.count,
        patient_count=len(np.unique(test_cases.patients)) if table.knows_patients else None,
        unused={**table.left_out, **unused},
    )


def parts_of(
    table: LabelledTable,
) -> tuple[LabelledTable, LabelledTable | None, dict[str, int]]:
    """Test rows, calibration rows if there are any, and how many rows are for something else."""
    if not (table.parts != "").any():
        return table, None, {}
    is_test, is_calibration = table.parts == TEST, table.parts == CALIBRATE
    if not is_test.any():
        raise InputError(
            table.name,
            f"has no row whose part is {TEST!r} among {', '.join(np.unique(table.parts))}",
            "Name the parts train, validate, calibrate and test",
        )
    others = table.parts[~is_test & ~is_calibration]
    unused = {f"of part {part or 'unknown'}": int((others == part).sum()) for part in set(others)}
    calibration = table.rows(is_calibration)
    enough = len(np.unique(calibration.core_keys)) >= _FEWEST_TO_CALIBRATE
    if is_calibration.any() and not enough:
        unused[f"for calibration, fewer than {_FEWEST_TO_CALIBRATE} cores"] = len(
            calibration.labels
        )
    return table.rows(is_test), calibration if enough else None, unused


def fix(calibration: Cases, settings: HonestSettings) -> Fixed:
    """Set temperature, threshold and cutoffs on calibration cores."""
    temperature = fitted_temperature(calibration.probabilities, calibration.labels)
    probabilities = tempered(calibration.probabilities, temperature)
    return Fixed(
        core_count=calibration.count,
        temperature=temperature,
        threshold=float(np.quantile(probabilities.max(axis=1), settings.withheld_share)),
        cutoffs=class_cutoffs(
            probabilities, calibration.labels, settings.miscoverage, calibration.patients
        ),
    )


def _cases_or_none(table: LabelledTable | None) -> Cases | None:
    return None if table is None else fused_cases(table)


def _views_of(test: Cases, calibration: Cases | None) -> list[tuple[int, Cases, Cases | None]]:
    views = [(test.classes, test, calibration)]
    if test.classes == 4:
        views.append((2, test.two_class(), calibration and calibration.two_class()))
    return views


def _view(
    raw: Cases, calibration: Cases | None, settings: HonestSettings, rng: np.random.Generator
) -> View:
    fixed = None if calibration is None else fix(calibration, settings)
    cases = raw
    if fixed is not None:
        cases = raw.with_probabilities(tempered(raw.probabilities, fixed.temperature))
    metrics = dict(SCORE_METRICS if raw.classes == 4 else POSITIVE_METRICS)
    figures = estimates(cases, metrics, rng, settings.replicates)
    return View(
        cases=cases,
        raw=raw,
        estimates=figures,
        confusion=confusion(cases.labels, cases.predicted, cases.classes),
        calibration_error=_calibration_error(raw, cases, figures["ece"], settings, rng),
        fixed=fixed,
        selected=None if fixed is None else selected_at(cases, fixed.threshold, settings, rng),
        conformal=() if fixed is None else conformal_coverage(cases, fixed.cutoffs),
    )


def _calibration_error(
    raw: Cases,
    cases: Cases,
    after: Estimate,
    settings: HonestSettings,
    rng: np.random.Generator,
) -> CalibrationError:
    before = after
    if raw is not cases:
        metric = {"ece": SCORE_METRICS["ece"]}
        before = estimates(raw, metric, rng, settings.replicates)["ece"]
    drawn = [
        calibration_gap(cases.confidence, rng.random(cases.count) < cases.confidence)
        for _ in range(settings.replicates)
    ]
    return CalibrationError(before=before, after=after, if_perfect=float(np.mean(drawn)))


def selected_at(
    cases: Cases, threshold: float, settings: HonestSettings, rng: np.random.Generator
) -> Selected:
    """Coverage and accuracy where the confidence reaches a threshold that was fixed before."""
    kept = cases.confidence >= threshold

    def coverage(sample: Cases) -> float:
        return float((sample.confidence >= threshold).mean())

    def accuracy(sample: Cases) -> float:
        among = sample.confidence >= threshold
        return float(sample.right[among].mean()) if among.any() else np.nan

    drawn = bootstrapped(cases, [coverage, accuracy], rng, settings.replicates)
    return Selected(
        coverage=_share("share scored", kept, told_interval(drawn[:, 0])),
        accuracy=_share("accuracy of those scored", cases.right[kept], told_interval(drawn[:, 1])),
        confusion=confusion(cases.labels[kept], cases.predicted[kept], cases.classes),
    )


def conformal_coverage(cases: Cases, cutoffs: NDArray[np.float64]) -> tuple[ClassCoverage, ...]:
    """Coverage of the sets over all cores and by true class, against what was promised."""
    sets = score_sets(cases.probabilities, cutoffs)
    holds = sets[np.arange(cases.count), cases.labels]
    names = ["0", "1+", "2+", "3+"] if cases.classes == 4 else ["negative", "positive"]
    rows = [("all", np.ones(cases.count, np.bool_))]
    rows += [(name, cases.labels == number) for number, name in enumerate(names)]
    return tuple(
        ClassCoverage(
            label=name,
            coverage=_share(name, holds[among], None),
            mean_size=float(sets[among].sum(axis=1).mean()),
            single_share=float((sets[among].sum(axis=1) == 1).mean()),
        )
        for name, among in rows
        if among.any()
    )


def _share(title: str, hits: NDArray[np.bool_], bootstrap: Interval | None) -> Estimate:
    return Estimate(
        title=title,
        value=float(hits.mean()) if len(hits) else np.nan,
        wilson=wilson(int(hits.sum()), len(hits)),
        bootstrap=bootstrap,
        hits=int(hits.sum()),
        trials=len(hits),
    )
