"""The published evaluation, against cases worked by hand."""

import numpy as np
import pytest

from blurryscope.evaluate.calls import CallRule, scan_calls, sweep
from blurryscope.evaluate.paper_protocol import (
    AS_PRINTED,
    PaperFigures,
    first_scan_average,
    paper_evaluation,
    paper_threshold,
    weighted_as_printed,
)
from tests.evaluate.tables import call, table_of

_THREE_SCANS = [
    # label 2; called 1, 2, 3 at 0.5, 0.6, 0.9: Σ class·c = 0.5 + 1.2 + 2.7 = 4.4, Σ c = 2.0
    ("A1", 1, 2, call(1, 0.5)),
    ("A1", 2, 2, call(2, 0.6)),
    ("A1", 3, 2, call(3, 0.9)),
    # label 0; called 0, 0, 1 at 0.8, 0.7, 0.4
    ("A2", 1, 0, call(0, 0.8)),
    ("A2", 2, 0, call(0, 0.7)),
    ("A2", 3, 0, call(1, 0.4)),
]


def figures(classes: int, rule: str) -> PaperFigures:
    report = paper_evaluation(table_of(_THREE_SCANS))
    return next(entry for entry in report.figures[classes] if entry.rule == rule)


def test_all_scans_counts_every_scan_as_a_case() -> None:
    entry = figures(4, CallRule.ALL_SCANS)
    assert entry.calls.count == 6
    assert entry.accuracy_of_all == pytest.approx(3 / 6)


def test_the_surest_scan_speaks_for_its_core() -> None:
    entry = figures(4, CallRule.HIGHEST_CONFIDENCE)
    assert entry.calls.called.tolist() == [3, 0]
    assert entry.calls.confidence.tolist() == pytest.approx([0.9, 0.8])


def test_weighted_classes_are_divided_by_the_confidences() -> None:
    entry = figures(4, CallRule.CONFIDENCE_WEIGHTED)
    assert entry.calls.called.tolist() == [2, 0]  # 4.4 / 2.0 = 2.2; 0.4 / 1.9 = 0.21
    assert entry.calls.confidence.tolist() == pytest.approx([2.0 / 3, 1.9 / 3])


def test_the_text_of_the_paper_leaves_the_division_out() -> None:
    printed = weighted_as_printed(scan_calls(table_of(_THREE_SCANS)))
    assert printed.called.tolist() == [4, 0]  # 4.4 is beyond 3+; 0.4
    assert figures(4, AS_PRINTED).accuracy_of_all == pytest.approx(1 / 2)


def test_the_plain_average_is_thresholded_by_the_first_scan() -> None:
    averaged = first_scan_average(scan_calls(table_of(_THREE_SCANS)))
    assert averaged.called.tolist() == [2, 0]  # 6 / 3; 1 / 3
    assert averaged.confidence.tolist() == pytest.approx([0.5, 0.8])
    assert figures(4, CallRule.PLAIN_AVERAGE).calls.confidence.tolist() == pytest.approx([0.5, 0.8])


def test_the_first_scan_is_the_first_repeat_wherever_its_row_stands() -> None:
    averaged = first_scan_average(scan_calls(table_of(_THREE_SCANS[::-1])))
    assert averaged.confidence.tolist() == pytest.approx([0.5, 0.8])


def test_two_classes_are_merged_by_the_class_called() -> None:
    # 0.3 + 0.3 of 2+ and 3+ against 0.4 of 0: P(positive) says positive, the call negative
    scans = [("A1", 1, 0, (0.4, 0.0, 0.3, 0.3)), ("A2", 1, 3, call(3, 0.9))]
    report = paper_evaluation(table_of(scans))
    entry = report.figures[2][0]
    assert entry.calls.called.tolist() == [0, 1]
    assert entry.calls.confidence.tolist() == pytest.approx([0.4, 0.9])
    assert entry.accuracy_of_all == 1.0


def test_a_call_is_kept_when_its_confidence_equals_the_threshold() -> None:
    curve = sweep(scan_calls(table_of(_THREE_SCANS)))
    assert curve.indeterminate[40] == 0.0
    assert curve.indeterminate[41] == pytest.approx(1 / 6)
    assert curve.accuracy[0] == pytest.approx(3 / 6)
    assert np.isnan(curve.accuracy[100])


def test_the_threshold_is_the_first_that_withholds_fifteen_percent_of_the_test_calls() -> None:
    # twenty cores at 0.31, 0.34, … 0.88; at 0.38 three are gone, which is 15 %
    scans = [(f"A{n}", 1, 0, call(0, 0.31 + 0.03 * n)) for n in range(20)]
    curve = sweep(scan_calls(table_of(scans)))
    assert paper_threshold(curve) == pytest.approx(0.38)
    assert paper_evaluation(table_of(scans)).figures[4][0].indeterminate == pytest.approx(0.15)


def test_calls_that_are_all_certain_leave_the_threshold_at_one() -> None:
    scans = [(f"A{n}", 1, 0, (1.0, 0.0, 0.0, 0.0)) for n in range(4)]
    assert paper_evaluation(table_of(scans)).figures[4][0].threshold == 1.0


def test_the_confusion_matrix_holds_the_calls_that_remain() -> None:
    scans = [
        *[(f"A{n}", 1, 1, call(2, 0.9)) for n in range(9)],
        *[(f"B{n}", 1, 3, call(3, 0.9)) for n in range(8)],
        *[(f"C{n}", 1, 0, call(3, 0.4)) for n in range(3)],
    ]
    entry = paper_evaluation(table_of(scans)).figures[4][0]
    assert entry.threshold == pytest.approx(0.41)
    assert entry.confusion.tolist() == [[0, 0, 0, 0], [0, 0, 9, 0], [0, 0, 0, 0], [0, 0, 0, 8]]
    assert entry.accuracy == pytest.approx(8 / 17)


def test_the_paper_takes_its_roc_from_the_confidence() -> None:
    # perfect answers, but negatives are surer: P(positive) separates fully, the confidence not
    scans = [
        *[(f"A{n}", 1, 0, call(0, 0.95)) for n in range(5)],
        *[(f"B{n}", 1, 3, call(3, 0.6)) for n in range(5)],
    ]
    assert paper_evaluation(table_of(scans)).figures[2][0].auc_of_confidence == 0.0


def test_consistency_is_the_share_of_the_commonest_class_and_ignores_the_label() -> None:
    report = paper_evaluation(table_of(_THREE_SCANS))
    assert report.consistency == {"S\tA1": pytest.approx(1 / 3), "S\tA2": pytest.approx(2 / 3)}
    assert report.mean_consistency == pytest.approx(0.5)


def test_a_core_with_one_scan_agrees_with_nothing() -> None:
    report = paper_evaluation(table_of([*_THREE_SCANS, ("A3", 1, 0, call(0, 0.9))]))
    assert report.core_count == 3
    assert report.mean_consistency == pytest.approx(0.5)
    alone = paper_evaluation(table_of([("A3", 1, 0, call(0, 0.9))]))
    assert np.isnan(alone.mean_consistency)


def test_halves_are_rounded_to_even_as_in_the_published_scripts() -> None:
    scans = [("A1", 1, 2, call(2, 0.5)), ("A1", 2, 2, call(3, 0.5))]
    for rule in (CallRule.CONFIDENCE_WEIGHTED, CallRule.PLAIN_AVERAGE):
        entry = next(e for e in paper_evaluation(table_of(scans)).figures[4] if e.rule == rule)
        assert entry.calls.called.tolist() == [2]


def test_a_table_of_two_classes_has_no_view_of_four() -> None:
    scans: list[tuple[str, int, int, tuple[float, ...]]] = [("A1", 1, 1, (0.2, 0.8))]
    assert list(paper_evaluation(table_of(scans)).figures) == [2]
