"""One command per verb: parses, calls, prints. Exit code 0, or 2 with one line that says why."""

import logging
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from blurryscope.basics.errors import BlurryScopeError, InputError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.basics.progress import Progress, silent

if TYPE_CHECKING:
    from blurryscope.pipeline import RunSettings
    from blurryscope.tma import Orientation

# Stages are imported inside the commands, so that `--help` does not wait for torch.

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=f"From the film of a moving stage to a HER2 report. {RESEARCH_USE_ONLY}",
)

Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Map = Annotated[Path | None, typer.Option("--map", help="The lab's map of the slide, CSV or XLSX.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
Orient = Annotated[
    list[str] | None,
    typer.Option(
        "--orientation",
        metavar="TURN",
        help="How the array lies in the scan, if known. Give it once for the first film, or once "
        "per film; repeats that are not told are recognised.",
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
        help="Your answer: names move so many ROWS,COLUMNS; 0,0 confirms them.",
    ),
]
Model = Annotated[str, typer.Option("--model", help="Shipped model, or a .safetensors file.")]
PixelSize = Annotated[
    float | None,
    typer.Option("--pixel-size-um", help="Size of a mosaic pixel, if it was calibrated."),
]
Damaged = Annotated[
    bool, typer.Option("--damaged", help="Stitch what is there of a film that breaks off.")
]


def main() -> None:
    """Run the command line; whatever a user can put right becomes one line and exit code 2."""
    _silence_libraries()
    try:
        app(standalone_mode=False)
    except BlurryScopeError as error:
        _fail(str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}. Check the path, the space and the rights there.")
    except MemoryError:
        _fail("there is not enough memory. Close other programs and run the same command again.")
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped. Run the same command again to go on.")
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise  # a fault of the program: whoever reports it needs all of it
        _fail_usage(error)


def _silence_libraries() -> None:
    """Keep warnings and log lines of libraries from the terminal: what matters we say ourselves."""
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())


def _fail(message: str) -> None:
    print(f"blurryscope: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _fail_usage(error: Exception) -> None:
    """Say an error of the argument parser in one line, with its own wording."""
    command = getattr(getattr(error, "ctx", None), "command_path", "blurryscope")
    problem = str(error.format_message()) if hasattr(error, "format_message") else str(error)
    if "\n" in problem.strip():  # no arguments at all: the parser hands over the whole help
        print(problem, file=sys.stderr)
        sys.exit(2)
    _fail(f"{problem.rstrip('.')}. See {command} --help.")


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """Bars on a terminal; elsewhere, such as in a log, a line a stage."""
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with _bars() as progress:
            yield progress
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description:<26}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, fraction: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=fraction)

        yield report


def _lines() -> Progress:
    """Standard error is left to errors, so that a log holds exactly one line of them."""
    told: set[str] = set()

    def report(stage: str, fraction: float) -> None:  # noqa: ARG001 - the contract's
        if stage not in told:
            told.add(stage)
            print(f"{stage} …", flush=True)

    return report


def _run_settings(
    model: str | None = None,
    orientation: Sequence[str] | None = None,
    pixel_size_um: float | None = None,
    damaged: bool = False,
    layout: Path | None = None,
    place: str | None = None,
) -> "RunSettings":
    from blurryscope.pipeline import RunSettings
    from blurryscope.tma import TmaSettings, read_layout

    if pixel_size_um is not None and not 0 < pixel_size_um < math.inf:
        raise InputError(
            "--pixel-size-um", f"{pixel_size_um} is no size", "Give µm per pixel, such as 0.72"
        )
    settings = RunSettings(pixel_size_um=pixel_size_um, takes_damaged=damaged)
    if model is not None:
        settings = replace(settings, model=model)
    tma = TmaSettings(
        layout=None if layout is None else read_layout(layout),
        place=None if place is None else _place(place),
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
    from blurryscope.tma import Orientation

    if text == "any":
        return None
    try:
        return Orientation(text)
    except ValueError as error:
        known = ", ".join([*Orientation, "any"])
        raise InputError(
            "--orientation", f"there is no orientation {text!r}", f"Use one of {known}"
        ) from error


def _refuse_too_many(orientations: Sequence[str] | None, film_count: int) -> None:
    if orientations and len(orientations) > film_count:
        raise InputError(
            "--orientation",
            f"is given {len(orientations)} times for {film_count} film{'s'[: film_count - 1]}",
            "Give it once, or once per film in the order of the films",
        )


@app.command()
def demo(
    out: Out = Path("demo"),
    quiet: Quiet = False,
) -> None:
    """Go the whole way on a simulated slide: film, mosaic, cores, scores, report.

    Example: blurryscope demo --out demo
    """
    from blurryscope.demo import run_demo

    with _progress(quiet) as progress:
        report = run_demo(out, progress)
    print(f"report: {report}")
    print(RESEARCH_USE_ONLY)


@app.command()
def run(
    videos: Annotated[
        list[Path],
        typer.Argument(metavar="FILM", help="Film of the slide; several are repeats."),
    ],
    out: Out,
    map_path: Map = None,
    slide: Annotated[str | None, typer.Option(help="Slide, if the map lists several.")] = None,
    model: Model = "corenet-1",
    orientation: Orient = None,
    layout: LayoutFile = None,
    place: Place = None,
    pixel_size_um: PixelSize = None,
    damaged: Damaged = False,
    quiet: Quiet = False,
) -> None:
    """From the film, or the films, of one slide to its report.

    Example: blurryscope run scan.mp4 --map map.csv --out slide-1
    """
    from blurryscope import pipeline

    _refuse_too_many(orientation, len(videos))
    settings = _run_settings(model, orientation, pixel_size_um, damaged, layout, place)
    with _progress(quiet) as progress:
        report = pipeline.run(
            videos, out, map_path=map_path, slide=slide, settings=settings, progress=progress
        )
    _say_doubts(pipeline.repeat_folders(out, len(videos)))
    print(f"report: {report}")
    print(RESEARCH_USE_ONLY)


@app.command()
def stitch(
    video: Annotated[Path, typer.Argument(metavar="FILM", help="Film of one scan.")],
    out: Out,
    pixel_size_um: PixelSize = None,
    damaged: Damaged = False,
    quiet: Quiet = False,
) -> None:
    """Make the mosaic of one film and tell where every frame lay.

    Example: blurryscope stitch scan.mp4 --out slide-1
    """
    from blurryscope import pipeline

    settings = _run_settings(pixel_size_um=pixel_size_um, damaged=damaged)
    with _progress(quiet) as progress:
        pipeline.stitch_into(video, out, settings=settings, progress=progress)
    print(f"mosaic: {out / 'mosaic.ome.zarr'}")


@app.command()
def cores(
    slide_dir: Annotated[
        Path,
        typer.Argument(metavar="DIR|PICTURE", help="Stitched folder, or a picture of a slide."),
    ],
    map_path: Map = None,
    slide: Annotated[str | None, typer.Option(help="Slide, if the map lists several.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Another folder for the results.")
    ] = None,
    orientation: Orient = None,
    layout: LayoutFile = None,
    place: Place = None,
    pixel_size_um: PixelSize = None,
    quiet: Quiet = False,
) -> None:
    """Find the tissue cores of a slide, name them, and cut them out.

    Example: blurryscope cores slide-1 --map map.csv
    """
    from blurryscope import pipeline

    settings = _run_settings(
        orientation=orientation, pixel_size_um=pixel_size_um, layout=layout, place=place
    )
    with _progress(quiet) as progress:
        folders = pipeline.find_and_write_cores(slide_dir, out, map_path, slide, settings, progress)
    _say_doubts(folders)
    for folder in folders:
        print(f"cores: {folder / 'cores.csv'}")


@app.command()
def score(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="A slide's folder, or stacks (.tif).")
    ],
    model: Model = "corenet-1",
    bgr: Annotated[
        bool, typer.Option("--bgr", help="Stacks store blue first, as the authors' do.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Table to write.")] = None,
    quiet: Quiet = False,
) -> None:
    """Score the cores of a slide's folder, or single stacks.

    Example: blurryscope score BR1503f_1_F5_3.tif --bgr --out scores.csv
    """
    from blurryscope import pipeline

    with _progress(quiet) as progress:
        table = pipeline.score_inputs(inputs, out, model, is_bgr=bgr, progress=progress)
    print(f"scores: {table}")
    print(RESEARCH_USE_ONLY)


@app.command()
def report(
    slide_dir: Annotated[Path, typer.Argument(metavar="DIR", help="The slide's folder.")],
) -> None:
    """Write the report of a slide's folder again.

    Example: blurryscope report slide-1
    """
    from blurryscope.report import write_report

    print(f"report: {write_report(slide_dir)}")
    print(RESEARCH_USE_ONLY)


@app.command()
def simulate(
    out: Out,
    rows: Annotated[int, typer.Option(min=1)] = 3,
    columns: Annotated[int, typer.Option(min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Another seed is another slide.")] = 0,
    preset: Annotated[str, typer.Option(help="plain or authentic.")] = "authentic",
    repeats: Annotated[int, typer.Option(min=1, help="Scans of the same slide.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Film a slide that does not exist, and write the truth beside the film.

    Example: blurryscope simulate --out sim --rows 2 --columns 3 --seed 7
    """
    from blurryscope.simulator.presets import PRESETS
    from blurryscope.simulator.scan import simulate_repeats, simulate_scan
    from blurryscope.simulator.slide import SlideDesign

    if preset not in PRESETS:
        known = " or ".join(PRESETS)
        raise InputError("--preset", f"there is no preset {preset!r}", f"Use {known}")
    design = SlideDesign(name=f"SIM{seed}", rows=rows, columns=columns, seed=seed)
    with _progress(quiet) as progress:
        if repeats == 1:
            scans = [
                simulate_scan(
                    out, design=design, settings=PRESETS[preset], seed=seed, progress=progress
                )
            ]
        else:
            scans = simulate_repeats(
                out,
                design=design,
                settings=PRESETS[preset],
                seed=seed,
                turned=(False,) * repeats,
                progress=progress,
            )
    for scan in scans:
        print(f"film: {scan.video}")


def _say_doubts(folders: list[Path]) -> None:
    """Say on the terminal what must not be overlooked."""
    from blurryscope.artifacts.tissue_cores import read_core_grid

    for folder in folders:
        grid = read_core_grid(folder / "cores.json")
        if grid.needs_confirmation:
            print(f"{folder}: the names of its cores NEED CONFIRMATION:")
            for reason in grid.reasons:
                print(f"  {reason}")
