"""One score out of several readers', by a rule that is stated and never chosen for the lab.

No rule guesses: where it has no answer the core has no score, and says so.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from blurryscope.artifacts.lab_map import Reading
from blurryscope.artifacts.score_words import Presence, Word

_UNDECIDED = Word(None, Presence.UNSCORED)


@dataclass(frozen=True, slots=True)
class ConsensusRule:
    """`majority`: what more than half wrote. `median`: the middle score. `reader`: one's own."""

    kind: Literal["majority", "median", "reader"]
    reader: str | None = None

    @classmethod
    def parse(cls, text: str, readers: Sequence[str]) -> Self:
        """Read `majority`, `median`, or the name of one of the readers; else a ValueError."""
        plain = text.strip().casefold()
        if plain == "majority":
            return cls("majority")
        if plain == "median":
            return cls("median")
        named = [reader for reader in readers if reader.casefold() == plain]
        if not named:
            raise ValueError(f"{text!r} is neither majority, median, nor one of the readers")
        return cls("reader", named[0])

    def __str__(self) -> str:
        return self.kind if self.reader is None else f"reader {self.reader}"

    def word(self, readings: Sequence[Reading]) -> Word:
        """What the rule makes of all readings of one core.

        Those who wrote nothing have no vote. `NA`, lost and empty are votes like scores.
        """
        if self.kind == "reader":
            return next(
                (reading.word for reading in readings if reading.reader == self.reader), _UNDECIDED
            )
        votes = [r.word for r in readings if r.word.presence is not Presence.UNSCORED]
        if not votes:
            return _UNDECIDED
        if self.kind == "median" and 2 * _scored_count(votes) > len(votes):
            return _median(votes)
        return _majority(votes)


def _scored_count(votes: Sequence[Word]) -> int:
    return sum(word.score is not None for word in votes)


def _majority(votes: Sequence[Word]) -> Word:
    """The word of more than half of the votes.

    Where none has it but all agree that there is no core, that much is certain.
    """
    word, count = Counter(votes).most_common(1)[0]
    if 2 * count > len(votes):
        return word
    if not any(vote.presence.expects_tissue for vote in votes):
        return Word(None, Presence.LOST)
    return _UNDECIDED


def _median(votes: Sequence[Word]) -> Word:
    """The middle score; two different middle ones decide nothing."""
    scores = sorted(word.score for word in votes if word.score is not None)
    low, high = scores[(len(scores) - 1) // 2], scores[len(scores) // 2]
    return Word(low, Presence.SCORED) if low == high else _UNDECIDED
