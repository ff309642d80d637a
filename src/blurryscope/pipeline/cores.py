"""Find, name and cut out the cores of a slide's scans, or of a picture."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from blurryscope.artifacts.edit_log import Author, read_edit_log
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.artifacts.slide_map import (
    MapReading,
    SlideMap,
    layout_or_none,
    read_slide_map,
)
from blurryscope.artifacts.whole import refuse_unwritable
from blurryscope.basics.clock import SystemClock
from blurryscope.basics.progress import Progress, silent
from blurryscope.pipeline.answers import named_as_answered, remember, remembered
from blurryscope.pipeline.corrections import (
    CORRECTED,
    corrections_print,
    take_in_hand_edits,
    with_kept_edits,
)
from blurryscope.pipeline.naming import name_repeat, name_scan, read_named_scan
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import (
    CORE_FILES,
    MOSAIC,
    fingerprint_of,
    is_done,
    redo,
    scanned_folders,
    stamp,
)
from blurryscope.tma.array_folder import write_array
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.picture import SlidePicture, open_slide
from blurryscope.tma.recognise import NamedScan
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.write import write_cores


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenMap:
    """The lab's map as it was when it was read: people go on with its file meanwhile."""

    path: Path
    sha256: str
    content: SlideMap


def find_and_write_cores(
    source: Path,
    out: Path | None,
    map_path: Path | None,
    slide: str | None,
    settings: RunSettings,
    progress: Progress = silent,
) -> list[Path]:
    """Find the cores of a slide's folder or of a picture; returns the folders written to."""
    given = read_map(map_path, slide, settings)
    folders = scanned_folders(source)
    if folders and out is None:
        cores(folders, given, settings=settings, progress=progress)
        return folders
    slide_map = None if given is None else given.content
    picture = open_slide(source, settings.pixel_size_um)
    target = out or source.with_suffix("")
    refuse_unwritable(target)
    take_in_hand_edits(target, picture)
    known = remembered(target, settings, slide_map, picture.size_px)
    namer = _namer(picture, given, source)
    named, used = named_as_answered(namer, known)
    found = with_kept_edits(named, picture, target)
    redo(
        target,
        "cores",
        fingerprint_of(asdict(used)),
        _writing(found, picture, target, slide_map, used),
    )
    author = Author(at=SystemClock().utc_now())
    remember(target, settings, used, slide_map, picture.size_px, author)
    return [target]


def cores(
    folders: Sequence[Path],
    given: GivenMap | None,
    *,
    settings: RunSettings,
    progress: Progress = silent,
) -> RunSettings:
    """Find and name the cores of a slide's repeats; nothing is written unless all can be named.

    What a person answered or corrected before holds. Returns the settings with those answers.
    """
    mosaics = [Mosaic(folder / MOSAIC) for folder in folders]
    slide_map = None if given is None else given.content
    told, size_px = settings, mosaics[0].size_px
    for folder, mosaic in zip(folders, mosaics, strict=True):
        take_in_hand_edits(folder, mosaic)
    known = remembered(folders[0], settings, slide_map, size_px)
    settings = known.settings
    prints = _core_fingerprints(folders, given, settings)
    found: dict[int, Dearrayed] = {}
    first: NamedScan | None = None
    for at, (folder, mosaic) in enumerate(zip(folders, mosaics, strict=True)):
        progress("find the cores", at / len(folders))
        if is_done(folder, "cores", prints[at], CORE_FILES):
            first = first or read_named_scan(folder, mosaic)
        elif first is None:
            named, settings = named_as_answered(_namer(mosaic, given, folder), known)
            prints = _core_fingerprints(folders, given, settings)
            found[at] = with_kept_edits(named, mosaic, folder)
            first = NamedScan(picture=mosaic, cores=found[at].cores, grid=found[at].grid)
        else:
            tma = settings.tma_of_repeat(at + 1)
            named = name_repeat(mosaic, first, slide_map, tma, folder)
            found[at] = with_kept_edits(named, mosaic, folder)
    for at, dearrayed in found.items():
        redo(
            folders[at],
            "cores",
            prints[at],
            _writing(dearrayed, mosaics[at], folders[at], slide_map, settings),
        )
        redo(folders[at], CORRECTED, corrections_print(folders[0]), lambda: None)
    remember(folders[0], told, settings, slide_map, size_px, Author(at=SystemClock().utc_now()))
    progress("find the cores", 1.0)
    return settings


def read_map(map_path: Path | None, slide: str | None, settings: RunSettings) -> GivenMap | None:
    """Read the lab's map of a slide as the settings say; None where none is given."""
    if map_path is None:
        return None
    layout = settings.tma.layout
    how = MapReading(
        consensus=settings.consensus,
        is_column_first=layout is not None and layout.is_column_first,
    )
    content = read_slide_map(map_path, slide, how)
    return GivenMap(path=map_path, sha256=sha256_of_file(map_path), content=content)


def _namer(
    picture: SlidePicture, given: GivenMap | None, where: Path
) -> Callable[[TmaSettings], Dearrayed]:
    if given is None:
        return lambda tma: name_scan(picture, None, tma, where)
    return lambda tma: name_scan(picture, given.content, tma, where, given.path)


def _writing(
    found: Dearrayed,
    picture: SlidePicture,
    folder: Path,
    slide_map: SlideMap | None,
    settings: RunSettings,
) -> Callable[[], None]:
    def work() -> None:
        layout = layout_or_none(settings.tma.layout, slide_map)
        name = None if slide_map is None else slide_map.slide
        named = replace(found, grid=found.grid.model_copy(update={"slide": name}))
        write_cores(named, picture, folder)
        write_array(named, picture, folder, slide_map=slide_map, layout=layout)

    return work


def _core_fingerprints(
    folders: Sequence[Path], given: GivenMap | None, settings: RunSettings
) -> list[str]:
    """Of each repeat; all lean on the first one's mosaic."""
    told_map = None if given is None else [given.sha256, given.content.slide, settings.consensus]
    first = stamp(folders[0], "stitch")
    return [
        fingerprint_of(
            stamp(folder, "stitch"),
            told_map,
            asdict(settings.tma if at == 0 else settings.tma_of_repeat(at + 1)),
            read_edit_log(folder).unlock_count,
            None if at == 0 else [first, asdict(settings.tma), corrections_print(folders[0])],
        )
        for at, folder in enumerate(folders)
    ]
