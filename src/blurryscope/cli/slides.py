"""The commands that a slide goes through: from its film to its report."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from blurryscope.basics.core_name import MOST_COLUMNS, MOST_ROWS
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.classify.shipped import SHIPPED
from blurryscope.cli.app import app
from blurryscope.cli.options import (
    Bgr,
    Consensus,
    Damaged,
    LayoutFile,
    Map,
    Model,
    Orient,
    Out,
    PixelSize,
    Place,
    Quiet,
    Why,
    refuse_place_without_map,
    refuse_too_many_orientations,
    run_settings,
    say_colour_order,
)
from blurryscope.cli.outcome import (
    say_assumed_speed,
    say_doubts,
    say_outcome,
    say_rescans,
    say_scored,
)
from blurryscope.cli.progress import shown_progress

Mirrored = Annotated[
    bool, typer.Option("--mirrored", help="The camera sees the slide in a mirror.")
]

Rest = Annotated[
    float | None,
    typer.Option(
        "--rest-s",
        help="How long the stage stands between two lanes, in s, if recording.json lacks it.",
        show_default="1.1 as in the paper",
    ),
]

# Stages are imported inside the commands, so that `--help` does not wait for torch.


@app.command()
def demo(
    out: Out = Path("demo"),
    quiet: Quiet = False,
) -> None:
    """Go the whole way on a simulated slide: film, mosaic, cores, scores, report.

    Example: blurryscope demo --out demo
    """
    from blurryscope.artifacts.alone import alone_in
    from blurryscope.artifacts.whole import refuse_unwritable
    from blurryscope.demo import run_demo

    refuse_unwritable(out)
    with shown_progress(quiet) as progress, alone_in(out):
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
    model: Model = SHIPPED,
    orientation: Orient = None,
    layout: LayoutFile = None,
    place: Place = None,
    consensus: Consensus = None,
    pixel_size_um: PixelSize = None,
    damaged: Damaged = False,
    mirrored: Mirrored = False,
    rest_s: Rest = None,
    why: Why = True,
    quiet: Quiet = False,
) -> None:
    """From the film, or the films, of one slide to its report.

    Example: blurryscope run scan.mp4 --map map.csv --out slide-1
    """
    from blurryscope.artifacts.alone import alone_in
    from blurryscope.artifacts.whole import refuse_unwritable
    from blurryscope.pipeline.run import run
    from blurryscope.pipeline.steps import repeat_folders

    refuse_too_many_orientations(orientation, len(videos))
    refuse_place_without_map(place, map_path)
    settings = run_settings(model, orientation, pixel_size_um, damaged, layout, place, consensus)
    settings = replace(settings, is_mirrored=mirrored, shows_why=why, rest_s=_checked_rest(rest_s))
    refuse_unwritable(out)
    with shown_progress(quiet) as progress, alone_in(out):
        report = run(
            videos, out, map_path=map_path, slide=slide, settings=settings, progress=progress
        )
    say_outcome(out, repeat_folders(out, len(videos)), quiet=quiet)
    print(f"report: {report}")
    print(RESEARCH_USE_ONLY)


@app.command()
def stitch(
    video: Annotated[Path, typer.Argument(metavar="FILM", help="Film of one scan.")],
    out: Out,
    pixel_size_um: PixelSize = None,
    damaged: Damaged = False,
    mirrored: Mirrored = False,
    rest_s: Rest = None,
    deblurred: Annotated[
        bool, typer.Option("--deblurred", help="Also a copy with motion blur undone, to look at.")
    ] = False,
    exposure_s: Annotated[
        float | None,
        typer.Option(
            "--exposure-s", help="Exposure of a frame in s, if recording.json lacks it: 0.0078."
        ),
    ] = None,
    abutted: Annotated[
        bool,
        typer.Option("--legacy-abutted", help="Also frames edge to edge, as the paper's authors."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Make the mosaic of one film, tell where every frame lay, and what to scan again.

    Example: blurryscope stitch scan.mp4 --out slide-1
    """
    from blurryscope.artifacts.alone import alone_in
    from blurryscope.artifacts.whole import refuse_unwritable
    from blurryscope.pipeline.stitching import add_layers, refuse_unknown_blur, stitch_into

    if exposure_s is not None and not 0 < exposure_s < 1:
        raise InputError("--exposure-s", f"{exposure_s} is no exposure", "Give s, such as 0.0078")
    settings = run_settings(pixel_size_um=pixel_size_um, damaged=damaged)
    settings = replace(settings, is_mirrored=mirrored, rest_s=_checked_rest(rest_s))
    if deblurred:
        refuse_unknown_blur(video, out, exposure_s)
    has_layers = deblurred or abutted
    refuse_unwritable(out)
    with shown_progress(quiet) as progress, alone_in(out):
        stitch_into(video, out, settings=settings, progress=progress, replaces=not has_layers)
        layers = add_layers(
            video, out, deblurs=deblurred, abuts=abutted, exposure_s=exposure_s, progress=progress
        )
    print(f"mosaic: {out / 'mosaic.ome.zarr'}")
    for layer in layers:
        print(f"layer: {layer}")
    say_assumed_speed(out)
    say_rescans(out)


@app.command()
def cores(
    slide_dir: Annotated[
        Path,
        typer.Argument(metavar="DIR|PICTURE", help="Stitched folder, or a picture of a slide."),
    ],
    map_path: Map = None,
    slide: Annotated[str | None, typer.Option(help="Slide, if the map lists several.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the results, if not DIR itself or beside PICTURE."),
    ] = None,
    orientation: Orient = None,
    layout: LayoutFile = None,
    place: Place = None,
    consensus: Consensus = None,
    pixel_size_um: PixelSize = None,
    quiet: Quiet = False,
) -> None:
    """Find the tissue cores of a slide, name them, and cut them out.

    Example: blurryscope cores slide-1 --map map.csv
    """
    from blurryscope.pipeline.cores import find_and_write_cores
    from blurryscope.pipeline.scored_places import doubt_about_scored_names

    refuse_place_without_map(place, map_path)
    settings = run_settings(
        orientation=orientation,
        pixel_size_um=pixel_size_um,
        layout=layout,
        place=place,
        consensus=consensus,
    )
    with shown_progress(quiet) as progress, _alone_where_results_are(out or slide_dir):
        folders = find_and_write_cores(slide_dir, out, map_path, slide, settings, progress)
    say_doubts(folders)
    for folder in folders:
        print(f"cores: {folder / 'cores.csv'}")
    if doubt_about_scored_names(slide_dir) is not None:
        print(f"Scores and report are still those of before: blurryscope score {slide_dir}")


@app.command()
def score(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT", help="A slide's folder, or stacks (.tif), or a folder of them."
        ),
    ],
    model: Model = SHIPPED,
    bgr: Bgr = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Table to write, if not scores.csv: of the slide's folder, or here."
        ),
    ] = None,
    why: Why = True,
    quiet: Quiet = False,
) -> None:
    """Score the cores of a slide's folder, or single stacks.

    Example: blurryscope score BR1503f_1_F5_3.tif --bgr --out scores.csv
    """
    from blurryscope.pipeline.rescoring import is_slide_folder, score_inputs

    with shown_progress(quiet) as progress, _alone_where_results_are(inputs[0]):
        table = score_inputs(inputs, out, model, is_bgr=bgr, shows_why=why, progress=progress)
    if not is_slide_folder(inputs[0]):
        say_colour_order(inputs, bgr)
    if not quiet:
        say_scored(table)
    print(f"scores: {table}")
    print(RESEARCH_USE_ONLY)


@app.command()
def report(
    slide_dir: Annotated[Path, typer.Argument(metavar="DIR", help="The slide's folder.")],
) -> None:
    """Write the report of a slide's folder again.

    Example: blurryscope report slide-1
    """
    from blurryscope.pipeline.reporting import report_again

    print(f"report: {report_again(slide_dir)}")
    print(RESEARCH_USE_ONLY)


@app.command()
def simulate(
    out: Out,
    rows: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="Rows of cores.")] = 3,
    columns: Annotated[int, typer.Option(min=1, max=MOST_COLUMNS, help="Cores in a row.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another slide.")] = 0,
    preset: Annotated[
        str, typer.Option(help="authentic, as the paper's microscope, or plain, with mild faults.")
    ] = "authentic",
    repeats: Annotated[int, typer.Option(min=1, help="Scans of the same slide.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Film a slide that does not exist, and write the truth beside the film.

    Example: blurryscope simulate --out sim --rows 2 --columns 3 --seed 7
    """
    from blurryscope.artifacts.whole import refuse_unwritable
    from blurryscope.simulator.presets import PRESETS
    from blurryscope.simulator.scan import simulate_repeats, simulate_scan
    from blurryscope.simulator.slide import SlideDesign

    if preset not in PRESETS:
        known = " or ".join(PRESETS)
        raise InputError("--preset", f"there is no preset {preset!r}", f"Use {known}")
    refuse_unwritable(out)
    design = SlideDesign(name=f"SIM{seed}", rows=rows, columns=columns, seed=seed)
    with shown_progress(quiet) as progress:
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


@contextmanager
def _alone_where_results_are(folder: Path) -> Iterator[None]:
    """Keep other commands out of a folder that is there; half-written results would mix."""
    from blurryscope.artifacts.alone import alone_in

    with alone_in(folder) if folder.is_dir() else nullcontext():
        yield


def _checked_rest(rest_s: float | None) -> float | None:
    if rest_s is not None and not 0 < rest_s < 60:
        raise InputError("--rest-s", f"{rest_s} is no rest between lanes", "Give s, such as 0.4")
    return rest_s
