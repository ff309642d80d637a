"""Options that several commands share, and what they become."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blurryscope.basics.errors import InputError

if TYPE_CHECKING:
    from blurryscope.classify.model_file import ModelSettings
    from blurryscope.dataset.build import DataSet
    from blurryscope.pipeline.settings import RunSettings
    from blurryscope.tma.orientation import Orientation

Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Map = Annotated[
    Path | None,
    typer.Option("--map", help="The lab's map of the slide: CSV, XLSX, .qpmap or .qptma."),
]
Out = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
SetFolder = Annotated[Path, typer.Argument(metavar="SET", help="Folder of the data set.")]
Orient = Annotated[
    list[str] | None,
    typer.Option(
        "--orientation",
        metavar="TURN",
        help="How the array lies in the scan: as-scanned, which is taken if nothing is told; "
        "turned-90, turned-180 or turned-270, clockwise; mirrored, mirrored-90, mirrored-180 or "
        "mirrored-270; or any: empty places decide. Give it once for the first film, or once per "
        "film; repeats that are not told are recognised.",
    ),
]
LayoutFile = Annotated[
    Path | None, typer.Option("--layout", help="Blocks of the array, if it has gaps: layout.toml.")
]
Place = Annotated[
    str | None,
    typer.Option(
        "--place",
        metavar="ROWS,COLUMNS",
        help="Your answer: names move so many ROWS,COLUMNS; 0,0 confirms them. It is remembered; "
        "'ask' forgets it.",
    ),
]
Consensus = Annotated[
    str | None,
    typer.Option(
        "--consensus",
        metavar="RULE",
        help="If the map has several readers: majority, median, or the name of one.",
    ),
]
Model = Annotated[str, typer.Option("--model", help="Shipped model, or a .safetensors file.")]
Why = Annotated[
    bool,
    typer.Option("--why/--no-why", help="For each core, a map of where its score comes from."),
]
PixelSize = Annotated[
    float | None,
    typer.Option(
        "--pixel-size-um",
        help="Size of a pixel in µm, if it was measured; else it follows from the stage's speed.",
    ),
]
Bgr = Annotated[
    bool | None,
    typer.Option(
        "--bgr/--rgb",
        show_default=False,
        help="Stacks store blue first, as the authors' do; or red first, which is what is taken "
        "if neither is given and their pixels do not show the contrary.",
    ),
]
Damaged = Annotated[
    bool, typer.Option("--damaged", help="Stitch what is there of a film that breaks off.")
]


def refuse_place_without_map(place: str | None, map_path: Path | None) -> None:
    """Refuse an answer where there is nothing to ask: it would be kept and change nothing."""
    if place is not None and map_path is None and not _forgets(place):
        raise InputError(
            "--place",
            "says where the names of a map belong, and no map is given",
            "Give --map; without one, names count the rows and columns that are seen",
        )


def _forgets(place: str) -> bool:
    return place.strip().casefold() == "ask"


def run_settings(
    model: str | None = None,
    orientation: Sequence[str] | None = None,
    pixel_size_um: float | None = None,
    damaged: bool = False,
    layout: Path | None = None,
    place: str | None = None,
    consensus: str | None = None,
) -> "RunSettings":
    from blurryscope.artifacts.layout_file import read_layout
    from blurryscope.pipeline.settings import RunSettings
    from blurryscope.tma.settings import TmaSettings

    if pixel_size_um is not None and not 0 < pixel_size_um < math.inf:
        raise InputError(
            "--pixel-size-um", f"{pixel_size_um} is no size", "Give µm per pixel, such as 0.72"
        )
    is_asked_anew = place is not None and _forgets(place)
    settings = RunSettings(
        pixel_size_um=pixel_size_um,
        takes_damaged=damaged,
        consensus=consensus,
        is_orientation_told=bool(orientation),
        forgets_answers=is_asked_anew,
    )
    if model is not None:
        settings = replace(settings, model=model)
    tma = TmaSettings(
        layout=None if layout is None else read_layout(layout),
        place=None if place is None or is_asked_anew else _place(place),
    )
    first, *later = [_orientation(text) for text in orientation or ["as-scanned"]]
    return replace(settings, tma=replace(tma, orientation=first), repeat_orientations=tuple(later))


def _place(text: str) -> tuple[int, int]:
    try:
        rows, columns = (int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            "--place", f"{text!r} is not two numbers", "Write rows and columns, such as 1,0 or 0,-1"
        ) from error
    return rows, columns


def _orientation(text: str) -> "Orientation | None":
    from blurryscope.tma.orientation import Orientation

    if text == "any":
        return None
    try:
        return Orientation(text)
    except ValueError as error:
        known = ", ".join([*Orientation, "any"])
        raise InputError(
            "--orientation", f"there is no orientation {text!r}", f"Use one of {known}"
        ) from error


def refuse_idle(why: str, remedy: str, told: Mapping[str, object]) -> None:
    """What changes nothing was meant to change something."""
    for option, value in told.items():
        if value:
            raise InputError(option, why, remedy)


def refuse_other_split(settings: "ModelSettings", data: "DataSet", split: str) -> None:
    """Under another split of its set a model has learnt from cores that are now for other ends."""
    learnt = {
        told
        for told in settings.learnt_from
        if told.partition(":")[0] == data.note.samples_sha256 and told != data.fingerprint(split)
    }
    if learnt:
        names = [name for name in data.note.splits if data.fingerprint(name) in learnt]
        raise InputError(
            "--split",
            f"the model has learnt from this set under another split than {split!r}, so from cores "
            "that are set aside there",
            f"Give --split {names[0]}, or train anew" if names else "Train anew under this split",
        )


def refuse_too_many_orientations(orientations: Sequence[str] | None, film_count: int) -> None:
    if orientations and len(orientations) > film_count:
        raise InputError(
            "--orientation",
            f"is given {len(orientations)} times for {film_count} film{'s'[: film_count - 1]}",
            "Give it once, or once per film in the order of the films",
        )


def say_colour_order(stacks: Iterable[Path], is_bgr: bool | None) -> None:
    """Say which colour stacks were taken to store first, and which show another order.

    With the wrong order positives come out as sure negatives, and not every stack shows its own.
    Stacks whose order nobody told have been refused where they show another.
    """
    from blurryscope.artifacts.samples import stack_files, stacks_of_other_order

    order = "blue, green, red" if is_bgr else "red, green, blue; --bgr is for the authors' files"
    print(f"stacks were read as {order}")
    if is_bgr is None:
        return
    files = [file for path in stacks for file in stack_files(path)]
    other = stacks_of_other_order(files, bgr=is_bgr)
    if other:
        given, shown = ("--bgr", "red") if is_bgr else ("--rgb", "blue")
        print(
            f"WARNING: {len(other)} of {len(files)} stacks show that they store {shown} first "
            f"({other[0].name} for one). If you have not seen that their colours are right with "
            f"{given}, leave it out: all that was made of them is wrong then"
        )
