"""How often the scores of one slide are those that the lab's map gives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from blurryscope.basics.her2 import Score
from blurryscope.report.triage import CoreCase


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The lab's scores against ours, counted. No validation: one slide is no study."""

    counts: Mapping[tuple[Score, Score | None], int]
    """(lab, ours) to the number of cores; ours is None where no score was given."""

    def row(self, lab: Score) -> list[int]:
        """Counts for one score of the lab: 0, 1+, 2+, 3+, no score."""
        return [self.counts.get((lab, ours), 0) for ours in (*Score, None)]

    @property
    def compared_count(self) -> int:
        """Cores with a score from both."""
        return sum(n for (_, ours), n in self.counts.items() if ours is not None)

    @property
    def without_score_count(self) -> int:
        return sum(n for (_, ours), n in self.counts.items() if ours is None)

    @property
    def same_score_count(self) -> int:
        return sum(n for (lab, ours), n in self.counts.items() if lab is ours)

    @property
    def same_class_count(self) -> int:
        """Both negative (0, 1+) or both positive (2+, 3+)."""
        return sum(
            n
            for (lab, ours), n in self.counts.items()
            if ours is not None and lab.is_positive == ours.is_positive
        )


def agreement_with_map(cases: Iterable[CoreCase]) -> Agreement | None:
    """Count over all cores that the lab scored; None where it scored none or nothing was scored."""
    counts: dict[tuple[Score, Score | None], int] = {}
    for case in cases:
        if case.label is not None and case.result is not None:
            key = (case.label, case.score)
            counts[key] = counts.get(key, 0) + 1
    return Agreement(counts=counts) if counts else None
