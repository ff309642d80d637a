"""The paper's figures of its evaluation: 5 (six panels), 6 (six matrices), S1 and S2."""

from collections.abc import Sequence

from blurryscope.evaluate.calls import CallRule
from blurryscope.evaluate.drawing import Drawn
from blurryscope.evaluate.honest_figures import (
    consistency_figure,
    draw_matrices,
    draw_sweeps,
    roc_figure,
)
from blurryscope.evaluate.paper_protocol import PaperFigures, PaperReport

_PANEL_RULES = (
    CallRule.ALL_SCANS,
    CallRule.HIGHEST_CONFIDENCE,
    CallRule.CONFIDENCE_WEIGHTED,
)
_CLASS_WORDS = {4: "0, 1+, 2+, 3+", 2: "negative, positive"}
_SLIP = (
    "The threshold was chosen on these very cores, as in the paper, so the accuracies there are "
    "too good."
)


def paper_figures(report: PaperReport) -> list[Drawn]:
    """Figures 5 and 6, S1 and S2 of the paper from one report; no S1 where nothing repeats."""
    shown = [
        (f"{entry.rule}\n{_CLASS_WORDS[classes]}", entry.calls, entry.threshold)
        for classes, entries in report.figures.items()
        for entry in _of_panels(entries)
    ]
    roc = roc_figure(
        [
            (entry.rule, entry.calls.labels == 1, entry.calls.confidence)
            for entry in report.figures[2]
            if entry.rule in (*_PANEL_RULES, CallRule.PLAIN_AVERAGE)
        ],
        "sorted by confidence, as in the paper",
        "The confidence in whatever was called does not order cores by how positive they are: the "
        "area says little of the network. The honest protocol sorts by P(positive).",
    )
    shares = list(report.consistency.values())
    return [
        draw_sweeps("figure-5", shown, _SLIP),
        draw_matrices("figure-6", shown, _SLIP),
        *([consistency_figure(shares, None)] if shares else []),
        roc,
    ]


def _of_panels(entries: Sequence[PaperFigures]) -> list[PaperFigures]:
    return [entry for entry in entries if entry.rule in _PANEL_RULES]
