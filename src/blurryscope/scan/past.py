"""What a scan had reached when it broke off, read from its journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blurryscope.basics.errors import InputError
from blurryscope.devices.contracts import StagePoint
from blurryscope.scan.journal import Entry, read_journal


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmPart:
    """A piece of film, and how much of it shows finished lanes."""

    file: str
    kept_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A scan as far as it came; the default is none at all."""

    plan: str | None = None
    """Checksum of its plan."""
    boot_id: str | None = None
    lanes_done: int = 0
    parts: tuple[FilmPart, ...] = ()
    """All that were begun; the number of the next one follows."""
    landmark: StagePoint | None = None
    is_done: bool = False
    kept_way: bool = False
    """All lanes are filmed, and the slide then lay where it had lain."""
    went_astray: bool = False
    """The stage was not where its controller counted: home before anything else."""

    @property
    def has_begun(self) -> bool:
        return self.plan is not None

    @property
    def has_lanes(self) -> bool:
        """Whether anything is finished that the rest has to fit."""
        return self.lanes_done > 0


def read_past(journal: Path) -> Past:
    """Read how far a scan came; nothing if there is no journal."""
    entries = read_journal(journal)
    try:
        return past_of(entries)
    except (KeyError, ValueError, OverflowError) as error:
        raise InputError(
            journal,
            f"tells an event without what belongs to it ({error})",
            "Move this scan away, and scan again",
        ) from error


def lane_starts_s(
    entries: Sequence[Entry], begins_s: Mapping[str, float]
) -> tuple[float, ...] | None:
    """When the stage set off on the lanes of the whole film, s; None if it never told.

    `begins_s` tells when in the film each of its parts begins.
    """
    starts_s = [
        begins_s[str(entry.facts["file"])] + float(str(told_s))
        for entry in entries
        if entry.event == "lane ends"
        and (told_s := entry.facts.get("set_off_s")) is not None
        and entry.facts["file"] in begins_s
    ]
    return tuple(round(start_s, 6) for start_s in starts_s) or None


def past_of(entries: Sequence[Entry]) -> Past:
    """Follow the events in order; a `KeyError` or `ValueError` where one lacks what it tells."""
    plan: str | None = None
    boot_id: str | None = None
    lanes_done = 0
    parts: dict[str, int] = {}
    landmark: StagePoint | None = None
    is_done = False
    for entry in entries:
        facts = entry.facts
        match entry.event:
            case "begin":
                plan = str(facts["plan"])
                boot_id = None if facts["boot_id"] is None else str(facts["boot_id"])
            case "landmark":
                landmark = StagePoint(
                    **{f"{axis}_um": _number(facts, f"{axis}_um") for axis in "xyz"}
                )
            case "part":
                parts[str(facts["file"])] = 0
            case "lane ends":
                lanes_done = round(_number(facts, "lane")) + 1
                parts[str(facts["file"])] = round(_number(facts, "frame"))
            case "film ends":
                parts[str(facts["file"])] = round(_number(facts, "frame"))
            case "state":
                is_done = facts["state"] == "done"
            case _:
                pass
    return Past(
        plan=plan,
        boot_id=boot_id,
        lanes_done=lanes_done,
        parts=tuple(FilmPart(file=file, kept_frames=count) for file, count in parts.items()),
        landmark=landmark,
        is_done=is_done,
        kept_way=any(entry.event == "way kept" for entry in entries),
        went_astray=any(entry.event == "astray" for entry in entries),
    )


def refuse_other_plan(folder: Path, past: Past, plan: str) -> None:
    """A folder belongs to one plan: half of another scan must not end up in its film."""
    if past.has_begun and past.plan != plan:
        raise InputError(
            folder,
            "holds a scan of another plan, or of another calibration",
            "Choose another --out, or move the old scan away",
        )


def _number(facts: dict[str, object], name: str) -> float:
    return float(str(facts[name]))
