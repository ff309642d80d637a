"""Tables of predictions, ours and other people's, are understood or refused in words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.labelled_table import read_labelled_tables, two_class
from blurryscope.artifacts.predictions import Decision, Prediction, write_predictions
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.her2 import Score


def test_a_plain_table_is_read(tmp_path: Path) -> None:
    table = read_labelled_tables([_written(tmp_path, _PLAIN)])
    assert table.labels.tolist() == [0, 3, 3]
    assert table.probabilities.tolist()[1] == [0.1, 0.1, 0.2, 0.6]
    assert table.repeats.tolist() == [1, 1, 2]
    assert not table.knows_patients


def test_headings_are_found_by_their_usual_names(tmp_path: Path) -> None:
    text = (
        "Patient-ID;TMA;Position;Scan;Ground Truth;Prob 0;Prob 1;Prob 2;Prob 3;Split\n"
        "P7;S1;B2;2;2+;0.1;0.2;0.6;0.1;Test\n"
    )
    table = read_labelled_tables([_written(tmp_path, text)])
    assert (table.patients[0], table.slides[0], table.cores[0]) == ("P7", "S1", "B2")
    assert (table.repeats[0], table.labels[0], table.parts[0]) == (2, 2, "test")


def test_a_column_can_be_named(tmp_path: Path) -> None:
    text = _PLAIN.replace("label", "consensus of three")
    with pytest.raises(InputError, match="--column label=HEADING"):
        read_labelled_tables([_written(tmp_path, text)])
    named = {"label": "consensus of three"}
    table = read_labelled_tables([_written(tmp_path, text)], columns=named)
    assert table.labels.tolist() == [0, 3, 3]


def test_stacks_named_as_the_authors_name_them_say_core_and_label(tmp_path: Path) -> None:
    text = "file,p0,p1,p2,p3\nstacks/BR1503f_2_F5_3.tif,0.1,0.1,0.2,0.6\n"
    table = read_labelled_tables([_written(tmp_path, text)])
    assert (table.slides[0], table.cores[0], table.repeats[0]) == ("BR1503f", "F5", 2)
    assert table.labels.tolist() == [3]


def test_our_scores_take_their_labels_from_the_cores_beside_them(tmp_path: Path) -> None:
    predictions = [_prediction(0, Score.TWO), _prediction(1, Score.TWO), _prediction(2, None)]
    write_predictions(tmp_path / "scores.csv", predictions)
    cores = "core,status,label,focus\nA1,ok,2+,0.5\nA2,ok,,0.5\nA3,ok,0,0.1\n"
    (tmp_path / "cores.csv").write_text(cores, encoding="utf-8")
    table = read_labelled_tables([tmp_path / "scores.csv"])
    assert table.labels.tolist() == [2]
    assert table.quality["focus"].tolist() == [0.5]
    assert dict(table.left_out) == {
        "without a label": 1,
        "without probabilities (out of focus)": 1,
    }


def test_labels_come_from_a_table_that_is_named(tmp_path: Path) -> None:
    scores, labels = tmp_path / "scores.csv", tmp_path / "samples.csv"
    write_predictions(scores, [_prediction(0, Score.TWO)])
    labels.write_text("slide,case,core,score\nS,P1,A1,1+\n", encoding="utf-8")
    table = read_labelled_tables([scores], labels=labels)
    assert (table.labels.tolist(), table.patients.tolist()) == ([1], ["P1"])


def test_answers_that_nobody_gets_to_see_do_not_count(tmp_path: Path) -> None:
    referred = replace(
        _prediction(1, Score.TWO), score=None, decision=Decision.REFER, reason="unlike"
    )
    write_predictions(tmp_path / "scores.csv", [_prediction(0, Score.TWO), referred])
    cores = "core,status,label,focus\nA1,ok,2+,0.5\nA2,ok,2+,0.5\n"
    (tmp_path / "cores.csv").write_text(cores, encoding="utf-8")
    table = read_labelled_tables([tmp_path / "scores.csv"])
    assert table.labels.tolist() == [2]
    assert dict(table.left_out) == {"referred: unlike what the network knows, or too pale": 1}


def test_rows_that_lack_an_answer_are_counted_by_reason_whatever_was_measured(
    tmp_path: Path,
) -> None:
    rows = "".join(
        f"A{n},2+,{share}% of the overview is blank,,,,\n" for n, share in enumerate((61, 69), 2)
    )
    text = "core,label,reason,p0,p1,p2,p3\nA1,2+,,0.1,0.1,0.7,0.1\n" + rows
    table = read_labelled_tables([_written(tmp_path, text)])
    assert dict(table.left_out) == {"without probabilities (… of the overview is blank)": 2}


def test_a_core_that_is_for_one_end_here_and_another_there_is_refused(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    table = _written(tmp_path, "core,label,part,p0,p1,p2,p3\nA1,0,Testing,1,0,0,0\n")
    labels.write_text("core,label,part\nA1,0,test\n", encoding="utf-8")
    assert read_labelled_tables([table], labels=labels).parts.tolist() == ["test"]
    labels.write_text("core,label,part\nA1,0,train\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: is of part test, and in .*labels\.csv of part"):
        read_labelled_tables([table], labels=labels)


def test_our_own_answers_are_no_truth(tmp_path: Path) -> None:
    scores = tmp_path / "scores.csv"
    write_predictions(scores, [_prediction(0, Score.TWO)])
    with pytest.raises(InputError, match="label"):
        read_labelled_tables([scores], labels=scores)


def test_two_labels_of_one_core_are_refused(tmp_path: Path) -> None:
    scores, labels = tmp_path / "scores.csv", tmp_path / "labels.csv"
    write_predictions(scores, [_prediction(0, Score.TWO)])
    labels.write_text("core,label\nA1,1+\nA1,2+\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 3: tells another label of A1"):
        read_labelled_tables([scores], labels=labels)
    for name in ("part", "case"):
        labels.write_text(f"core,label,{name}\nA1,1+,train\nA1,1+,test\n", encoding="utf-8")
        with pytest.raises(InputError, match=rf"line 3: tells another {name} of A1"):
            read_labelled_tables([scores], labels=labels)
        labels.write_text(f"core,label,{name}\nA1,1+,test\nA1,1+,\n", encoding="utf-8")
        assert read_labelled_tables([scores], labels=labels).labels.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("core,label,p_positive\nA1,0,0.2\nA2,1,0.9\n", [0, 1]),
        ("core,label,p_positive\nA1,negative,0.2\nA2,positive,0.9\n", [0, 1]),
        ("core,label,p0,p1\nA1,1+,0.8,0.2\nA2,3+,0.1,0.9\n", [0, 1]),
        ("core,label,p_negative,p_positive\nA1,0,0.8,0.2\nA2,1,0.1,0.9\n", [0, 1]),
    ],
    ids=["indices", "words", "scores", "both probabilities"],
)
def test_two_classes_are_read_in_several_ways(tmp_path: Path, text: str, labels: list[int]) -> None:
    table = read_labelled_tables([_written(tmp_path, text)])
    assert table.classes == 2
    assert table.labels.tolist() == labels
    np.testing.assert_allclose(table.probabilities[:, 1], [0.2, 0.9])


def test_a_label_that_would_mean_one_thing_here_and_another_there_is_refused(
    tmp_path: Path,
) -> None:
    some, others = tmp_path / "some.csv", tmp_path / "others.csv"
    some.write_text("core,label,p_positive\nA1,0,0.2\nA2,1,0.3\n", encoding="utf-8")
    others.write_text("core,label,p_positive\nB1,2,0.9\nB2,3,0.9\n", encoding="utf-8")
    assert read_labelled_tables([some]).labels.tolist() == [0, 1]
    for paths, beside in (([some, others], []), ([some], [others]), ([others], [some])):
        with pytest.raises(InputError, match=r"some\.csv: has the label 1, which may be"):
            read_labelled_tables(paths, beside=beside)


def test_rows_without_a_core_are_cores_of_their_own_in_every_table(tmp_path: Path) -> None:
    some, others = tmp_path / "some.csv", tmp_path / "others.csv"
    for path in (some, others):
        path.write_text("label,p0,p1,p2,p3\n0,1,0,0,0\n3+,0,0,0,1\n", encoding="utf-8")
    table = read_labelled_tables([some, others])
    assert len(set(table.core_keys.tolist())) == 4
    with pytest.raises(InputError, match=r"some\.csv: is given twice"):
        read_labelled_tables([some, some])


def test_parts_are_understood_in_the_words_that_splits_are_read_in(tmp_path: Path) -> None:
    text = "core,label,split,p0,p1,p2,p3\nA1,0,Calibration,1,0,0,0\nA2,0,testing,1,0,0,0\n"
    assert read_labelled_tables([_written(tmp_path, text)]).parts.tolist() == ["calibrate", "test"]


def test_a_two_class_network_is_known_by_its_halves(tmp_path: Path) -> None:
    text = "core,label,p0,p1,p2,p3\nA1,1+,0.4,0.4,0.1,0.1\nA2,3+,0.05,0.05,0.45,0.45\n"
    table = read_labelled_tables([_written(tmp_path, text)])
    assert table.classes == 2
    assert table.labels.tolist() == [0, 1]


def test_four_classes_become_two_by_their_sums(tmp_path: Path) -> None:
    table = two_class(read_labelled_tables([_written(tmp_path, _PLAIN)]))
    np.testing.assert_allclose(table.probabilities[1], [0.2, 0.8])
    assert table.labels.tolist() == [0, 1, 1]


REFUSED = {
    "core,label,p0,p1,p2,p3\nA1,0,-2.0,1.5,3.0,0.1\n": "line 2: holds no probabilities",
    "core,label,p0,p1,p2,p3\nA1,0,0.3,0.3,0.3,0.3\n": "sum 1.2",
    "core,label,p0,p1,p2,p3\nA1,5,1,0,0,0\n": "line 2: has the label '5'",
    "core,label,p0,p1,p2,p3\nA1,0,x,0,0,0\n": "has 'x' for p0",
    "core,repeat,label,p0,p1,p2,p3\nA1,1,0,1,0,0,0\nA1,1,0,1,0,0,0\n": "repeat 1 of core A1 twice",
    "core,label,p0,p1,p2,p3\nA1,0,1,0,0,0\nA1,1,1,0,0,0\n": "core A1 more than one label",
    "case,core,label,part,p0,p1,p2,p3\nP,A1,0,test,1,0,0,0\nP,A2,0,train,1,0,0,0\n": (
        "has patient P in test and in train"
    ),
    "core,label\nA1,0\n": "holds nothing to evaluate",
    "core,p0,p1,p2,p3\nA1,1,0,0,0\n": "has no column with labels among core, p0",
    "": "is empty. Give a table with a heading",
    "core,label,p0,p1,p2,p3\nA1,0,1,0,0,0\nA2,1,,0.7,,\n": "line 3: holds no probabilities",
    "core,repeat,label,p0,p1,p2,p3\nA1,,0,1,0,0,0\n": "line 2: has '' for repeat",
    "core,repeat,label,p0,p1,p2,p3\nA1,inf,0,1,0,0,0\n": "line 2: has 'inf' for repeat",
    "core,repeat,label,p0,p1,p2,p3\nA1,1.5,0,1,0,0,0\n": "line 2: has '1.5' for repeat",
    "core,p0,p1,p2,p3,label\nA1,1,0,0,0,0\nA2,0,1,0\n": "line 3: is cut off",
    "case,core,label,part,p_positive\nP,A1,0,test,0\nP,A2,0,train,0\n,A3,0,test,0\n": (
        "has patient P in test and in train"
    ),
    "case,core,repeat,label,p0,p1,p2,p3\nP,A1,1,0,1,0,0,0\nQ,A1,2,0,1,0,0,0\n": (
        "core A1 more than one patient"
    ),
    "core,label,label,p0,p1,p2,p3\nA1,0,3+,1,0,0,0\n": "has two columns 'label'",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: REFUSED[text])
def test_a_table_that_cannot_be_used_says_why(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=REFUSED[text]):
        read_labelled_tables([_written(tmp_path, text)])


def test_a_table_in_another_alphabet_is_told_without_codecs(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("core,label,p0,p1\nÄ1,0,1,0\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"is not UTF-8 text\. Save the table as CSV in UTF-8"):
        read_labelled_tables([path])


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        read_labelled_tables([tmp_path / "none.csv"])


_PLAIN = (
    "slide,core,repeat,label,p0,p1,p2,p3\n"
    "S,A1,1,0,0.7,0.1,0.1,0.1\nS,A2,1,3+,0.1,0.1,0.2,0.6\nS,A2,2,3+,0.1,0.2,0.3,0.4\n"
)


def _written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def _prediction(column: int, score: Score | None) -> Prediction:
    return Prediction(
        slide="S",
        repeat=1,
        core=CoreName(0, column),
        score=score,
        probabilities=None if score is None else (0.1, 0.2, 0.6, 0.1),
        p_positive=None if score is None else 0.7,
        decision=Decision.WITHHELD if score is None else Decision.SCORED,
        reason="out of focus" if score is None else "",
    )
