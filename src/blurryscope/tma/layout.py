"""What map and layout say together: every place of the array, block by block."""

from blurryscope.artifacts.array_layout import Layout, LayoutBlock, PlaceKind, SpecialPlace
from blurryscope.artifacts.lab_map import MapEntry, SlideMap
from blurryscope.artifacts.map_words import even_layout
from blurryscope.artifacts.score_words import Presence
from blurryscope.basics.errors import InputError

_EMPTY = MapEntry(score=None, case=None, presence=Presence.EMPTY)
_LISTED = MapEntry(score=None, case=None, presence=Presence.UNSCORED)


def whole_map(layout: Layout, slide_map: SlideMap | None) -> SlideMap:
    """The map with what the layout knows: empty places, controls, marks of orientation.

    Without a map every place of the layout carries a core. Raises `InputError` where the two
    contradict each other.
    """
    if slide_map is None:
        free = {place.name for place in layout.special if place.kind is PlaceKind.EMPTY}
        names = [name for name in layout.names() if name not in free]
        slide_map = SlideMap(slide=None, entries=dict.fromkeys(names, _LISTED))
    _refuse_unknown_places(layout, slide_map)
    entries = dict(slide_map.entries)
    for place in layout.special:
        entries[place.name] = _special_entry(place, entries.get(place.name))
    return SlideMap(slide=slide_map.slide, entries=entries)


def own_map(block: LayoutBlock, slide_map: SlideMap) -> SlideMap | None:
    """The map of one block alone, counted within the block; None where it lists no core.

    Places that the map leaves out are entered as empty, so that the block keeps its size.
    """
    entries = {
        place: slide_map.entries.get(block.name_at(place), _EMPTY) for place in block.places()
    }
    if not any(entry.presence.expects_tissue for entry in entries.values()):
        return None
    return SlideMap(slide=slide_map.slide, entries=entries)


def inferred_layout(slide_map: SlideMap) -> Layout:
    """The layout that a map shows, or one even grid that holds all its places."""
    layout = slide_map.layout or even_layout(slide_map)
    empty = tuple(
        SpecialPlace(name=name, kind=PlaceKind.EMPTY)
        for name in sorted(layout.names())
        if slide_map.entries.get(name, _EMPTY).presence is Presence.EMPTY
    )
    return Layout(layout.blocks, special=empty)


def _special_entry(place: SpecialPlace, listed: MapEntry | None) -> MapEntry:
    is_listed = listed is not None and listed.presence.expects_tissue
    if place.kind is PlaceKind.EMPTY:
        if is_listed:
            raise InputError(
                "the map",
                f"lists a core at {place.name}, which the layout calls empty",
                "Correct the one that is wrong",
            )
        return MapEntry(score=None, case=None, presence=Presence.EMPTY, kind=place.kind)
    known = None if listed is None else listed.score
    if known is not None and place.score is not None and known is not place.score:
        raise InputError(
            "the map",
            f"gives {place.name} the score {known.label}, but it is a control that the layout "
            f"calls {place.score.label}",
            "Correct the one that is wrong",
        )
    if listed is not None and listed.presence in {Presence.LOST, Presence.NOT_EVALUABLE}:
        return MapEntry(score=None, case=listed.case, presence=listed.presence, kind=place.kind)
    score = place.score if known is None else known
    return MapEntry(
        score=score,
        case=None if listed is None else listed.case,
        presence=Presence.UNSCORED if score is None else Presence.SCORED,
        readings=() if listed is None else listed.readings,
        kind=place.kind,
    )


def _refuse_unknown_places(layout: Layout, slide_map: SlideMap) -> None:
    known = set(layout.names())
    unknown = sorted(
        name
        for name, entry in slide_map.entries.items()
        if entry.presence.expects_tissue and name not in known
    )
    if unknown:
        listed = ", ".join(str(name) for name in unknown[:8])
        raise InputError(
            "the map",
            f"lists cores that no block of the layout holds ({listed})",
            "Check that map and layout belong together",
        )
