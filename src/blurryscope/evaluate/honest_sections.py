"""What the page of an honest evaluation says, in order of weight."""

from collections.abc import Mapping, Sequence

from blurryscope.basics.percent import percent
from blurryscope.evaluate.breakdown import Stratum
from blurryscope.evaluate.comparison import Difference
from blurryscope.evaluate.drawing import Drawn
from blurryscope.evaluate.honest_protocol import HonestReport, HonestSettings, View
from blurryscope.evaluate.page import PageTable, Section
from blurryscope.evaluate.words import SHARES, counted, interval, number, of_trials

_UNITS_DRAWN = {True: "whole patients", False: "cores, since patients were not told"}
_CLASS_WORDS = {4: "four classes (0, 1+, 2+, 3+)", 2: "negative (0, 1+) against positive (2+, 3+)"}


def honest_lead(report: HonestReport) -> list[str]:
    """What was evaluated, in one paragraph, and what was not, in another."""
    patients = (
        f"{counted(report.patient_count, 'patient')} known"
        if report.patient_count is not None
        else "patients not told, so cores are taken to be independent and intervals may be too "
        "narrow"
    )
    fixed = next(iter(report.views.values())).fixed
    calibration = (
        "No cores were set aside for calibration: probabilities are taken as they came, nothing is "
        "withheld and no sets are made."
        if fixed is None
        else f"Temperature, threshold and sets were fixed on "
        f"{counted(fixed.core_count, 'calibration core')}; the test cores were looked at once."
    )
    told = [f"{counted(report.test_count, 'test core')}, {patients}. {calibration}"]
    if report.unused:
        rows = "; ".join(f"{count} {reason}" for reason, count in report.unused.items())
        told.append(f"Rows that took no part: {rows}.")
    return told


def honest_sections(
    reports: Sequence[HonestReport],
    differences: Mapping[str, Sequence[Difference]],
    figures: Sequence[Drawn],
    settings: HonestSettings,
) -> list[Section]:
    """The first report is what was evaluated; the others stand beside it."""
    main = reports[0]
    drawn = {figure.name: figure for figure in figures}
    sections = [_headline(reports, classes) for classes in main.views]
    sections += [_answers(drawn["answers"])] if "answers" in drawn else []
    sections += _withholding(main, settings, drawn)
    sections += [_calibration(main, drawn), *_conformal(main, settings)]
    sections += [_comparison(main, name, rows) for name, rows in differences.items()]
    sections += [Section(title="ROC", figures=[drawn["roc"]])] if "roc" in drawn else []
    sections += _agreement(main, drawn)
    sections += _strata("Scan by scan", main.repeats)
    sections += _strata("Slide by slide", main.slides)
    sections += _strata("By quality of the picture", main.qualities)
    return sections


def _headline(reports: Sequence[HonestReport], classes: int) -> Section:
    """Every metric with its intervals; baselines and other models as further columns."""
    main = reports[0].views[classes]
    beside = [report for report in reports[1:] if classes in report.views]
    rows = []
    for name, estimate in main.estimates.items():
        is_share = name in SHARES
        rows.append(
            [
                estimate.title,
                number(estimate.value, is_share=is_share),
                of_trials(estimate),
                interval(estimate.wilson, is_share=is_share),
                interval(estimate.bootstrap, is_share=is_share),
                *[_beside(report.views[classes], name, is_share) for report in beside],
            ]
        )
    return Section(
        title=f"Every answer, sure or not: {_CLASS_WORDS[classes]}",
        text=[
            "Ranges are 95 % intervals. Wilson takes cores as independent; the bootstrap draws "
            f"{_UNITS_DRAWN[reports[0].knows_patients]}."
        ],
        table=PageTable(
            headings=[
                "", reports[0].name, "cores", "Wilson",
                f"bootstrap by {'patient' if reports[0].knows_patients else 'core'}",
                *[f"{report.name} [95 %]" for report in beside],
            ],
            rows=rows,
        ),
    )  # fmt: skip


def _answers(figure: Drawn) -> Section:
    return Section(title="What was called what", figures=[figure])


def _beside(view: View, name: str, is_share: bool) -> str:
    estimate = view.estimates[name]
    # The bootstrap of a share collapses where all or none are right; Wilson's interval does not.
    bounds = interval(estimate.wilson or estimate.bootstrap, is_share=is_share)
    return f"{number(estimate.value, is_share=is_share)} [{bounds}]"


def _withholding(
    main: HonestReport, settings: HonestSettings, drawn: Mapping[str, Drawn]
) -> list[Section]:
    figures = [drawn[name] for name in ("risk-coverage", "sweep", "matrices") if name in drawn]
    rows = []
    for classes, view in main.views.items():
        if view.selected is None or view.fixed is None:
            continue
        coverage, accuracy = view.selected.coverage, view.selected.accuracy
        rows.append(
            [
                _CLASS_WORDS[classes],
                f"{view.fixed.threshold:.3f}",
                f"{number(coverage.value, is_share=True)} "
                f"[{interval(coverage.wilson, is_share=True)}]",
                f"{number(accuracy.value, is_share=True)} "
                f"[{interval(accuracy.wilson, is_share=True)}]",
                number(view.estimates["accuracy"].value, is_share=True),
            ]
        )
    table = PageTable(
        headings=["", "threshold", "share scored [Wilson]", "accuracy of those [Wilson]", "of all"],
        rows=rows,
    )
    text = [
        f"The threshold withholds {percent(settings.withheld_share)} of the calibration cores; "
        "what it withholds of the test cores is measured, not chosen."
    ]
    return [
        Section(
            title="Withholding unsure calls",
            text=text if rows else [],
            table=table if rows else None,
            figures=figures,
        )
    ]


def _calibration(main: HonestReport, drawn: Mapping[str, Drawn]) -> Section:
    rows = []
    for classes, view in main.views.items():
        error = view.calibration_error
        rows.append(
            [
                _CLASS_WORDS[classes],
                "–" if view.fixed is None else f"{view.fixed.temperature:.2f}",
                f"{error.before.value:.3f} [{interval(error.before.bootstrap, is_share=False)}]",
                "–"
                if view.fixed is None
                else f"{error.after.value:.3f} [{interval(error.after.bootstrap, is_share=False)}]",
                f"{error.if_perfect:.3f}",
            ]
        )
    return Section(
        title="Is the confidence true?",
        text=[
            "ECE is never 0 with few cores: the last column is what probabilities that are exactly "
            "true would show on as many."
        ],
        table=PageTable(
            headings=["", "temperature", "ECE as it came", "ECE after", "ECE if perfect"], rows=rows
        ),
        figures=[drawn["reliability"]] if "reliability" in drawn else [],
    )


def _conformal(main: HonestReport, settings: HonestSettings) -> list[Section]:
    sections = []
    for classes, view in main.views.items():
        if not view.conformal:
            continue
        rows = [
            [
                row.label,
                number(row.coverage.value, is_share=True),
                of_trials(row.coverage),
                interval(row.coverage.wilson, is_share=True),
                f"{row.mean_size:.2f}",
                number(row.single_share, is_share=True),
            ]
            for row in view.conformal
        ]
        sections.append(
            Section(
                title=f"Sets that hold the true score: {_CLASS_WORDS[classes]}",
                text=[
                    f"Made to hold it in {percent(1 - settings.miscoverage)} of the cores of each "
                    "class (class-conditional split conformal), fixed on calibration cores."
                ],
                table=PageTable(
                    headings=["label", "coverage", "cores", "Wilson", "mean size", "one score"],
                    rows=rows,
                ),
            )
        )
    return sections


def _comparison(main: HonestReport, theirs: str, rows: Sequence[Difference]) -> Section:
    ours, drawn = main.name, "patients" if main.knows_patients else "cores"
    return Section(
        title=f"{ours} against {theirs}",
        text=[
            f"The same {drawn} are drawn for both. An interval that holds 0 leaves open which is "
            "better. The many lines are not corrected for being many."
        ],
        table=PageTable(
            headings=["", ours, theirs, "difference", "95 % interval", "p", "better"],
            rows=[
                [
                    f"{row.title}, {row.classes} classes",
                    f"{row.first:.3f}",
                    f"{row.second:.3f}",
                    f"{row.difference:+.3f}",
                    interval(row.interval, is_share=False),
                    number(row.p_value, is_share=False),
                    _better(row, ours, theirs),
                ]
                for row in rows
            ],
        ),
    )


def _better(row: Difference, ours: str, theirs: str) -> str:
    if row.interval is None or row.interval.low <= 0 <= row.interval.high:
        return "open"
    return ours if (row.difference > 0) == row.higher_is_better else theirs


def _agreement(main: HonestReport, drawn: Mapping[str, Drawn]) -> list[Section]:
    told = main.agreement
    if told is None:
        return []
    kappa = "–" if told.kappa is None else f"{told.kappa:.3f}"
    table = PageTable(
        headings=["", "observed", "by chance"],
        rows=[
            [
                "consistency (share of the commonest score)",
                number(told.consistency, is_share=True),
                number(told.chance_consistency, is_share=True),
            ],
            [
                "pairs of scans that agree",
                number(told.pairwise, is_share=True),
                number(told.chance_pairwise, is_share=True),
            ],
            ["kappa of pairs", kappa, "0"],
        ],
    )
    return [
        Section(
            title="Do repeats agree?",
            text=[
                f"{told.scan_count} scans of {told.core_count} cores with at least two. Chance is "
                "what the same answers give when they are dealt to other cores."
            ],
            table=table,
            figures=[drawn["consistency"]] if "consistency" in drawn else [],
        )
    ]


def _strata(title: str, strata: Sequence[Stratum]) -> list[Section]:
    if not strata:
        return []
    rows = [
        [
            stratum.what,
            str(stratum.core_count),
            f"{number(stratum.accuracy, is_share=True)} "
            f"[{interval(stratum.accuracy_interval, is_share=True)}]",
            f"{number(stratum.positive_accuracy, is_share=True)} "
            f"[{interval(stratum.positive_interval, is_share=True)}]",
            number(stratum.scored_share, is_share=True),
        ]
        for stratum in strata
    ]
    headings = ["", "cores", "accuracy [Wilson]", "negative or positive [Wilson]", "share scored"]
    return [Section(title=title, table=PageTable(headings=headings, rows=rows))]
