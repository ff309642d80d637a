"""All figures of an evaluation as rows of `metrics.csv`, unrounded."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from blurryscope.artifacts.whole import whole_file
from blurryscope.evaluate.breakdown import Stratum
from blurryscope.evaluate.comparison import Difference
from blurryscope.evaluate.honest_protocol import HonestReport, View
from blurryscope.evaluate.intervals import Estimate, Interval
from blurryscope.evaluate.paper_protocol import PaperReport

_COLUMNS = (
    "model", "classes", "of", "metric", "value", "wilson_low", "wilson_high", "bootstrap_low",
    "bootstrap_high", "hits", "trials",
)  # fmt: skip

Row = dict[str, object]


def write_numbers(path: Path, rows: Iterable[Row]) -> None:
    """Write `metrics.csv`, whole or not at all; what is not defined stays empty."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, _COLUMNS, restval="", lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({name: _cell(value) for name, value in row.items()})


def honest_numbers(
    reports: Sequence[HonestReport], differences: Mapping[str, Sequence[Difference]]
) -> list[Row]:
    """Of each report in turn, then of the comparisons with the first."""
    rows: list[Row] = []
    for report in reports:
        for classes, view in report.views.items():
            rows += [
                {"model": report.name, "classes": classes, **row} for row in _view_numbers(view)
            ]
        classes = next(iter(report.views))
        rows += [{"model": report.name, "classes": classes, **row} for row in _repeats(report)]
        rows += [
            {"model": report.name, **row}
            for stratum in (*report.repeats, *report.slides, *report.qualities)
            for row in _stratum_numbers(stratum, classes)
        ]
    for name, entries in differences.items():
        rows += [
            {"model": f"{reports[0].name} minus {name}", "classes": entry.classes,
             "of": "difference", "metric": entry.title, "value": entry.difference,
             **_bounds("bootstrap", entry.interval)}
            for entry in entries
        ]  # fmt: skip
    return rows


def paper_numbers(report: PaperReport) -> list[Row]:
    """Of each number of classes and way of counting."""
    rows: list[Row] = []
    for classes, entries in report.figures.items():
        for entry in entries:
            told: dict[str, object] = {
                "threshold": entry.threshold,
                "indeterminate": entry.indeterminate,
                "accuracy": entry.accuracy,
                "accuracy_of_all": entry.accuracy_of_all,
                "auc_of_confidence": entry.auc_of_confidence,
            }
            rows += [
                {"model": report.name, "classes": classes, "of": entry.rule, "metric": metric,
                 "value": value, "trials": entry.calls.count}
                for metric, value in told.items()
                if value is not None
            ]  # fmt: skip
    if report.consistency:
        rows.append(
            {"model": report.name, "classes": next(iter(report.figures)), "of": "repeats",
             "metric": "consistency", "value": report.mean_consistency,
             "trials": len(report.consistency)}
        )  # fmt: skip
    return rows


def _view_numbers(view: View) -> Iterable[Row]:
    for metric, estimate in view.estimates.items():
        yield {"of": "all", "metric": metric, **_estimate(estimate)}
    error = view.calibration_error
    yield {"of": "all", "metric": "ece_as_it_came", **_estimate(error.before)}
    yield {"of": "all", "metric": "ece_if_perfect", "value": error.if_perfect}
    if view.fixed is None or view.selected is None:
        return
    yield {"of": "calibration", "metric": "temperature", "value": view.fixed.temperature}
    yield {"of": "calibration", "metric": "threshold", "value": view.fixed.threshold}
    for number, cutoff in enumerate(view.fixed.cutoffs):
        yield {"of": "calibration", "metric": f"cutoff_{number}", "value": float(cutoff)}
    yield {"of": "scored", "metric": "coverage", **_estimate(view.selected.coverage)}
    yield {"of": "scored", "metric": "accuracy", **_estimate(view.selected.accuracy)}
    for row in view.conformal:
        yield {"of": f"sets, {row.label}", "metric": "coverage", **_estimate(row.coverage)}
        yield {"of": f"sets, {row.label}", "metric": "mean_size", "value": row.mean_size}
        yield {"of": f"sets, {row.label}", "metric": "one_score", "value": row.single_share}


def _repeats(report: HonestReport) -> Iterable[Row]:
    told = report.agreement
    if told is None:
        return
    for metric, value in (
        ("consistency", told.consistency),
        ("consistency_by_chance", told.chance_consistency),
        ("pairwise", told.pairwise),
        ("pairwise_by_chance", told.chance_pairwise),
        ("kappa", told.kappa),
    ):
        yield {"of": "repeats", "metric": metric, "value": value, "trials": told.core_count}


def _stratum_numbers(stratum: Stratum, classes: int) -> Iterable[Row]:
    trials = stratum.core_count
    if classes != 2:
        yield {
            "classes": classes, "of": stratum.what, "metric": "accuracy", "value": stratum.accuracy,
            **_bounds("wilson", stratum.accuracy_interval), "trials": trials,
        }  # fmt: skip
    yield {
        "classes": 2, "of": stratum.what, "metric": "accuracy",
        "value": stratum.positive_accuracy, **_bounds("wilson", stratum.positive_interval),
        "trials": trials,
    }  # fmt: skip


def _estimate(estimate: Estimate) -> Row:
    return {
        "value": estimate.value,
        **_bounds("wilson", estimate.wilson),
        **_bounds("bootstrap", estimate.bootstrap),
        "hits": estimate.hits,
        "trials": estimate.trials,
    }


def _bounds(kind: str, interval: Interval | None) -> Row:
    if interval is None:
        return {}
    return {f"{kind}_low": interval.low, f"{kind}_high": interval.high}


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else value
