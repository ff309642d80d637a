"""Answers that a person gave about a slide, remembered for the next time the same is asked.

Kept in `edits.jsonl` of the slide's folder. An answer holds for the map, layout and mosaic it was
given for: with others it is not used but told, since what it settled may be something else now.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from blurryscope.artifacts.edit_log import (
    Answer,
    Author,
    EditEntry,
    EditKind,
    append_edits,
    read_edit_log,
)
from blurryscope.artifacts.lab_map import SlideMap
from blurryscope.artifacts.tissue_cores import TissueCore, read_tissue_cores
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import plain, stamp
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.settings import TmaSettings

_ANCHOR_COUNT = 5
_ANCHOR_PITCHES = 0.5
_ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """Settings with what was answered before."""

    settings: RunSettings
    anchors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Where cores must lie if the remembered answer still means the same."""
    doubt: str | None = None
    """Why an earlier answer is not used."""


def remembered(
    folder: Path, settings: RunSettings, slide_map: SlideMap | None, size_px: tuple[int, int]
) -> Remembered:
    """Fill in what was answered before in this folder and is not told anew.

    Raises `InputError` where an answer was given with a map and none is given now: names without
    a map would quietly replace those that a person has confirmed.
    """
    answer = None if settings.forgets_answers else read_edit_log(folder).answer
    if answer is None:
        return Remembered(settings=settings)
    tma = settings.tma
    if not settings.is_orientation_told and answer.orientation is not None:
        tma = replace(tma, orientation=_orientation(answer.orientation))
    filled = replace(settings, tma=tma)
    if tma.place is not None or answer.place is None:
        return Remembered(settings=filled)
    if slide_map is None:
        raise InputError(
            folder,
            "holds an answer that was given with a map, and now there is none",
            "Give the same --map, or --place ask to forget the answer",
        )
    if answer.given_for != _asked(folder, filled.tma, slide_map, size_px):
        place = ",".join(map(str, answer.place))
        return Remembered(
            settings=filled,
            doubt=f"The earlier answer --place {place} was given for another map, layout, "
            "orientation or mosaic and is not used: look, and answer again",
        )
    return Remembered(
        settings=replace(filled, tma=replace(tma, place=answer.place)), anchors=answer.anchors
    )


def named_as_answered(
    name: Callable[[TmaSettings], Dearrayed], known: Remembered
) -> tuple[Dearrayed, RunSettings]:
    """Name a scan; where a remembered answer no longer leads to the same names, ask again."""
    settings = known.settings
    found = name(settings.tma)
    doubt = known.doubt
    if known.anchors and not _holds(found, known.anchors):
        settings = replace(settings, tma=replace(settings.tma, place=None))
        found = name(settings.tma)
        doubt = "The earlier --place no longer leads to the same names: look, and answer again"
    if doubt is not None:
        reasons = (doubt, *found.grid.reasons)
        grid = found.grid.model_copy(update={"needs_confirmation": True, "reasons": reasons})
        found = replace(found, grid=grid)
    return found, settings


def _holds(found: Dearrayed, anchors: Mapping[str, tuple[float, float]]) -> bool:
    reach_px = _ANCHOR_PITCHES * min(found.grid.pitch_px)
    cores = {str(core.name): core for core in found.cores}
    return all(
        name in cores and np.hypot(cores[name].x_px - x, cores[name].y_px - y) < reach_px
        for name, (x, y) in anchors.items()
    )


def remember(
    folder: Path,
    told: RunSettings,
    used: RunSettings,
    slide_map: SlideMap | None,
    size_px: tuple[int, int],
    author: Author,
) -> None:
    """Write down what was told this time, unless it is what was told last."""
    log = read_edit_log(folder)
    if told.tma.place is None and not told.is_orientation_told and not told.forgets_answers:
        return
    if told.forgets_answers and log.answer is None and told.tma.place is None:
        return
    before = None if told.forgets_answers else log.answer
    orientation = None if before is None else before.orientation
    if told.is_orientation_told:
        orientation = _ANY if used.tma.orientation is None else str(used.tma.orientation)
    place = used.tma.place
    answer = Answer(
        place=place,
        orientation=orientation,
        given_for="" if place is None else _asked(folder, used.tma, slide_map, size_px),
        anchors={} if place is None else _anchors(read_tissue_cores(folder / "cores.csv")),
    )
    if answer != log.answer:
        entry = EditEntry(
            at=author.at,
            by=author.by,
            kind=EditKind.ANSWER,
            through=author.through,
            answer=answer,
            size_px=size_px,
        )
        append_edits(folder, [entry])


def _anchors(cores: list[TissueCore]) -> dict[str, tuple[float, float]]:
    there = [core for core in cores if core.status.has_tissue and not core.is_locked]
    step = max(len(there) // _ANCHOR_COUNT, 1)
    return {str(core.name): (core.x_px, core.y_px) for core in there[::step][:_ANCHOR_COUNT]}


def _asked(
    folder: Path, tma: TmaSettings, slide_map: SlideMap | None, size_px: tuple[int, int]
) -> str:
    """Checksum of all that an answer is about; cases and the spelling of the file are not."""
    listed: dict[str, object] = {}
    if slide_map is not None:
        listed = {str(name): _told(slide_map, name) for name in sorted(slide_map.entries)}
    layout = None if tma.layout is None else asdict(tma.layout)
    shown = None if slide_map is None or slide_map.layout is None else asdict(slide_map.layout)
    about = [listed, plain([layout, shown]), str(tma.orientation), stamp(folder, "stitch"), size_px]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _told(slide_map: SlideMap, name: CoreName) -> list[object]:
    entry = slide_map.entries[name]
    return [entry.presence, entry.score]


def _orientation(text: str) -> Orientation | None:
    return None if text == _ANY else Orientation(text)
