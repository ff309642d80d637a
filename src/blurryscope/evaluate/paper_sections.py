"""What the page of the paper's protocol says: tables, figures, and what is wrong with them."""

from collections.abc import Sequence

from blurryscope.basics.percent import percent
from blurryscope.evaluate.drawing import Drawn
from blurryscope.evaluate.page import PageTable, Section
from blurryscope.evaluate.paper_protocol import AS_PRINTED, WITHHELD_SHARE, PaperReport
from blurryscope.evaluate.words import counted, number

_CLASS_WORDS = {4: "Four classes (0, 1+, 2+, 3+)", 2: "Negative against positive"}
_FIGURE_WORDS = {
    "figure-5": "Confidence sweep (figure 5 of the paper)",
    "figure-6": "Confusion matrices (figure 6)",
    "consistency": "Consistency of every core (figure S1)",
    "roc": "ROC (figure S2)",
}


def paper_lead(report: PaperReport) -> list[str]:
    """What was evaluated, and the warning that belongs in front of every figure."""
    return [
        f"{counted(report.scan_count, 'scan')} of {counted(report.core_count, 'core')}, evaluated "
        "as the paper did, to be laid beside its figures.",
        "Do not quote these as the worth of a network. The threshold is chosen on the test cores; "
        "the area under the ROC is of the confidence, not of P(positive); the plain average is "
        "withheld by the first scan's confidence; the printed form of the weighted rule leaves its "
        "division out; scans of one core are counted as if they were independent. "
        "blurryscope evaluate without --protocol paper does it otherwise.",
    ]


def paper_sections(report: PaperReport, figures: Sequence[Drawn]) -> list[Section]:
    """Tables, then figures."""
    sections = [_table(report, classes) for classes in report.figures]
    sections += _consistency(report)
    return [
        *sections,
        *[Section(title=_FIGURE_WORDS[drawn.name], figures=[drawn]) for drawn in figures],
    ]


def _consistency(report: PaperReport) -> list[Section]:
    if not report.consistency:
        return []
    text = (
        f"{percent(report.mean_consistency, 1)} on average of "
        f"{counted(len(report.consistency), 'core')} with several scans: the share of a core's "
        "scans that give its commonest score. It is blind to whether that is right."
    )
    return [Section(title="Consistency", text=[text])]


def _table(report: PaperReport, classes: int) -> Section:
    rows = []
    for entry in report.figures[classes]:
        area = entry.auc_of_confidence
        rows.append(
            [
                entry.rule,
                str(entry.calls.count),
                f"{entry.threshold:.2f}",
                number(entry.indeterminate, is_share=True),
                number(entry.accuracy, is_share=True),
                number(entry.accuracy_of_all, is_share=True),
                "–" if area is None else f"{area:.3f}",
            ]
        )
    return Section(
        title=_CLASS_WORDS[classes],
        text=[
            f"At the first threshold that withholds {percent(WITHHELD_SHARE)}. “{AS_PRINTED}” is "
            "the formula of the text, whose sums go beyond the last class; those count as wrong."
        ],
        table=PageTable(
            headings=[
                "counted by", "cases", "threshold", "indeterminate", "accuracy of the rest",
                "accuracy of all", "AUC of confidence",
            ],
            rows=rows,
        ),
    )  # fmt: skip
