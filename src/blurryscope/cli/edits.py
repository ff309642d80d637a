"""Commands by which a person corrects what was found: which tissue carries which name."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.cli.app import WholeSentences, app

if TYPE_CHECKING:
    from blurryscope.artifacts.edit_log import Answer, Author, EditEntry
    from blurryscope.basics.core_name import CoreName
    from blurryscope.pipeline.corrections import MakeEdits
    from blurryscope.tma.picture import SlidePicture

edit_app = typer.Typer(
    cls=WholeSentences,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Correct the cores of a slide. Every edit is written into edits.jsonl, and kept.",
)
app.add_typer(edit_app, name="edit")

Folder = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="A slide's folder, or that of one repeat (DIR/repeat-2)."),
]
Core = Annotated[str, typer.Argument(metavar="CORE", help="Name of a core, such as B3.")]
Cores = Annotated[list[str], typer.Argument(metavar="CORE", help="Names of cores.")]
By = Annotated[str | None, typer.Option("--by", help="Who says so; goes into edits.jsonl.")]
Picture = Annotated[
    Path | None,
    typer.Option("--picture", help="The picture the cores were found in, if it was no mosaic."),
]


@edit_app.command("move")
def move_core(
    folder: Folder,
    core: Core,
    to: Annotated[str, typer.Option("--to", metavar="X,Y", help="Pixels of the mosaic.")],
    by: By = None,
    picture: Picture = None,
) -> None:
    """Say where a core lies, also one that was thought missing.

    Example: blurryscope edit move slide-1 B3 --to 5120,3300
    """
    from blurryscope.tma.edits import move

    point = _point(to)
    _correct(folder, picture, lambda table: [move(table, _name(core), point, _author(by))])


@edit_app.command("missing")
def missing(folder: Folder, cores: Cores, by: By = None, picture: Picture = None) -> None:
    """Say that there is no core, only dirt or glass.

    Example: blurryscope edit missing slide-1 B3 C7
    """
    from blurryscope.artifacts.tissue_cores import CoreStatus
    from blurryscope.tma.edits import set_status

    status = CoreStatus.MISSING
    _correct(
        folder,
        picture,
        lambda table: [set_status(table, _name(core), status, _author(by)) for core in cores],
    )


@edit_app.command("status")
def status(
    folder: Folder,
    core: Core,
    state: Annotated[
        str,
        typer.Argument(
            metavar="STATE",
            help="ok, partial, fragmented, folded, missing, extra, holed, edge-cut, not-scanned "
            "or unsure.",
        ),
    ],
    by: By = None,
    picture: Picture = None,
) -> None:
    """Say what state a core is in.

    Example: blurryscope edit status slide-1 B3 folded
    """
    from blurryscope.artifacts.tissue_cores import CoreStatus
    from blurryscope.tma.edits import set_status

    try:
        told = CoreStatus(state)
    except ValueError as error:
        raise InputError(
            "STATE", f"there is no state {state!r}", f"Use one of {', '.join(CoreStatus)}"
        ) from error
    _correct(folder, picture, lambda table: [set_status(table, _name(core), told, _author(by))])


@edit_app.command("relabel")
def relabel_core(
    folder: Folder,
    core: Core,
    to: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    by: By = None,
    picture: Picture = None,
) -> None:
    """Say that a core has another name, which no other core has.

    Example: blurryscope edit relabel slide-1 B3 B4
    """
    from blurryscope.tma.edits import relabel

    _correct(folder, picture, lambda table: [relabel(table, _name(core), _name(to), _author(by))])


@edit_app.command("swap")
def swap_cores(
    folder: Folder,
    core: Core,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The other one.")],
    by: By = None,
    picture: Picture = None,
) -> None:
    """Say that each of two cores is the other. Scores of the map stay with their names.

    Example: blurryscope edit swap slide-1 B3 B4
    """
    from blurryscope.tma.edits import swap

    _correct(folder, picture, lambda table: [swap(table, _name(core), _name(other), _author(by))])


@edit_app.command("remove")
def remove_core(folder: Folder, core: Core, by: By = None, picture: Picture = None) -> None:
    """Say that tissue where the map has no core is dirt.

    Example: blurryscope edit remove slide-1 D9
    """
    from blurryscope.tma.edits import remove

    _correct(folder, picture, lambda table: [remove(table, _name(core), _author(by))])


@edit_app.command("lock")
def lock_cores(folder: Folder, cores: Cores, by: By = None, picture: Picture = None) -> None:
    """Say that cores are right and are to stay so, whatever is found later.

    Example: blurryscope edit lock slide-1 B3 B4
    """
    from blurryscope.tma.edits import lock

    _correct(folder, picture, lambda table: [lock(table, _names(cores), _author(by))])


@edit_app.command("unlock")
def unlock_cores(folder: Folder, cores: Cores, by: By = None, picture: Picture = None) -> None:
    """Give cores back: the next `cores` or `run` looks for them again.

    Example: blurryscope edit unlock slide-1 B3
    """
    from blurryscope.tma.edits import unlock

    _correct(folder, picture, lambda table: [unlock(table, _names(cores), _author(by))])


@edit_app.command("read")
def read(folder: Folder, by: By = None, picture: Picture = None) -> None:
    """Take in what was changed by hand in cores.csv. `run`, `cores` and `score` do so too.

    Example: blurryscope edit read slide-1 --by "Dr. Weber"
    """
    from blurryscope.pipeline.corrections import take_in_hand_edits

    slide = _picture(folder, picture)
    _tell(folder, take_in_hand_edits(folder, slide, _author(by)))


@edit_app.command("from-qupath")
def from_qupath(
    folder: Folder,
    grid: Annotated[Path, typer.Argument(metavar="GRID", help="A .qptma corrected in QuPath.")],
    by: By = None,
    picture: Picture = None,
) -> None:
    """Take in cores that were moved or marked missing in QuPath.

    Example: blurryscope edit from-qupath slide-1 corrected.qptma
    """
    from blurryscope.artifacts.qupath_grid import read_qptma
    from blurryscope.tma.qupath import edits_of_grid

    read_grid = read_qptma(grid)
    _correct(folder, picture, lambda table: edits_of_grid(read_grid, table, _author(by)))


@edit_app.command("log")
def log(folder: Folder) -> None:
    """Show what was corrected and answered, by whom and when.

    Example: blurryscope edit log slide-1
    """
    from blurryscope.artifacts.edit_log import read_edit_log

    for scan in _scans_with_cores(folder):
        repeat = "" if scan == folder else f"{scan.name}: "
        entries = read_edit_log(scan).entries
        for entry in entries:
            who = entry.by or "somebody"
            print(f"{repeat}{entry.at:%Y-%m-%d %H:%M} {who}: {_words(entry)}")
        if not entries:
            print(f"{repeat}nothing was corrected")


def _scans_with_cores(folder: Path) -> Sequence[Path]:
    """The folder itself, or its repeats: each has a log of its own."""
    from blurryscope.artifacts.repeat_folders import repeats_in
    from blurryscope.artifacts.whole import present_folder

    here = [present_folder(folder, "the slide's folder"), *repeats_in(folder).values()]
    scans = [scan for scan in here if (scan / "cores.csv").is_file()]
    if not scans:
        raise MissingInputError(folder, "holds no cores", "Find the cores first: blurryscope cores")
    return scans


def _correct(folder: Path, picture: Path | None, make_edits: "MakeEdits") -> None:
    from blurryscope.pipeline.corrections import correct

    _tell(folder, correct(folder, _picture(folder, picture), make_edits))


def _tell(folder: Path, entries: "Sequence[EditEntry]") -> None:
    for entry in entries:
        print(_words(entry))
    if entries:
        print(f"cores: {folder / 'cores.csv'}")
        _say_what_is_old(folder, entries)
    else:
        print("nothing to correct")


def _say_what_is_old(folder: Path, entries: "Sequence[EditEntry]") -> None:
    """Scores lie in the slide's folder; repeats are named after the first one, by `run`."""
    from blurryscope.artifacts.edit_log import EditKind
    from blurryscope.artifacts.repeat_folders import repeats_in
    from blurryscope.pipeline.scored_places import doubt_about_scored_names

    place = folder.resolve()
    is_repeat = place in repeats_in(place.parent).values()
    if doubt_about_scored_names(place.parent if is_repeat else folder) is not None:
        again = "run the slide again." if is_repeat else f"blurryscope score {folder}"
        print(f"Scores and report are still those of before: {again}")
    elif any(entry.kind not in {EditKind.LOCK, EditKind.UNLOCK} for entry in entries):
        slide_dir = place.parent if is_repeat else folder
        if (slide_dir / "report.html").is_file():
            print(f"The report is still that of before: blurryscope report {slide_dir}")


def _words(entry: "EditEntry") -> str:
    if entry.answer is not None:
        return _words_of_answer(entry.answer)
    was = {state.core: state for state in entry.before}
    told = []
    for state in entry.after:
        before = was.get(state.core)
        here = "nothing" if state.is_gone else state.status or "a core"
        place = f"{here} at {state.x_px:.0f},{state.y_px:.0f}"
        earlier = (
            ""
            if before is None
            else f" (was {before.status} at {before.x_px:.0f},{before.y_px:.0f})"
        )
        told.append(f"{state.core} {place}{earlier}")
    return f"{entry.kind} {'; '.join(told)}"


def _words_of_answer(answer: "Answer") -> str:
    told = []
    if answer.place is not None:
        told.append(f"--place {','.join(map(str, answer.place))}")
    if answer.orientation is not None:
        told.append(f"--orientation {answer.orientation}")
    return f"answer {' '.join(told)}" if told else "earlier answers are to be forgotten"


def _picture(folder: Path, picture: Path | None) -> "SlidePicture":
    from blurryscope.artifacts.whole import present_folder
    from blurryscope.tma.picture import open_slide

    present_folder(folder, "the slide's folder")
    if picture is None and not (folder / "mosaic.ome.zarr").is_dir():
        raise InputError(
            folder,
            "holds no mosaic",
            "Give the picture that the cores were found in with --picture, or one repeat's folder",
        )
    return open_slide(folder if picture is None else picture)


def _author(by: str | None) -> "Author":
    from blurryscope.artifacts.edit_log import Author
    from blurryscope.basics.clock import SystemClock

    return Author(at=SystemClock().utc_now(), by=by)


def _names(texts: Sequence[str]) -> "list[CoreName]":
    return [_name(text) for text in texts]


def _name(text: str) -> "CoreName":
    from blurryscope.basics.core_name import CoreName

    try:
        return CoreName.parse(text)
    except ValueError as error:
        raise InputError("CORE", str(error), "Give a name as cores.csv has it") from error


def _point(text: str) -> tuple[float, float]:
    try:
        x_px, y_px = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError("--to", f"{text!r} is not two numbers", "Write X,Y in pixels") from error
    if not (math.isfinite(x_px) and math.isfinite(y_px)):
        raise InputError("--to", f"{text!r} is no place", "Write X,Y in pixels")
    return x_px, y_px
