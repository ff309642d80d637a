"""What a network says: `scores.csv`, a row per core and repeat; `results.csv`, a row per core."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from blurryscope.artifacts.samples import Sample
from blurryscope.artifacts.table_text import opened_table
from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score, score_of_label

_SUM_TOLERANCE = 1e-4
"""Tables of other people are rounded; ours are not rounded that far."""
_REMEDY = "Score the slide again"

PALE = "pale: "
"""How the reason begins of a core that is referred because its score hangs on the contrast."""

Probabilities = tuple[float, float, float, float]
"""Of the scores 0, 1+, 2+, 3+; they sum to 1."""


class Decision(StrEnum):
    """Whether a score is given."""

    SCORED = "scored"
    INDETERMINATE = "indeterminate"
    """The confidence is below the threshold, or negative and positive cannot be told apart; the
    probabilities are kept, the score is withheld."""
    REFER = "refer"
    """The core is unlike those that the network learnt from, or so pale that its score hangs on how
    much contrast the picture has lost. Its answer counts for nothing: it takes no part in fusing
    repeats, and its probabilities are kept for the record only."""
    WITHHELD = "withheld"
    """The picture is not fit to be scored, so nothing was computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One core in one repeat: a row of `scores.csv`."""

    slide: str
    repeat: int
    """Counts from 1."""
    core: CoreName
    score: Score | None
    """Given only when `decision` is `SCORED`."""
    probabilities: Probabilities | None
    """None only when `decision` is `WITHHELD`."""
    p_positive: float | None
    """Probability of 2+ or 3+."""
    decision: Decision
    reason: str = ""
    """Why there is no score, in words; empty when there is one."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def confidence(self) -> float | None:
        """The highest class probability; no confidence interval."""
        return None if self.probabilities is None else max(self.probabilities)

    @property
    def most_probable(self) -> Score | None:
        """The score with the highest probability, given or not; for evaluation only."""
        return None if self.probabilities is None else most_probable(self.probabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreResult:
    """One core, its repeats fused: a row of `results.csv`."""

    slide: str
    core: CoreName
    score: Score | None
    probabilities: Probabilities | None
    p_positive: float | None
    confidence: float | None
    """After the rule that fused the repeats; need not be the highest of `probabilities`."""
    decision: Decision
    reason: str = ""
    repeats_used: int = 0
    """How many repeats were fit to be scored."""
    agreement: float | None = None
    """Share of them that gave this score by themselves; None where there is no score."""

    def __post_init__(self) -> None:
        _check(self)
        for name in ("confidence", "agreement"):
            _check_share(name, getattr(self, name))


def most_probable(probabilities: Probabilities) -> Score:
    """The score with the highest probability, the lower one where two are equal."""
    return Score(probabilities.index(max(probabilities)))


def _check(row: Prediction | CoreResult) -> None:
    if (row.score is None) == (row.decision is Decision.SCORED):
        raise ValueError(f"a core is {row.decision} with score {row.score}")
    if (row.probabilities is None) != (row.decision is Decision.WITHHELD):
        raise ValueError(f"a core is {row.decision} with probabilities {row.probabilities}")
    if (row.probabilities is None) != (row.p_positive is None):
        raise ValueError("probabilities and p_positive must be given together")
    if (row.decision is Decision.SCORED) == bool(row.reason):
        raise ValueError(f"a core that is {row.decision} has the reason {row.reason!r}")
    if row.probabilities is not None:
        for value in row.probabilities:
            _check_share("probability", value)
        if abs(math.fsum(row.probabilities) - 1.0) > _SUM_TOLERANCE:
            raise ValueError(f"probabilities must sum to 1, got {math.fsum(row.probabilities)}")
    _check_share("p_positive", row.p_positive)


def _check_share(name: str, value: float | None) -> None:
    if value is not None and not 0.0 <= value <= 1.0:  # NaN fails too
        raise ValueError(f"{name} must be 0 to 1, got {value}")


_SCORE_COLUMNS = (
    "slide", "repeat", "core", "score", "p0", "p1", "p2", "p3", "p_positive", "confidence",
    "decision", "reason",
)  # fmt: skip
_SAMPLE_COLUMNS = ("case", "label", "part", "tissue_fraction", "focus")
_RESULT_COLUMNS = (
    "slide", "core", "score", "p0", "p1", "p2", "p3", "p_positive", "confidence",
    "decision", "reason", "repeats_used", "agreement",
)  # fmt: skip


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write `scores.csv`, whole or not at all."""
    _write(path, _SCORE_COLUMNS, predictions)


def write_labelled_predictions(path: Path, rows: Iterable[tuple[Prediction, Sample, str]]) -> None:
    """Write predictions beside what is known of each sample and the part it belongs to.

    The columns of `scores.csv`, then `case,label,part,tissue_fraction,focus`, for evaluation.
    """
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*_SCORE_COLUMNS, *_SAMPLE_COLUMNS])
        for prediction, sample, part in rows:
            cells = _cells(prediction)
            table.writerow(
                [
                    *(cells[column] for column in _SCORE_COLUMNS),
                    sample.case,
                    "" if sample.score is None else sample.score.label,
                    part,
                    "" if sample.tissue_fraction is None else sample.tissue_fraction,
                    "" if sample.focus is None else sample.focus,
                ]
            )


def write_results(path: Path, results: Iterable[CoreResult]) -> None:
    """Write `results.csv`, whole or not at all."""
    _write(path, _RESULT_COLUMNS, results)


def read_predictions(path: Path) -> list[Prediction]:
    """Read `scores.csv`; an `InputError` names the line that cannot be used."""
    return [_prediction_of_row(where, row) for where, row in _rows(path, _SCORE_COLUMNS)]


def read_results(path: Path) -> list[CoreResult]:
    """Read `results.csv`; an `InputError` names the line that cannot be used."""
    return [_result_of_row(where, row) for where, row in _rows(path, _RESULT_COLUMNS)]


def _write(
    path: Path, columns: tuple[str, ...], entries: Iterable[Prediction | CoreResult]
) -> None:
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        for entry in entries:
            cells = _cells(entry)
            rows.writerow([cells[column] for column in columns])


def _cells(entry: Prediction | CoreResult) -> dict[str, object]:
    cells: dict[str, object] = {
        field.name: getattr(entry, field.name)
        for field in fields(entry)
        if field.name != "probabilities"
    }
    cells["confidence"] = entry.confidence
    cells["score"] = "" if entry.score is None else entry.score.label
    for number, value in enumerate(entry.probabilities or (None,) * len(Score)):
        cells[f"p{number}"] = value
    # repr gives the shortest text that reads back as the same number
    return {
        name: "" if value is None else repr(value) if isinstance(value, float) else value
        for name, value in cells.items()
    }


def _rows(path: Path, columns: tuple[str, ...]) -> Iterable[tuple[str, dict[str, str]]]:
    with opened_table(path, _REMEDY) as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != columns:
            raise InputError(path, f"its columns are not {', '.join(columns)}", _REMEDY)
        for row in rows:
            yield f"{path}, line {rows.line_num}", row


def _prediction_of_row(where: str, row: dict[str, str]) -> Prediction:
    try:
        return Prediction(
            slide=row["slide"],
            repeat=int(row["repeat"]),
            core=CoreName.parse(row["core"]),
            score=_score(row),
            probabilities=_probabilities(row),
            p_positive=_number(row["p_positive"]),
            decision=Decision(row["decision"]),
            reason=row["reason"],
        )
    except (ValueError, TypeError, AttributeError) as error:  # the latter two: cells cut off
        raise InputError(where, f"cannot be read ({error})", _REMEDY) from error


def _result_of_row(where: str, row: dict[str, str]) -> CoreResult:
    try:
        return CoreResult(
            slide=row["slide"],
            core=CoreName.parse(row["core"]),
            score=_score(row),
            probabilities=_probabilities(row),
            p_positive=_number(row["p_positive"]),
            confidence=_number(row["confidence"]),
            decision=Decision(row["decision"]),
            reason=row["reason"],
            repeats_used=int(row["repeats_used"]),
            agreement=_number(row["agreement"]),
        )
    except (ValueError, TypeError, AttributeError) as error:  # the latter two: cells cut off
        raise InputError(where, f"cannot be read ({error})", _REMEDY) from error


def _score(row: dict[str, str]) -> Score | None:
    return score_of_label(row["score"]) if row["score"] else None


def _probabilities(row: dict[str, str]) -> Probabilities | None:
    if not any(row[f"p{number}"] for number in range(len(Score))):
        return None
    return (float(row["p0"]), float(row["p1"]), float(row["p2"]), float(row["p3"]))


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
