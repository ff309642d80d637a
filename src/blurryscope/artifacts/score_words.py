"""Every spelling of a score that is understood; what is not in these tables is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from blurryscope.basics.her2 import Score


class Presence(StrEnum):
    """What the map says about a place, apart from the score."""

    SCORED = "scored"
    UNSCORED = "unscored"
    """A core is listed, its score cell is empty."""
    NOT_EVALUABLE = "not evaluable"
    """A core is listed, and somebody wrote that it has no score (`NA`)."""
    LOST = "lost"
    """A core was there once; the map says that it is lost."""
    EMPTY = "empty"
    """The layout leaves this place free."""

    @property
    def expects_tissue(self) -> bool:
        """Whether a core should lie there; `NA` often means too little tissue, seldom none."""
        return self not in {Presence.LOST, Presence.EMPTY}


@dataclass(frozen=True, slots=True)
class Word:
    """What one cell says."""

    score: Score | None
    presence: Presence

    def __post_init__(self) -> None:
        if (self.score is not None) != (self.presence is Presence.SCORED):
            raise ValueError(f"score {self.score} does not go with presence {self.presence}")

    def __str__(self) -> str:
        return self.presence if self.score is None else self.score.label


SCORES: Mapping[Score, tuple[str, ...]] = {
    Score.ZERO: (
        "0", "0+", "0.0", "neg", "negative", "0-null", "0-ultralow", "0(null)", "0(ultralow)",
    ),
    Score.ONE: ("1", "1+", "1.0", "+1", "+"),
    Score.TWO: ("2", "2+", "2.0", "+2", "++"),
    Score.THREE: ("3", "3+", "3.0", "+3", "+++"),
}  # fmt: skip
"""All spellings of a score there are, without spaces and in lower case."""

WITHOUT_SCORE: Mapping[Presence, tuple[str, ...]] = {
    Presence.UNSCORED: ("notscored", "notdone", "pending"),
    Presence.NOT_EVALUABLE: (
        "na", "n/a", "n.a.", "ni", "ne", "notinterpretable", "notevaluable", "notassessable",
        "uninterpretable", "unevaluable", "insufficient", "inadequate", "notumor", "notumour",
    ),
    Presence.LOST: (
        "lost", "missing", "nocore", "notissue", "absent", "corelost", "lostcore", "missingcore",
        "tissuelost", "detached", "washedoff", "felloff",
    ),
    Presence.EMPTY: ("empty", "blank", "emptyspot", "notplanned"),
}  # fmt: skip
"""Likewise for what is written where there is no score. An empty cell is not among them: in a list
it is a core without a score, in a sheet like the array a place without a core."""

_WORDS: Mapping[str, Word] = {
    **{text: Word(score, Presence.SCORED) for score, texts in SCORES.items() for text in texts},
    **{text: Word(None, presence) for presence, texts in WITHOUT_SCORE.items() for text in texts},
}


def read_word(text: str) -> Word | None:
    """What a cell says, whatever its case and spaces; None where no table has it."""
    return _WORDS.get("".join(text.casefold().split()))
