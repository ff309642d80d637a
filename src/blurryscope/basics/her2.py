"""HER2 immunohistochemistry scores, after ASCO/CAP 2018 (affirmed 2023)."""

from enum import IntEnum

RESEARCH_USE_ONLY = "Research use only. Not for diagnosis or treatment decisions."
"""Stands wherever a score is shown."""


class Score(IntEnum):
    """The four scores; the value is also the class index of a network."""

    ZERO = 0
    ONE = 1
    TWO = 2
    THREE = 3

    @property
    def label(self) -> str:
        """``0``, ``1+``, ``2+`` or ``3+``."""
        return "0" if self is Score.ZERO else f"{self.value}+"

    @property
    def is_positive(self) -> bool:
        """True for 2+ and 3+: a call for a closer look (2+ is equivocal), not a treatment class."""
        return self >= Score.TWO


def score_of_label(label: str) -> Score:
    """Read back what `Score.label` writes; anything else is a ValueError."""
    for score in Score:
        if score.label == label:
            return score
    raise ValueError(f"label must be one of 0, 1+, 2+, 3+; got {label!r}")
