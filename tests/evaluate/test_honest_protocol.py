"""Everything is fixed on calibration cores; the figures of planted tables come back exactly."""

from dataclasses import replace

import numpy as np
import pytest

from blurryscope.artifacts.labelled_table import LabelledTable
from blurryscope.basics.calibration import tempered
from blurryscope.basics.errors import InputError
from blurryscope.evaluate.comparison import paired_differences
from blurryscope.evaluate.honest_protocol import HonestSettings, honest_evaluation
from tests.evaluate.tables import call, table_of

_QUICK = HonestSettings(replicates=50)
_HARDLY_ANY = HonestSettings(replicates=2)
"""For truths in which the bootstrap has no part."""

_ANSWERS = {0: [0] * 8 + [1] * 2, 1: [1] * 6 + [2] * 4, 2: [2] * 5 + [1] * 5, 3: [3] * 9 + [2]}
"""Of ten cores of each score, what is said: 28 of 40 right, 31 of 40 negative or positive."""


def planted(parts: str = "") -> LabelledTable:
    scans = [
        (f"{label}-{n}", 1, label, call(said, 0.7))
        for label, answers in _ANSWERS.items()
        for n, said in enumerate(answers)
    ]
    return table_of(scans, parts=[parts] * len(scans))


def test_planted_answers_are_returned_exactly() -> None:
    report = honest_evaluation(planted(), _QUICK)
    four, two = report.views[4], report.views[2]
    assert four.estimates["accuracy"].value == pytest.approx(28 / 40)
    assert four.estimates["balanced_accuracy"].value == pytest.approx((0.8 + 0.6 + 0.5 + 0.9) / 4)
    assert four.confusion.tolist() == [[8, 2, 0, 0], [0, 6, 4, 0], [0, 5, 5, 0], [0, 0, 1, 9]]
    assert two.estimates["accuracy"].value == pytest.approx(31 / 40)
    assert two.estimates["sensitivity"].value == pytest.approx(15 / 20)
    assert two.estimates["specificity"].value == pytest.approx(16 / 20)
    assert two.confusion.tolist() == [[16, 4], [5, 15]]
    assert four.estimates["ece"].value == pytest.approx(0.0, abs=1e-12)
    assert four.estimates["aurc"].value == pytest.approx(12 / 40)


def test_without_calibration_cores_nothing_is_withheld_or_promised() -> None:
    view = honest_evaluation(planted(), _QUICK).views[4]
    assert (view.fixed, view.selected, view.conformal) == (None, None, ())


def test_what_is_fixed_does_not_depend_on_the_test_cores() -> None:
    table = calibrated_table(np.random.default_rng(3))
    others = table.labels.copy()
    others[table.parts == "test"] = 0
    changed = replace(table, labels=others)
    one, other = (honest_evaluation(each, _HARDLY_ANY) for each in (table, changed))
    for classes in (4, 2):
        fixed, same = one.views[classes].fixed, other.views[classes].fixed
        assert fixed is not None
        assert same is not None
        assert (fixed.temperature, fixed.threshold) == (same.temperature, same.threshold)
        np.testing.assert_array_equal(fixed.cutoffs, same.cutoffs)


def test_a_bootstrap_that_knows_no_error_gives_no_interval() -> None:
    faultless = table_of(
        [(f"{label}-{n}", 1, label, call(label, 0.7)) for label in range(4) for n in range(6)]
    )
    accuracy = honest_evaluation(faultless, _QUICK).views[4].estimates["accuracy"]
    assert accuracy.value == 1.0
    assert accuracy.bootstrap is None
    assert accuracy.wilson is not None
    assert accuracy.wilson.low < 0.99


def test_no_more_is_told_of_the_answers_that_are_kept() -> None:
    faultless = table_of(
        [(f"{label}-{n}", 1, label, call(label, 0.7)) for label in range(4) for n in range(6)],
        parts=["calibrate", "test"] * 12,
    )
    selected = honest_evaluation(faultless, _QUICK).views[4].selected
    assert selected is not None
    assert (selected.accuracy.value, selected.accuracy.bootstrap) == (1.0, None)


def test_the_cores_of_one_patient_do_not_tell_two_models_apart() -> None:
    scans = [(f"{label}-{n}", 1, label, call(label, 0.7)) for label in range(4) for n in range(10)]
    one = replace(planted(), patients=np.array(["P1"] * 40))
    other = table_of(scans, patients=["P1"] * 40)
    worse, better = (honest_evaluation(table, _QUICK) for table in (one, other))
    entry = paired_differences(better, worse, _QUICK)[0]
    assert entry.difference == pytest.approx(12 / 40)
    assert entry.interval is None
    assert np.isnan(entry.p_value)


def test_the_threshold_withholds_its_share_of_the_calibration_cores() -> None:
    view = honest_evaluation(calibrated_table(np.random.default_rng(4)), _HARDLY_ANY).views[4]
    assert view.selected is not None
    assert 1 - view.selected.coverage.value == pytest.approx(0.15, abs=0.04)


def test_scaling_brings_the_calibration_error_below_three_percent() -> None:
    view = honest_evaluation(calibrated_table(np.random.default_rng(6)), _HARDLY_ANY).views[4]
    assert view.calibration_error.before.value > 0.1
    assert view.calibration_error.after.value <= 0.03


def test_conformal_sets_cover_each_class_within_two_standard_errors_of_the_target() -> None:
    report = honest_evaluation(calibrated_table(np.random.default_rng(7)), _HARDLY_ANY)
    for view in report.views.values():
        assert view.fixed is not None
        for row in view.conformal:
            trials = row.coverage.trials
            assert trials is not None
            error = np.sqrt(0.09 * (1 / trials + view.cases.classes / view.fixed.core_count))
            assert abs(row.coverage.value - 0.9) < 2 * error, row.label


def test_scans_of_a_core_count_once_and_are_fused_by_log_probability() -> None:
    scans = [
        ("A1", 1, 0, (0.5, 0.3, 0.1, 0.1)),
        ("A1", 2, 0, (0.2, 0.6, 0.1, 0.1)),
        ("A2", 1, 3, call(3, 0.9)),
    ]
    view = honest_evaluation(table_of(scans), _QUICK).views[4]
    assert view.cases.count == 2
    roots = np.array([np.sqrt(0.1), np.sqrt(0.18), 0.1, 0.1])
    np.testing.assert_allclose(view.cases.probabilities[0], roots / roots.sum())


def test_a_constant_answer_agrees_with_itself_no_more_than_chance() -> None:
    scans = [(f"A{n}", repeat, n % 4, call(0, 0.9)) for n in range(12) for repeat in (1, 2, 3)]
    agreement = honest_evaluation(table_of(scans), _QUICK).agreement
    assert agreement is not None
    assert (agreement.consistency, agreement.chance_consistency) == (1.0, 1.0)
    assert agreement.kappa is None


def test_repeats_are_compared_pair_by_pair() -> None:
    scans = [
        *[("A1", repeat, 0, call(0, 0.9)) for repeat in (1, 2, 3)],
        *[("A2", repeat, 0, call(said, 0.9)) for repeat, said in ((1, 1), (2, 1), (3, 2))],
        ("A3", 1, 0, call(3, 0.9)),
    ]
    agreement = honest_evaluation(table_of(scans), _QUICK).agreement
    assert agreement is not None
    assert agreement.core_count == 2
    assert agreement.pairwise == pytest.approx((1 + 1 / 3) / 2)
    assert agreement.consistency == pytest.approx((1 + 2 / 3) / 2)
    assert 0 < agreement.chance_pairwise < agreement.pairwise


def test_scans_are_counted_one_by_one_too() -> None:
    scans = [(f"A{n}", repeat, 0, call(int(repeat == 2 and n < 5), 0.9))
             for n in range(20) for repeat in (1, 2)]  # fmt: skip
    strata = {each.what: each for each in honest_evaluation(table_of(scans), _QUICK).repeats}
    assert (strata["repeat 1"].accuracy, strata["repeat 2"].accuracy) == (1.0, 0.75)
    assert (strata["repeat 1"].core_count, strata["repeat 1"].scored_share) == (20, None)
    assert honest_evaluation(planted(), _QUICK).repeats == ()


def test_slides_are_told_apart() -> None:
    scans = [(f"A{n}", 1, 0, call(int(n >= 10), 0.9)) for n in range(20)]
    table = table_of(scans, slides=["good"] * 10 + ["bad"] * 10)
    strata = {stratum.what: stratum for stratum in honest_evaluation(table, _QUICK).slides}
    assert (strata["good"].accuracy, strata["bad"].accuracy) == (1.0, 0.0)
    assert strata["bad"].positive_accuracy == 1.0


def test_a_table_compared_with_itself_differs_by_nothing() -> None:
    report = honest_evaluation(planted(), _QUICK)
    for entry in paired_differences(report, report, _QUICK):
        assert entry.difference == 0
        assert entry.interval is not None
        assert (entry.interval.low, entry.interval.high) == (0.0, 0.0)
        assert entry.p_value == 1.0


def test_a_better_model_is_told_from_a_worse_one() -> None:
    worse = honest_evaluation(planted(), _QUICK)
    scans = [(f"{label}-{n}", 1, label, call(label, 0.7)) for label in range(4) for n in range(10)]
    better = honest_evaluation(table_of(scans), _QUICK)
    entry = paired_differences(better, worse, _QUICK)[0]
    assert entry.difference == pytest.approx(12 / 40)
    assert entry.interval is not None
    assert entry.interval.low > 0
    assert entry.p_value < 0.05


def test_parts_that_name_no_test_are_refused() -> None:
    with pytest.raises(InputError, match="has no row whose part is 'test'"):
        honest_evaluation(planted("train"), _QUICK)


def calibrated_table(rng: np.random.Generator, count: int = 12_000) -> LabelledTable:
    """Labels drawn from probabilities that are then sharpened: a network too sure of itself."""
    true = rng.dirichlet(np.full(4, 0.7), count)
    labels = (rng.random((count, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(max=3)
    told = tempered(true, 0.5)
    return LabelledTable(
        name="drawn",
        slides=np.array(["S"] * count),
        patients=np.array([""] * count),
        cores=np.array([f"core {n}" for n in range(count)]),
        repeats=np.ones(count, np.int64),
        labels=labels.astype(np.int64),
        probabilities=told,
        parts=np.array(["calibrate", "test"] * (count // 2)),
    )
