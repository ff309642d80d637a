"""Places where the scan went wrong: what to do about them, and which cores lie there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot

from blurryscope.artifacts.scan_quality import Rescan, RescanReason
from blurryscope.basics.core_name import CoreName
from blurryscope.report.slide_folder import RepeatScan, SlideFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanProblem:
    """A place where the scan went wrong, and whose tissue lies there."""

    text: str
    """Names lanes, place and what went wrong, beginning with a capital."""
    cores: tuple[CoreName, ...] | None
    """None where nothing tells, since there is no mosaic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanTask:
    """One thing to do about the scan itself, and the places that call for it."""

    repeat: int
    action: str
    cause: str
    """What usually makes such places."""
    problems: tuple[ScanProblem, ...]
    """Those at cores, and those of which nothing tells."""
    between_count: int
    """How many more places lie between the cores, where nothing is scored."""


def scan_tasks(folder: SlideFolder) -> list[ScanTask]:
    """Places of the scan that came out badly, by what to do about them."""
    tasks: dict[tuple[int, str, str], list[ScanProblem]] = {}
    for repeat in folder.repeats:
        for entry in repeat.rescans:
            what, _, cause = entry.problem.partition(": ")
            problem = ScanProblem(text=_capital(what), cores=_cores_at(entry, repeat))
            key = (repeat.number, entry.action, _capital(cause))
            tasks.setdefault(key, []).append(problem)
    return [
        ScanTask(
            repeat=number,
            action=action,
            cause=cause,
            problems=tuple(problem for problem in problems if problem.cores != ()),
            between_count=sum(problem.cores == () for problem in problems),
        )
        for (number, action, cause), problems in tasks.items()
    ]


def cores_wrong_in_all(folder: SlideFolder, tasks: Sequence[ScanTask]) -> list[CoreName] | None:
    """Cores at which the scan went wrong in every repeat; None where a place tells no cores."""
    wrong: dict[CoreName, set[int]] = {}
    for task in tasks:
        for problem in task.problems:
            if problem.cores is None:
                return None
            for name in problem.cores:
                wrong.setdefault(name, set()).add(task.repeat)
    return sorted(name for name, repeats in wrong.items() if len(repeats) == len(folder.repeats))


def reasons_at_cores(repeat: RepeatScan) -> Mapping[CoreName, tuple[RescanReason, ...]]:
    """What went wrong where cores lie, by core; what was only scanned twice is no harm to any."""
    reasons: dict[CoreName, list[RescanReason]] = {}
    for entry in repeat.rescans:
        if entry.reason is not RescanReason.SECOND:
            for name in _cores_at(entry, repeat) or ():
                reasons.setdefault(name, []).append(entry.reason)
    return {name: tuple(dict.fromkeys(told)) for name, told in reasons.items()}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cores_at(place: Rescan, repeat: RepeatScan) -> tuple[CoreName, ...] | None:
    """Cores with tissue whose disc reaches into the place's rectangle, by name."""
    if repeat.pixel_size_um is None or repeat.disagrees_with_first:
        return None
    px_per_mm = 1000 / repeat.pixel_size_um
    left, right = place.x_from_mm * px_per_mm, place.x_to_mm * px_per_mm
    top, bottom = place.y_from_mm * px_per_mm, place.y_to_mm * px_per_mm
    return tuple(
        core.name
        for core in sorted(repeat.cores.values(), key=lambda core: core.name)
        if core.status.has_tissue
        and hypot(
            core.x_px - min(max(core.x_px, left), right),
            core.y_px - min(max(core.y_px, top), bottom),
        )
        < core.diameter_px / 2
    )
