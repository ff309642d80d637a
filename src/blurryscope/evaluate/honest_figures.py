"""The figures of the honest protocol; the same panels as the paper's, read off elsewhere."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from blurryscope.artifacts.labelled_table import LabelledTable, two_class
from blurryscope.basics.percent import percent
from blurryscope.evaluate.calls import THRESHOLDS, CallRule, Calls, core_calls, scan_calls, sweep
from blurryscope.evaluate.drawing import (
    BLACK,
    BLUE,
    LINES,
    ORANGE,
    Curve,
    Drawn,
    draw_confusion,
    draw_curves,
    draw_sweep,
    finished,
    our_style,
    panels,
)
from blurryscope.evaluate.honest_protocol import HonestReport, HonestSettings, View
from blurryscope.evaluate.intervals import wilson
from blurryscope.evaluate.metrics import CALIBRATION_BINS, confusion, selective_risks

_PANEL_RULES = (
    CallRule.ALL_SCANS,
    CallRule.HIGHEST_CONFIDENCE,
    CallRule.CONFIDENCE_WEIGHTED,
)
_CLASS_WORDS = {4: "0, 1+, 2+, 3+", 2: "negative, positive"}
_FEWEST_IN_BIN = 1

Rows = list[dict[str, object]]


def sweep_figures(
    test: LabelledTable, calibration: LabelledTable | None, settings: HonestSettings
) -> list[Drawn]:
    """Six panels of sweeps, six matrices; each threshold is that of the calibration calls."""
    kinds = [(2, two_class)] if test.classes == 2 else [(4, _as_is), (2, two_class)]
    shown = [
        (
            f"{rule}\n{_CLASS_WORDS[classes]}",
            core_calls(scan_calls(reduce(test)), rule),
            None
            if calibration is None
            else _threshold(core_calls(scan_calls(reduce(calibration)), rule), settings),
        )
        for classes, reduce in kinds
        for rule in _PANEL_RULES
    ]
    where = (
        "Nothing was withheld: no cores were set aside for calibration."
        if calibration is None
        else f"The threshold (the line in sweeps) withholds {percent(settings.withheld_share)} of "
        "the calibration cores; the test cores had no say in it."
    )
    return [draw_sweeps("sweep", shown, where), draw_matrices("matrices", shown, where)]


@our_style()
def draw_sweeps(name: str, shown: Sequence[tuple[str, Calls, float | None]], where: str) -> Drawn:
    """A panel for each (title, calls, threshold)."""
    figure, axes = panels(len(shown) // 3, 3)
    rows: Rows = []
    for panel, (title, calls, threshold) in zip(axes, shown, strict=True):
        curve = sweep(calls)
        draw_sweep(panel, title, curve, threshold)
        rows += [
            {
                "panel": title.replace("\n", ": "),
                "threshold": at,
                "accuracy": accuracy,
                "indeterminate": share,
            }
            for at, accuracy, share in zip(
                THRESHOLDS, curve.accuracy, curve.indeterminate, strict=True
            )
        ]
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    caption = (
        f"Accuracy rises as unsure calls are withheld; what it costs is the dashed line. {where}"
    )
    return finished(figure, name, "Confidence against accuracy", caption, rows)


def draw_matrices(name: str, shown: Sequence[tuple[str, Calls, float | None]], where: str) -> Drawn:
    """A matrix for each (title, calls, threshold)."""
    figure, axes = panels(len(shown) // 3, 3, height=3.2)
    rows: Rows = []
    for panel, (title, calls, threshold) in zip(axes, shown, strict=True):
        kept = calls.kept_at(threshold or 0.0)
        counts = confusion(calls.labels[kept], calls.called[kept], calls.classes)
        draw_confusion(panel, title, counts)
        rows += _counts_in_rows(title.replace("\n", ": "), counts)
    caption = f"Calls made; counts, and shares of each label. {where}"
    return finished(figure, name, "What was called what", caption, rows)


@our_style()
def consistency_figure(shares: Sequence[float], chance: float | None) -> Drawn:
    """S1: consistency of every core, sorted."""
    figure, (axes,) = panels(1, 1, width=6.4)
    ordered = np.sort(np.array(shares))[::-1]
    edges = np.arange(len(ordered) + 1) + 0.5
    axes.stairs(ordered, edges, fill=True, color=BLUE)
    mean = float(ordered.mean())
    axes.axhline(mean, color=BLACK, linewidth=1.2, label=f"mean {percent(mean, 1)}")
    if chance is not None:
        axes.axhline(chance, color=ORANGE, linestyle="--", label=f"by chance {percent(chance, 1)}")
    axes.set(
        ylim=(0, 1.05), xlabel="core, from the most consistent", ylabel="consistency",
        title="Share of a core's scans that give its commonest score",
    )  # fmt: skip
    axes.legend(loc="lower left", frameon=True, framealpha=0.9, fontsize=8)
    rows: Rows = [{"place": n, "consistency": share} for n, share in enumerate(ordered, start=1)]
    caption = "Agreement of a core's scans with each other, whether or not they are right."
    return finished(figure, "consistency", "Consistency of repeats", caption, rows)


@our_style()
def roc_figure(
    curves: Sequence[tuple[str, NDArray[np.bool_], NDArray[np.float64]]], title: str, caption: str
) -> Drawn:
    """S2: a curve for each (name, is positive, what is sorted by)."""
    figure, (axes,) = panels(1, 1, width=4.2, height=3.9)
    drawn, rows = [], []
    for name, positive, values in curves:
        false, true = _roc(positive, values)
        area = float(np.trapezoid(true, false))
        drawn.append(Curve(label=f"{name}: {area:.3f}", x=false, y=true))
        rows += [
            {"curve": name, "false_positive": x, "true_positive": y}
            for x, y in zip(false, true, strict=True)
        ]
    draw_curves(axes, title, drawn, "1 − specificity", "sensitivity")
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    axes.legend(loc="lower right", frameon=False, fontsize=8, title="area under the curve")
    return finished(figure, "roc", "ROC of negative against positive", caption, rows)


def report_figures(reports: Sequence[HonestReport]) -> list[Drawn]:
    """Matrices, ROC, reliability, risk-coverage; the first report is evaluated, others beside."""
    main = reports[0]
    roc = roc_figure(
        [
            (report.name, cases.labels == 1, cases.probabilities[:, 1])
            for report, cases in ((each, each.views[2].cases) for each in reports[: len(LINES)])
        ],
        "sorted by P(positive)",
        "Test cores, scans fused. Positive is 2+ or 3+.",
    )
    return [_answers(main), roc, _reliability(main), _risk_coverage(reports[: len(LINES)])]


def _answers(report: HonestReport) -> Drawn:
    """The matrices behind the accuracies that come first on the page."""
    figure, axes = panels(1, len(report.views), width=4.2, height=3.6)
    rows: Rows = []
    for panel, (classes, view) in zip(axes, report.views.items(), strict=True):
        draw_confusion(panel, _CLASS_WORDS[classes], view.confusion)
        rows += _counts_in_rows(_CLASS_WORDS[classes], view.confusion)
    caption = (
        "Every core once, its scans fused, nothing withheld; counts, and shares of each label."
    )
    return finished(figure, "answers", "What was called what", caption, rows)


def _counts_in_rows(panel: str, counts: NDArray[np.int64]) -> Rows:
    return [
        {"panel": panel, "label": label, "called": called, "count": int(count)}
        for (label, called), count in np.ndenumerate(counts)
    ]


@our_style()
def _reliability(report: HonestReport) -> Drawn:
    figure, axes = panels(1, len(report.views), width=4.2, height=3.9)
    rows: Rows = []
    for panel, (classes, view) in zip(axes, report.views.items(), strict=True):
        panel.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        states = [("as it came", view.raw)]
        if view.fixed is not None:
            states.append((f"after temperature {view.fixed.temperature:.2f}", view.cases))
        curves = []
        for label, cases in states:
            confidence, right, counts = reliability(cases.confidence, cases.right)
            curves.append(Curve(label=label, x=confidence, y=right))
            rows += [
                {"classes": classes, "state": label, "confidence": x, "accuracy": y, "cores": n}
                for x, y, n in zip(confidence, right, counts, strict=True)
            ]
            bars = [wilson(round(y * n), n) for y, n in zip(right, counts.tolist(), strict=True)]
            for x, bar in zip(confidence, bars, strict=True):
                if bar is not None and label == states[-1][0]:
                    panel.plot([x, x], [bar.low, bar.high], color="#aaaaaa", linewidth=1.0)
        draw_curves(panel, _CLASS_WORDS[classes], curves, "confidence", "accuracy")
        for (color, _), marker, curve in zip(LINES, "os", curves, strict=False):
            sizes = 12 + 90 * _counts_of(rows, classes, curve.label) / view.cases.count
            panel.scatter(curve.x, curve.y, sizes, color=color, marker=marker, zorder=3)
        panel.legend(loc="upper left", frameon=False, fontsize=8)
    caption = (
        "Where confidence is honest, points lie on the diagonal; below it the network is too sure. "
        "Larger points hold more cores; the bars are 95 % intervals (Wilson)."
    )
    return finished(figure, "reliability", "Is the confidence true?", caption, rows)


def _counts_of(rows: Rows, classes: int, label: str) -> NDArray[np.float64]:
    return np.array(
        [row["cores"] for row in rows if row["classes"] == classes and row["state"] == label],
        np.float64,
    )


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean confidence, accuracy and number of cores of each bin that holds any."""
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    there = counts >= _FEWEST_IN_BIN
    means = np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS)[there] / counts[there]
    hits = np.bincount(bins, weights=right, minlength=CALIBRATION_BINS)[there] / counts[there]
    return means, hits, counts[there].astype(np.int64)


@our_style()
def _risk_coverage(reports: Sequence[HonestReport]) -> Drawn:
    views = reports[0].views
    figure, axes = panels(1, len(views), width=4.2, height=3.6)
    rows: Rows = []
    for panel, classes in zip(axes, views, strict=True):
        curves = []
        for report in reports:
            view = report.views.get(classes)
            if view is None:
                continue
            risks = selective_risks(view.cases)
            coverage = np.arange(1, len(risks) + 1) / len(risks)
            area = view.estimates["aurc"].value
            curves.append(Curve(label=f"{report.name}: {area:.3f}", x=coverage, y=risks))
            rows += [
                {"classes": classes, "curve": report.name, "coverage": x, "risk": y}
                for x, y in zip(coverage, risks, strict=True)
            ]
        draw_curves(
            panel, _CLASS_WORDS[classes], curves, "share of cores scored", "error among them"
        )
        _mark_threshold(panel, views[classes])
        top = max(0.1, *(float(curve.y.max()) for curve in curves))
        panel.set_ylim(-0.01, 1.4 * top)
        panel.legend(loc="upper left", frameon=False, fontsize=8, title="area under the curve")
    caption = "Error among the surest cores, as more are scored."
    if any(view.selected is not None for view in views.values()):
        caption += " The square is the fixed threshold."
    return finished(figure, "risk-coverage", "What withholding buys", caption, rows)


def _mark_threshold(panel: Axes, view: View) -> None:
    if view.selected is not None:
        error = 1.0 - view.selected.accuracy.value
        panel.plot(view.selected.coverage.value, error, "s", color=ORANGE, markersize=6)


def _roc(
    positive: NDArray[np.bool_], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates from the strictest cut to the most lenient."""
    levels, group = np.unique(-values, return_inverse=True)
    true = np.bincount(group, weights=positive, minlength=len(levels)).cumsum()
    false = np.bincount(group, weights=~positive, minlength=len(levels)).cumsum()
    start = np.zeros(1)
    return (
        np.concatenate([start, false / max(int((~positive).sum()), 1)]),
        np.concatenate([start, true / max(int(positive.sum()), 1)]),
    )


def _threshold(calls: Calls, settings: HonestSettings) -> float:
    return float(np.quantile(calls.confidence, settings.withheld_share))


def _as_is(table: LabelledTable) -> LabelledTable:
    return table
