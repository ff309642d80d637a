from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.basics.her2 import Score
from blurryscope.report.agreement import agreement_with_map
from blurryscope.report.slide_folder import read_slide_folder
from blurryscope.report.triage import TriageSettings, Urgency, rescan_list, sort_cases

MakeSlide = Callable[..., Path]


def _order(root: Path) -> list[tuple[str, Urgency]]:
    cases = sort_cases(read_slide_folder(root), TriageSettings())
    return [(str(case.name), case.urgency) for case in cases]


def _tasks(root: Path) -> dict[str, dict[str, list[str]]]:
    folder = read_slide_folder(root)
    return {
        task.action: {why: [str(name) for name in names] for why, names in task.cores.items()}
        for task in rescan_list(folder, sort_cases(folder, TriageSettings()))
    }


def test_doubtful_positives_come_first_and_the_clear_ones_last(make_slide: MakeSlide) -> None:
    root = make_slide(
        {
            "A1": ["3+"] * 2,
            "A2": ["withheld"] * 2,
            "A3": ["0", "1+"],
            "A4": ["3+ unsure"] * 2,
            "B1": ["undecided"] * 2,
            "B2": ["withheld"] * 2,
            "B3": ["1+", "3+ unsure"],
            "B4": ["likely positive"] * 2,
        },
        statuses={"B2": CoreStatus.MISSING},
    )
    assert _order(root) == [
        ("B4", Urgency.UNSURE_POSITIVE),  # no score, but likely positive, and the least sure
        ("A4", Urgency.UNSURE_POSITIVE),
        ("B3", Urgency.DISAGREEMENT),  # negative against positive
        ("A3", Urgency.DISAGREEMENT),
        ("A2", Urgency.NO_SCORE),
        ("B1", Urgency.NO_SCORE),
        ("A1", Urgency.OTHERS),
        ("B2", Urgency.NO_TISSUE),
    ]


def test_negative_against_positive_stands_before_other_disagreements(
    make_slide: MakeSlide,
) -> None:
    root = make_slide({"A1": ["0", "1+", "0"], "A2": ["0", "0", "3+"], "A3": ["0"] * 3})
    assert [name for name, _ in _order(root)] == ["A2", "A1", "A3"]


def test_a_repeat_that_gave_no_score_contradicts_nobody(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["1+", "undecided", "1+"], "A2": ["1+", "withheld", "0"]})
    assert _order(root) == [("A2", Urgency.DISAGREEMENT), ("A1", Urgency.OTHERS)]
    assert [list(why) for why in _tasks(root).values()] == [["the repeats do not agree on a score"]]


def test_a_score_that_contradicts_the_only_repeat_that_gave_one_is_disputed(
    make_slide: MakeSlide,
) -> None:
    root = make_slide({"A1": ["0"] * 3, "A2": ["1+ by a hair", "nearly 0", "nearly 0"]})
    assert _order(root)[0] == ("A2", Urgency.DISAGREEMENT)  # together 0, at 0.453


def test_a_score_of_fewer_repeats_than_were_referred_is_disputed(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["pale", "0", "pale"], "A2": ["0", "0", "pale"], "A3": ["0"] * 3})
    assert _order(root) == [
        ("A1", Urgency.DISAGREEMENT), ("A2", Urgency.OTHERS), ("A3", Urgency.OTHERS),
    ]  # fmt: skip


def test_a_pale_core_asks_for_a_look_at_the_light(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["pale"], "A2": ["0"]})
    [(action, why)] = _tasks(root).items()
    assert "glare" in action
    assert list(why.values()) == [["A1"]]


def test_a_negative_score_that_is_likely_positive_comes_first_too(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["0"], "A2": ["1+ leaning up"]})
    assert _order(root) == [("A2", Urgency.UNSURE_POSITIVE), ("A1", Urgency.OTHERS)]


def test_a_sure_negative_is_not_urgent_however_low_the_bar(make_slide: MakeSlide) -> None:
    folder = read_slide_folder(make_slide({"A1": ["0"], "A2": ["3+"]}))
    cases = sort_cases(folder, TriageSettings(low_confidence=1.0))
    assert {str(case.name): case.urgency for case in cases} == {
        "A1": Urgency.OTHERS,
        "A2": Urgency.UNSURE_POSITIVE,
    }


def test_a_damaged_core_is_read_before_whole_ones_however_sure_its_score(
    make_slide: MakeSlide,
) -> None:
    damaged = {
        "A2": CoreStatus.FOLDED, "A3": CoreStatus.PARTIAL, "A4": CoreStatus.HOLED,
    }  # fmt: skip
    root = make_slide({f"A{n}": ["3+"] for n in range(1, 5)}, statuses=damaged)
    assert _order(root) == [*((name, Urgency.DAMAGED) for name in damaged), ("A1", Urgency.OTHERS)]
    assert Urgency.DAMAGED.is_first


def test_a_core_without_trouble_is_not_on_the_rescan_list(make_slide: MakeSlide) -> None:
    assert _tasks(make_slide({"A1": ["3+"], "A2": ["0"]})) == {}


def test_a_core_cut_by_the_edge_names_the_side_to_enlarge(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["3+"]}, statuses={"A1": CoreStatus.EDGE_CUT})
    with MosaicWriter(root / "mosaic.ome.zarr", (1000, 2000), 1.12) as writer:
        writer.write_rows(np.full((1000, 2000, 3), 200, np.uint8))
    (action,) = _tasks(root)
    assert "at the left of the overview picture" in action


def test_a_core_outside_the_scan_is_not_lost_and_names_the_side_to_enlarge(
    make_slide: MakeSlide,
) -> None:
    root = make_slide({"A1": ["withheld"]}, statuses={"A1": CoreStatus.NOT_SCANNED})
    with MosaicWriter(root / "mosaic.ome.zarr", (1000, 2000), 1.12) as writer:
        writer.write_rows(np.full((1000, 2000, 3), 200, np.uint8))
    assert _order(root) == [("A1", Urgency.NO_SCORE)]
    ((action, why),) = _tasks(root).items()
    assert "at the left of the overview picture" in action
    assert why == {"the core lies outside what was scanned": ["A1"]}


def test_cores_with_the_same_remedy_stand_together_with_their_reasons(
    make_slide: MakeSlide,
) -> None:
    root = make_slide(
        {"A1": ["3+"], "A2": ["withheld"], "A3": ["0"], "A4": ["withheld"]},
        statuses={"A1": CoreStatus.FOLDED, "A3": CoreStatus.PARTIAL, "A4": CoreStatus.FOLDED},
    )
    scan, by_eye = _tasks(root).items()
    assert scan[0].startswith("Check focus and light, and scan again")
    assert scan[1] == {"out of focus": ["A2"]}
    assert by_eye[0].startswith("Do not rescan")
    assert by_eye[1] == {
        "the tissue is folded": ["A1", "A4"],
        "only part of the core is on the slide": ["A3"],
    }


def test_agreement_counts_only_cores_that_both_scored(make_slide: MakeSlide) -> None:
    said = {"A1": ["3+"], "A2": ["2+"], "A3": ["0"], "A4": ["withheld"], "B1": ["1+"]}
    labels = {"A1": Score.THREE, "A2": Score.THREE, "A3": Score.TWO, "A4": Score.ZERO}
    folder = read_slide_folder(make_slide(said, labels=labels))
    agreement = agreement_with_map(sort_cases(folder, TriageSettings()))
    assert agreement is not None
    assert agreement.compared_count == 3
    assert agreement.same_score_count == 1
    assert agreement.same_class_count == 2
    assert agreement.without_score_count == 1
    assert agreement.row(Score.THREE) == [0, 0, 1, 1, 0]
    assert agreement.row(Score.ZERO) == [0, 0, 0, 0, 1]


def test_without_a_label_there_is_no_agreement(make_slide: MakeSlide) -> None:
    folder = read_slide_folder(make_slide({"A1": ["3+"]}))
    assert agreement_with_map(sort_cases(folder, TriageSettings())) is None


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_bar_outside_0_to_1_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="low_confidence must be 0 to 1"):
        TriageSettings(low_confidence=value)
