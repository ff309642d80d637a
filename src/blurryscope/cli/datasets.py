"""The commands for data sets: building, splitting and checking what a network learns from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blurryscope.basics.errors import InputError
from blurryscope.cli.app import WholeSentences, app
from blurryscope.cli.options import Bgr, Quiet, SetFolder, refuse_idle, say_colour_order
from blurryscope.cli.progress import shown_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blurryscope.artifacts.split import Unit
    from blurryscope.basics.progress import Progress
    from blurryscope.dataset.build import DataSet, Divide
    from blurryscope.dataset.packed import Packing
    from blurryscope.dataset.simulated import SimulatedCores
    from blurryscope.dataset.sources import SlideSource
    from blurryscope.dataset.splitting import Shares
    from blurryscope.dataset.tissue import TissueScans

dataset_app = typer.Typer(
    cls=WholeSentences,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Build data sets, split them, and check them. A split that leaks is refused.",
)
app.add_typer(dataset_app, name="dataset")

By = Annotated[str, typer.Option("--by", help="What is never divided: patient, core or slide.")]
SharesText = Annotated[
    str,
    typer.Option(
        "--shares", metavar="T,V,C,S", help="Shares to train, validate, calibrate and test."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Another seed is another draw.")]
_USUAL_SHARES = "0.6,0.1,0.1,0.2"


@dataset_app.command("build")
def build(
    out: Annotated[Path, typer.Option("--out", help="Folder for the data set.")],
    slides: Annotated[
        list[Path] | None, typer.Option("--slide", help="A slide's folder; several are fine.")
    ] = None,
    maps: Annotated[
        list[Path] | None,
        typer.Option("--map", help="The lab's map: one for all slides, or one per --slide."),
    ] = None,
    stacks: Annotated[
        list[Path] | None,
        typer.Option("--stacks", help="Stacks named SLIDE_REPEAT_CORE_SCORE.tif, or a folder."),
    ] = None,
    bgr: Bgr = None,
    simulate: Annotated[
        int, typer.Option("--simulate", min=0, help="Draw so many cores instead.")
    ] = 0,
    repeats: Annotated[int, typer.Option(min=1, help="Scans of each drawn core.")] = 3,
    one_microscope: Annotated[
        bool,
        typer.Option(
            "--one-microscope", help="All scans of a drawn core by one, as repeats of a slide are."
        ),
    ] = False,
    pixel_size_um: Annotated[
        float | None, typer.Option(help="Of drawn cores; coarse ones are quick.")
    ] = None,
    view_px: Annotated[
        int | None,
        typer.Option(
            help="Keep only views of drawn cores, so wide: quick to learn from. 128 or 256."
        ),
    ] = None,
    crops: Annotated[int, typer.Option(min=4, help="Crops kept of each core.")] = 10,
    tissue: Annotated[
        Path | None,
        typer.Option(
            help="Sharp pictures of real cores, named SCORE_NAME, to mix into drawn ones; "
            "they are learnt from, never tested on."
        ),
    ] = None,
    tissue_pixel_size_um: Annotated[float, typer.Option(help="Of those pictures.")] = 0.25,
    tissue_scans: Annotated[int, typer.Option(min=1, help="Imagined scans of each.")] = 40,
    by: By = "patient",
    shares: SharesText = _USUAL_SHARES,
    seed: Seed = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 2,
    quiet: Quiet = False,
) -> None:
    """Gather pictures and their scores, and split them once, as `holdout`.

    Example: blurryscope dataset build --simulate 240 --pixel-size-um 2.88 --out set
    """
    from blurryscope.dataset.simulated import planned_samples
    from blurryscope.dataset.splitting import holdout

    _refuse_mixed_sources(slides, stacks, simulate)
    refuse_idle(
        "is for drawn cores", "Leave it away, or give --simulate",
        {} if simulate else {
            "--pixel-size-um": pixel_size_um, "--view-px": view_px, "--tissue": tissue,
            "--one-microscope": one_microscope,
        },
    )  # fmt: skip
    refuse_idle("is for slides and stacks", "Leave it away", {"--map": maps} if simulate else {})
    unit, parts = _unit(by), _shares(shares)
    learnt = _tissue_slides(tissue)

    def divide(data: "DataSet") -> "DataSet":
        return _with_holdout(data, unit, parts, seed, learnt_slides=learnt)

    if slides:
        data = _set_of_slides(out, _slide_sources(slides, maps or []), divide)
    elif stacks:
        data = _set_of_stacks(out, stacks, maps or [], bgr, divide)
        say_colour_order(stacks, bgr)
    else:
        drawn = _cores_to_draw(simulate, repeats, one_microscope, pixel_size_um, seed)
        packing = _packing(view_px, crops)
        real = _real_cores(tissue, tissue_pixel_size_um, tissue_scans, seed)
        # Drawing takes long: what cannot be split is refused before.
        holdout(planned_samples(drawn), unit=unit, shares=parts, seed=seed)
        with shown_progress(quiet) as progress:
            data = _drawn_set(out, drawn, packing, real, divide, workers, progress)
    _say(data)


@dataset_app.command("split")
def split(
    folder: SetFolder,
    scheme: Annotated[
        str, typer.Option(help="holdout, k-fold or leave-one-slide-out.")
    ] = "holdout",
    by: By = "patient",
    folds: Annotated[int, typer.Option(min=2, help="How many, for k-fold.")] = 5,
    shares: SharesText = _USUAL_SHARES,
    seed: Seed = 1,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", help="Somebody's split: a CSV with slide, core and part."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name for a split from a file.")] = None,
) -> None:
    """Split a data set another way, or take over somebody's split if it does not leak.

    Example: blurryscope dataset split set --scheme leave-one-slide-out
    """
    from blurryscope.artifacts.split import Unit, read_split
    from blurryscope.dataset.build import add_splits, open_data_set
    from blurryscope.dataset.splitting import k_fold, leave_one_slide_out

    data, unit, parts = open_data_set(folder), _unit(by), _shares(shares)
    if from_file is not None:
        told = read_split(from_file, data.samples, unit if by != "patient" else Unit.CORE)
        _say(
            add_splits(
                data, {name or from_file.stem: told}, unit=unit, scheme="imported", seed=None
            )
        )
    elif scheme == "holdout":
        _say(_with_holdout(data, unit, parts, seed))
    elif scheme == "k-fold":
        made = k_fold(data.samples, folds, unit=unit, shares=parts, seed=seed)
        _say(add_splits(data, made, unit=unit, scheme=scheme, seed=seed))
    elif scheme == "leave-one-slide-out":
        made = leave_one_slide_out(data.samples, shares=parts, seed=seed)
        _say(add_splits(data, made, unit=Unit.CORE, scheme=scheme, seed=seed))
    else:
        raise InputError(
            "--scheme", f"there is none {scheme!r}", "Use holdout, k-fold or leave-one-slide-out"
        )


@dataset_app.command("check")
def check(folder: SetFolder) -> None:
    """Compare every picture with its checksum, and look for leaks in every split.

    Example: blurryscope dataset check set
    """
    from blurryscope.dataset.build import check_data_set

    _say(check_data_set(folder))


def _refuse_mixed_sources(
    slides: list[Path] | None, stacks: list[Path] | None, simulate: int
) -> None:
    given = sum(map(bool, (slides, stacks, simulate)))
    if given != 1:
        raise InputError(
            "--slide, --stacks, --simulate",
            f"{'none' if given == 0 else 'more than one'} of these is given",
            "Give one of them: a data set is of slides, of stacks or of drawn cores",
        )


def _set_of_slides(out: Path, sources: "list[SlideSource]", divide: "Divide") -> "DataSet":
    from blurryscope.dataset.build import build_data_set
    from blurryscope.dataset.sources import inputs_of_slides, pictures_of_slides

    return build_data_set(
        out,
        pictures_of_slides(sources),
        recipe={
            "source": "slides",
            "slides": [source.folder.resolve().name for source in sources],
        },
        inputs_sha256=inputs_of_slides(sources),
        divide=divide,
    )


def _set_of_stacks(
    out: Path, stacks: list[Path], maps: list[Path], bgr: bool | None, divide: "Divide"
) -> "DataSet":
    from blurryscope.dataset.build import build_data_set
    from blurryscope.dataset.sources import cases_of_map, pictures_of_stacks, stacks_in

    cases = {key: case for path in maps for key, case in cases_of_map(path).items()}
    return build_data_set(
        out,
        pictures_of_stacks(stacks_in(stacks), bgr=bgr, cases=cases),
        recipe={"source": "stacks", "bgr": bool(bgr)},
        divide=divide,
    )


def _drawn_set(
    out: Path,
    drawn: "SimulatedCores",
    packing: "Packing | None",
    real: "TissueScans | None",
    divide: "Divide",
    workers: int,
    progress: "Progress",
) -> "DataSet":
    from blurryscope.dataset.build import build_data_set
    from blurryscope.dataset.simulated import simulated_pictures
    from blurryscope.dataset.tissue import packed_set

    if packing is not None:
        return packed_set(
            out, drawn, packing, real, divide=divide, workers=workers, progress=progress
        )
    if real is not None:
        raise InputError("--tissue", "goes with views only", "Give --view-px 128")
    pictures = simulated_pictures(drawn, workers=workers, progress=progress)
    return build_data_set(out, pictures, recipe=drawn.recipe, divide=divide)


def _cores_to_draw(
    count: int, repeats: int, one_microscope: bool, pixel_size_um: float | None, seed: int
) -> "SimulatedCores":
    from blurryscope.dataset.simulated import SimulatedCores

    _check_size("--pixel-size-um", pixel_size_um)
    try:
        return SimulatedCores(
            core_count=count,
            scans_per_core=repeats,
            one_microscope=one_microscope,
            pixel_size_um=pixel_size_um,
            seed=seed,
        )
    except ValueError as error:
        raise InputError("--simulate", str(error), "Give fewer cores") from error


def _packing(view_px: int | None, crops: int) -> "Packing | None":
    from blurryscope.dataset.packed import Packing

    try:
        return None if view_px is None else Packing(view_px=view_px, crop_count=crops)
    except ValueError as error:
        raise InputError("--view-px", str(error), "Give 128, or 256") from error


def _real_cores(
    tissue: Path | None, pixel_size_um: float, scans: int, seed: int
) -> "TissueScans | None":
    from blurryscope.dataset.tissue import TissueScans

    _check_size("--tissue-pixel-size-um", pixel_size_um)
    if tissue is None:
        return None
    return TissueScans(folder=tissue, pixel_size_um=pixel_size_um, scans_per_core=scans, seed=seed)


_COARSEST_UM = 50.0
"""A core of 0.6 mm is a dozen such pixels wide."""


def _check_size(option: str, pixel_size_um: float | None) -> None:
    if pixel_size_um is not None and not 0 < pixel_size_um <= _COARSEST_UM:
        raise InputError(option, f"{pixel_size_um} is no size", "Give µm per pixel, such as 2.88")


def _tissue_slides(tissue: Path | None) -> list[str]:
    from blurryscope.dataset.tissue import tissue_pictures_in

    return [] if tissue is None else [path.stem for path in tissue_pictures_in(tissue)]


def _with_holdout(
    data: "DataSet",
    unit: "Unit",
    shares: "Shares",
    seed: int,
    learnt_slides: "Sequence[str]" = (),
) -> "DataSet":
    from blurryscope.dataset.build import add_splits
    from blurryscope.dataset.splitting import holdout

    made = holdout(data.samples, unit=unit, shares=shares, seed=seed, learnt_slides=learnt_slides)
    return add_splits(data, {"holdout": made}, unit=unit, scheme="holdout", seed=seed)


def _say(data: "DataSet") -> None:
    from blurryscope.artifacts.split import Part

    cores = {(sample.slide, sample.core) for sample in data.samples}
    print(f"data set: {data.folder}, {len(data.samples)} pictures of {len(cores)} cores")
    for name in sorted(data.note.splits):
        made = data.split(name)
        counts = {part: len(made.indices(data.samples, part)) for part in Part}
        print(f"split {name}: " + ", ".join(f"{count} {part}" for part, count in counts.items()))


def _unit(text: str) -> "Unit":
    from blurryscope.artifacts.split import Unit

    try:
        return Unit(text)
    except ValueError as error:
        raise InputError("--by", f"there is no unit {text!r}", f"Use {', '.join(Unit)}") from error


def _shares(text: str) -> "Shares":
    from blurryscope.dataset.splitting import Shares

    remedy = "Give four numbers such as 0.6,0.1,0.1,0.2"
    try:
        train, validate, calibrate, test = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError("--shares", f"{text!r} is not four numbers", remedy) from error
    try:
        return Shares(train=train, validate=validate, calibrate=calibrate, test=test)
    except ValueError as error:
        raise InputError("--shares", f"{text!r} will not do ({error})", remedy) from error


def _slide_sources(slides: list[Path], maps: list[Path]) -> "list[SlideSource]":
    from blurryscope.dataset.sources import SlideSource

    if len(maps) not in (0, 1, len(slides)):
        raise InputError(
            "--map",
            f"is given {len(maps)} times for {len(slides)} slides",
            "Give it once, or per slide",
        )
    each: list[Path | None] = [*maps] if len(maps) > 1 else [next(iter(maps), None)] * len(slides)
    return [SlideSource(folder=f, map_path=m) for f, m in zip(slides, each, strict=True)]
