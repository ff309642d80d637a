"""Names for the cores of a slide and its repeats, so that one name means one core in all of them.

The first film is named by the map. A repeat may lie turned on the stage: it is named in the turn
in which its cores are recognised in those of the first. Where none is, both slides are laid upon
one another and the names carried over; where that fails too it is named as the first and says so,
and takes no part in the results.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from blurryscope.artifacts.array_layout import Layout
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.slide_map import MapEntry, Presence, SlideMap, layout_or_none
from blurryscope.artifacts.tissue_cores import PlaceSource, read_core_grid, read_tissue_cores
from blurryscope.basics.errors import InputError
from blurryscope.tma.array_size import doubts_about_size
from blurryscope.tma.carry import carry_names
from blurryscope.tma.find import Dearrayed, find_cores
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import SlidePicture
from blurryscope.tma.recognise import NamedScan, Recognition, recognise
from blurryscope.tma.settings import TmaSettings

_THE_MAP = "the map"
"""What errors about it call it."""
_ONLY_PART = (
    "This repeat shows only part of the array, too little to lay the map on it: its names are "
    "those of the first repeat, by their tissue"
)


def name_scan(
    picture: SlidePicture,
    slide_map: SlideMap | None,
    settings: TmaSettings,
    where: Path,
    map_path: Path | None = None,
) -> Dearrayed:
    """Find and name the cores of one scan; errors name `where` it lies, or the map's file."""
    layout = layout_or_none(settings.layout, slide_map)
    if settings.core_diameter_um is None and layout is not None:
        settings = replace(settings, core_diameter_um=layout.core_diameter_um)
    try:
        return _with_doubts(find_cores(picture, slide_map, settings), settings, layout)
    except InputError as error:
        file = map_path if map_path is not None and error.where == _THE_MAP else where
        raise InputError(f"{file}, {error.where}", error.problem, error.remedy) from error


def _with_doubts(found: Dearrayed, settings: TmaSettings, layout: Layout | None) -> Dearrayed:
    """Ask where the spacing is not the layout's, unless a person has answered already."""
    doubts = () if settings.place is not None else doubts_about_size(layout, found.grid)
    if not doubts:
        return found
    reasons = (*found.grid.reasons, *doubts)
    grid = found.grid.model_copy(update={"needs_confirmation": True, "reasons": reasons})
    return replace(found, grid=grid)


def read_named_scan(folder: Path, mosaic: Mosaic) -> NamedScan:
    """What an earlier run has named."""
    return NamedScan(
        picture=mosaic,
        cores=read_tissue_cores(folder / "cores.csv"),
        grid=read_core_grid(folder / "cores.json"),
    )


def name_repeat(
    mosaic: Mosaic,
    first: NamedScan,
    slide_map: SlideMap | None,
    settings: TmaSettings,
    where: Path,
) -> Dearrayed:
    """Find and name the cores of a further scan of the slide that `first` shows.

    `settings.orientation` is taken as told; where it is None every turn is tried, and the one in
    which the cores are recognised is taken. Where a person has corrected the first scan, its
    names are carried over by the tissue: the map would give the others the old ones.
    """
    if not any(core.is_locked for core in first.cores):
        return _name_by_map(mosaic, first, slide_map, settings, where)
    corrected = _with_names_of_first(mosaic, first, settings, slide_map)
    if corrected is not None:
        return _judged(*corrected, first)
    found = _name_by_map(mosaic, first, slide_map, settings, where)
    reason = (
        "The first repeat was corrected by hand, and its tissue is not recognised well enough here "
        "to carry the names over: this repeat takes no part in the results"
    )
    return _asked(found, reason, agrees_with_first=False)


def _name_by_map(
    mosaic: Mosaic,
    first: NamedScan,
    slide_map: SlideMap | None,
    settings: TmaSettings,
    where: Path,
) -> Dearrayed:
    names = slide_map or _map_of_names(first)
    tried: list[tuple[Recognition, Dearrayed]] = []
    refused: dict[Orientation | None, InputError] = {}
    for attempt in _attempts(settings, first):
        try:
            found = name_scan(mosaic, names, attempt, where)
        except InputError as error:
            refused[attempt.orientation] = error
            continue
        scan = NamedScan(picture=mosaic, cores=found.cores, grid=found.grid)
        tried.append((recognise(scan, first), found))
        if tried[-1][0].is_proven:
            break
    if not (tried and tried[-1][0].is_proven):
        carried = _carried(mosaic, first, settings, slide_map, refused.keys())
        if carried is not None:
            return carried
    if not tried:
        raise next(iter(refused.values()))
    recognition, found = tried[-1] if tried[-1][0].is_proven else tried[0]
    return _judged(found if slide_map else _without_map(found, first), recognition, first)


def _carried(
    mosaic: Mosaic,
    first: NamedScan,
    settings: TmaSettings,
    slide_map: SlideMap | None,
    refused: Collection[Orientation | None],
) -> Dearrayed | None:
    """The names of the first scan where its tissue lies in this one; None where it is not proven.

    The map alone would have named this repeat otherwise, which is an alarm unless a person has
    already answered for the first scan what the map cannot tell. Where the map could not be laid on
    this repeat at all, in the turn in which it lies, it says nothing against these names.
    """
    carried = _with_names_of_first(mosaic, first, settings, slide_map)
    if carried is None:
        return None
    found, recognition = carried
    if first.grid.confirmed_by_hand:
        return _judged(found, recognition, first)
    if Orientation(found.grid.orientation) in refused:
        judged = _judged(found, recognition, first)
        grid = judged.grid.model_copy(update={"reasons": (_ONLY_PART, *judged.grid.reasons)})
        return replace(judged, grid=grid)
    alarm = (
        "Tissue gives this repeat the names of the first scan, but the map alone would name it "
        "otherwise: are the names of the first right?"
    )
    return _asked(found, alarm, agrees_with_first=True)


def _with_names_of_first(
    mosaic: Mosaic, first: NamedScan, settings: TmaSettings, slide_map: SlideMap | None
) -> tuple[Dearrayed, Recognition] | None:
    """A scan with the names of the first laid upon it; None where that is not proven."""
    found = carry_names(mosaic, first, settings)
    if found is None or settings.orientation not in {None, Orientation(found.grid.orientation)}:
        return None
    recognition = recognise(NamedScan(picture=mosaic, cores=found.cores, grid=found.grid), first)
    if not recognition.is_proven:
        return None
    return (found if slide_map else _without_map(found, first)), recognition


def _asked(found: Dearrayed, reason: str, *, agrees_with_first: bool) -> Dearrayed:
    """Names that a person should look at, and why."""
    grid = found.grid.model_copy(
        update={
            "agrees_with_first": agrees_with_first,
            "needs_confirmation": True,
            "reasons": (reason, *found.grid.reasons),
        }
    )
    return replace(found, grid=grid)


def _attempts(settings: TmaSettings, first: NamedScan) -> Iterator[TmaSettings]:
    """Each turn; where a person has moved the names of the first scan, moved alike too."""
    lay = Orientation(first.grid.orientation)
    is_one_block = settings.layout is None or len(settings.layout.blocks) == 1
    for turn in _turns_to_try(settings, lay):
        yield replace(settings, orientation=turn, place=None)
        if settings.place is not None and is_one_block:
            place = settings.place
            for _ in range((turn.quarter_turns - lay.quarter_turns) % 4):
                place = (place[1], -place[0])
            yield replace(settings, orientation=turn, place=place)


def _turns_to_try(settings: TmaSettings, lay: Orientation) -> Sequence[Orientation]:
    """As the first lay, then half a turn, then the quarters; never mirrored against it."""
    if settings.orientation is not None:
        return [settings.orientation]
    turns = [turn for turn in Orientation if turn.is_mirrored == lay.is_mirrored]
    order = (0, 2, 1, 3)
    return sorted(turns, key=lambda t: order[(t.quarter_turns - lay.quarter_turns) % 4])


def _map_of_names(first: NamedScan) -> SlideMap:
    """Where there is no map, the first scan's names are what the others are named by."""
    return SlideMap(
        slide=None,
        entries={
            core.name: MapEntry(score=None, case=None, presence=Presence.UNSCORED)
            for core in first.cores
            if core.status.has_tissue
        },
    )


def _without_map(found: Dearrayed, first: NamedScan) -> Dearrayed:
    """Names taken over from a scan that had no map are no lab's either."""
    return replace(
        found,
        cores=tuple(replace(core, source=PlaceSource.INFERRED) for core in found.cores),
        grid=found.grid.model_copy(
            update={
                "names_from": first.grid.names_from,
                "needs_confirmation": True,
                "reasons": (*first.grid.reasons, *found.grid.reasons),
            }
        ),
    )


def _judged(found: Dearrayed, recognition: Recognition, first: NamedScan) -> Dearrayed:
    """Say whether the repeat is proven; then its names are as sure as those of the first.

    What the map alone could not tell of it is answered by that.
    """
    if recognition.is_proven:
        judgement: dict[str, object] = {
            "agrees_with_first": True,
            "needs_confirmation": first.grid.needs_confirmation,
            "reasons": first.grid.reasons,
        }
    else:
        reason = (
            f"Only {recognition.recognised_count} of {recognition.compared_count} cores look like "
            "those of the same name in the first repeat: this repeat takes no part in the "
            "results. Is it the same slide, and how was it laid in?"
        )
        judgement = {
            "agrees_with_first": False,
            "needs_confirmation": True,
            "reasons": (reason, *found.grid.reasons),
        }
    return replace(found, grid=found.grid.model_copy(update=judgement))
