"""What a lab's map says: which core lies where, what each reader saw, and the score to use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from blurryscope.artifacts.array_layout import Layout, PlaceKind
from blurryscope.artifacts.score_words import Presence, Word
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reader wrote about one core."""

    reader: str
    word: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEntry:
    """What the map says about one place."""

    score: Score | None
    case: str | None
    presence: Presence
    readings: tuple[Reading, ...] = ()
    """Each reader's own word, where the map has several; `score` is what the rule makes of them."""
    kind: PlaceKind | None = None
    """What the layout says of the place; None is a patient's core."""

    def __post_init__(self) -> None:
        if (self.score is not None) != (self.presence is Presence.SCORED):
            raise ValueError(f"score {self.score} does not go with presence {self.presence}")

    @property
    def is_disputed(self) -> bool:
        """Whether readers who wrote something wrote different things."""
        told = {r.word for r in self.readings if r.word.presence is not Presence.UNSCORED}
        return len(told) > 1

    @property
    def is_undecided(self) -> bool:
        """Whether readers gave scores and the rule makes none of them."""
        scored = any(reading.word.score is not None for reading in self.readings)
        return scored and self.presence is Presence.UNSCORED


class MapForm(StrEnum):
    """What kind of file a map is."""

    LIST = "a list, one core a row"
    ARRAY = "a sheet laid out like the array"
    QPMAP = "a QuPath map of case numbers"
    QPTMA = "a QuPath grid of cores"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideMap:
    """The places of one slide; what is not in `entries` is a place without a core."""

    slide: str | None
    entries: Mapping[CoreName, MapEntry]
    layout: Layout | None = None
    """Where the map shows more of the design than one even grid counted from the top left: blocks
    with gaps, rows counted from the other end, letters that name columns."""
    rule: str | None = None
    """How one score was made of several readers' ones."""
    form: MapForm | None = field(default=None, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    """How it was read, in sentences."""

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError("a map needs at least one place")

    @property
    def rows(self) -> int:
        """How many rows the array has, from A to the last one listed."""
        return 1 + max(name.row for name in self.entries)

    @property
    def columns(self) -> int:
        """How many columns the array has, from 1 to the last one listed."""
        return 1 + max(name.column for name in self.entries)

    @property
    def readers(self) -> tuple[str, ...]:
        """Whose words the map holds, in the order of the file; empty where it has one score."""
        named = (reading.reader for entry in self.entries.values() for reading in entry.readings)
        return tuple(dict.fromkeys(named))

    def expects_tissue(self, name: CoreName) -> bool:
        """Whether a core should lie at a place, listed or not."""
        entry = self.entries.get(name)
        return entry is not None and entry.presence.expects_tissue
