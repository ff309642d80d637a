"""Commands about what a lab knows of an array: maps and layouts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.cli.app import WholeSentences, app
from blurryscope.cli.options import Consensus, LayoutFile

map_app = typer.Typer(
    cls=WholeSentences,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at a lab's map before it is used.",
)
layout_app = typer.Typer(
    cls=WholeSentences,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Write, show and keep layouts of arrays.",
)
app.add_typer(map_app, name="map")
app.add_typer(layout_app, name="layout")

MapFile = Annotated[
    Path, typer.Argument(metavar="MAP", help="The lab's map: CSV, XLSX, .qpmap or .qptma.")
]
SlideDir = Annotated[
    Path, typer.Argument(metavar="DIR", help="A slide's folder whose cores are named.")
]
Slide = Annotated[str | None, typer.Option("--slide", help="Slide, if the map lists several.")]
OutFile = Annotated[Path, typer.Option("--out", help="File to write.")]


@map_app.callback()
def _maps() -> None:
    """Look at a lab's map before it is used."""


@map_app.command("check")
def check(
    map_path: MapFile,
    slide: Slide = None,
    consensus: Consensus = None,
    layout: LayoutFile = None,
) -> None:
    """Say what a map is understood to mean, with a picture of the array in text.

    Example: blurryscope map check map.xlsx --consensus majority
    """
    from blurryscope.artifacts.map_cells import UnknownScoresError
    from blurryscope.artifacts.slide_map import slides_in_map

    slides = (slide,) if slide is not None else slides_in_map(map_path) or (None,)
    try:
        for number, each in enumerate(slides):
            if number:
                print()
            for line in _words_about(map_path, each, consensus, layout):
                print(line)
        print(RESEARCH_USE_ONLY)
    except UnknownScoresError as error:
        print("Scores that are not known:")
        for cell in error.cells:
            print(f"  {cell}")
        raise


def _words_about(
    map_path: Path, slide: str | None, consensus: str | None, layout_path: Path | None
) -> Iterator[str]:
    from dataclasses import replace

    from blurryscope.artifacts.layout_file import read_layout
    from blurryscope.artifacts.map_words import describe_map
    from blurryscope.artifacts.slide_map import MapReading, read_slide_map
    from blurryscope.tma.layout import whole_map

    layout = None if layout_path is None else read_layout(layout_path)
    is_column_first = layout is not None and layout.is_column_first
    how = MapReading(consensus=consensus, is_column_first=is_column_first)
    read = read_slide_map(map_path, slide, how)
    if layout is not None:
        whole = whole_map(layout, read)
        read = replace(read, entries=whole.entries, layout=layout)
    yield f"{map_path}" + (f", slide {read.slide}" if read.slide else "") + ":"
    yield from describe_map(read)


@map_app.command("join")
def join(
    scores: Annotated[
        Path, typer.Argument(metavar="SCORES", help="A map with the scores, by place.")
    ],
    numbers: Annotated[
        Path, typer.Option("--numbers", help="A sheet like the array with a core number a cell.")
    ],
    out: OutFile,
    cases: Annotated[
        Path | None, typer.Option("--cases", help="A table with core_id and accession_id.")
    ] = None,
    slide: Slide = None,
    consensus: Consensus = None,
) -> None:
    """Join sheets of scores, of core numbers and of cases to one map.

    Example: blurryscope map join scores.xlsx --numbers clean_map.xlsx --cases metadata.xlsx
    --out map.csv
    """
    from blurryscope.artifacts.joined_map import join_map, write_joined_map
    from blurryscope.artifacts.slide_map import MapReading, read_slide_map

    slide_map = read_slide_map(scores, slide, MapReading(consensus=consensus))
    joined = join_map(slide_map, numbers, cases)
    write_joined_map(_new_file(out), slide_map.slide, joined)
    print(f"map: {out} ({len(joined)} cores)")


@layout_app.command("show")
def show(
    layout_path: Annotated[Path, typer.Argument(metavar="LAYOUT", help="A layout.toml.")],
) -> None:
    """Show a layout as text.

    Example: blurryscope layout show layout.toml
    """
    from blurryscope.artifacts.layout_file import read_layout
    from blurryscope.artifacts.map_words import describe_layout

    for line in describe_layout(read_layout(layout_path)):
        print(line)


@layout_app.command("from-map")
def from_map(
    map_path: MapFile, out: OutFile, slide: Slide = None, consensus: Consensus = None
) -> None:
    """Write the layout that a map shows: its blocks, and the places it leaves empty.

    Example: blurryscope layout from-map map.xlsx --out layout.toml
    """
    from blurryscope.artifacts.layout_file import write_layout
    from blurryscope.artifacts.slide_map import MapReading, read_slide_map
    from blurryscope.tma.layout import inferred_layout

    slide_map = read_slide_map(map_path, slide, MapReading(consensus=consensus))
    write_layout(_new_file(out), inferred_layout(slide_map))
    print(f"layout: {out}")


@layout_app.command("keep")
def keep(
    slide_dir: SlideDir,
    out: OutFile,
    title: Annotated[str | None, typer.Option(help="The lab's name of the array.")] = None,
) -> None:
    """Keep the confirmed layout of a slide as a template for the next slide of the same block.

    Example: blurryscope layout keep slide-1 --out BR1503f.toml
    """
    from dataclasses import replace

    from blurryscope.artifacts.layout_file import write_layout
    from blurryscope.tma.array_folder import confirmed_layout

    layout = confirmed_layout(slide_dir)
    write_layout(_new_file(out), layout if title is None else replace(layout, title=title))
    print(f"template: {out}")


@layout_app.command("from-qupath")
def from_qupath(
    grid_path: Annotated[Path, typer.Argument(metavar="GRID", help="A .qptma of QuPath.")],
    out: OutFile,
) -> None:
    """Write the layout of a grid that was made in QuPath.

    Example: blurryscope layout from-qupath slide.qptma --out layout.toml
    """
    from blurryscope.artifacts.layout_file import write_layout
    from blurryscope.artifacts.qupath_grid import map_of_grid, read_qptma
    from blurryscope.tma.layout import inferred_layout

    write_layout(_new_file(out), inferred_layout(map_of_grid(read_qptma(grid_path))))
    print(f"layout: {out}")


@layout_app.command("to-qupath")
def to_qupath(
    slide_dir: SlideDir,
    out: Annotated[Path, typer.Option("--out", help="The .qptma or .qpmap to write.")],
) -> None:
    """Write a slide's named cores as a grid (.qptma), or its case numbers (.qpmap), for QuPath.

    Example: blurryscope layout to-qupath slide-1 --out slide-1.qptma
    """
    from blurryscope.tma.array_folder import write_for_qupath

    write_for_qupath(slide_dir, _new_file(out))
    print(f"QuPath: {out}")


def _new_file(path: Path) -> Path:
    """Layouts are written by people too: none is replaced without a word."""
    if path.exists():
        raise InputError(path, "is there already", "Choose another --out, or move it away")
    return path
