"""`scores.csv` and `results.csv` give back what was written, and refuse what cannot be."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.artifacts.predictions import (
    CoreResult,
    Decision,
    Prediction,
    Probabilities,
    read_predictions,
    read_results,
    write_predictions,
    write_results,
)
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score

_CORES = st.builds(CoreName, st.integers(0, 30), st.integers(0, 30))
_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)


@st.composite
def _probabilities(draw: st.DrawFn) -> Probabilities:
    weights = draw(st.tuples(*[st.floats(0.0, 1.0, allow_subnormal=False)] * 4))
    total = sum(weights)
    if total < 1e-3:
        return (0.25, 0.25, 0.25, 0.25)
    zero, one, two, three = (weight / total for weight in weights)
    return zero, one, two, three


@st.composite
def _predictions(draw: st.DrawFn) -> Prediction:
    decision = draw(st.sampled_from(Decision))
    probabilities = None if decision is Decision.WITHHELD else draw(_probabilities())
    return Prediction(
        slide=draw(_TEXTS),
        repeat=draw(st.integers(1, 9)),
        core=draw(_CORES),
        score=draw(st.sampled_from(Score)) if decision is Decision.SCORED else None,
        probabilities=probabilities,
        p_positive=None if probabilities is None else draw(st.floats(0.0, 1.0)),
        decision=decision,
        reason="" if decision is Decision.SCORED else draw(_TEXTS),
    )


@given(st.lists(_predictions(), max_size=5))
def test_scores_come_back_as_they_were_written(predictions: list[Prediction]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scores.csv"
        write_predictions(path, predictions)
        assert read_predictions(path) == predictions


@given(_predictions(), st.integers(0, 9), st.floats(0.0, 1.0))
def test_results_come_back_as_they_were_written(
    prediction: Prediction, repeats: int, agreement: float
) -> None:
    result = CoreResult(
        slide=prediction.slide,
        core=prediction.core,
        score=prediction.score,
        probabilities=prediction.probabilities,
        p_positive=prediction.p_positive,
        confidence=prediction.confidence,
        decision=prediction.decision,
        reason=prediction.reason,
        repeats_used=repeats,
        agreement=agreement,
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "results.csv"
        write_results(path, [result])
        assert read_results(path) == [result]


@pytest.mark.parametrize(
    "probabilities",
    [(0.5, 0.5, 0.5, 0.0), (1.2, -0.2, 0.0, 0.0), (float("nan"), 0.5, 0.5, 0.0)],
    ids=["sum", "range", "nan"],
)
def test_numbers_that_are_no_probabilities_are_refused(probabilities: Probabilities) -> None:
    with pytest.raises(ValueError, match="probab"):
        _scored(probabilities)


def test_a_score_that_is_withheld_is_not_written_all_the_same() -> None:
    with pytest.raises(ValueError, match="indeterminate with score"):
        Prediction(
            slide="S", repeat=1, core=CoreName(0, 0), score=Score.TWO,
            probabilities=(0.2, 0.2, 0.3, 0.3), p_positive=0.6,
            decision=Decision.INDETERMINATE, reason="confidence 0.30 is below 0.60",
        )  # fmt: skip


def test_a_row_that_cannot_be_read_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_predictions(path, [_scored((0.1, 0.2, 0.3, 0.4))])
    path.write_text(path.read_text(encoding="utf-8").replace("3+", "4+"), encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        read_predictions(path)


def _scored(probabilities: Probabilities) -> Prediction:
    return Prediction(
        slide="S", repeat=1, core=CoreName(0, 0), score=Score.THREE,
        probabilities=probabilities, p_positive=0.7, decision=Decision.SCORED,
    )  # fmt: skip
