"""A lane: the frames of one straight pass of the stage."""

from dataclasses import dataclass

_LEAST_EVIDENCE = 4.0
"""Pairs seen moving that make a lane one that was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Frames `first` to `last`, both included; `direction` is +1 or -1 along the scan axis."""

    first: int
    last: int
    direction: int
    evidence: float
    """Weight of the pairs that were seen moving in this direction."""

    @property
    def is_seen(self) -> bool:
        """Whether it was seen to move, rather than follows from the rhythm over glass."""
        return self.evidence >= _LEAST_EVIDENCE
