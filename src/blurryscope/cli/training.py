"""The commands for those who train: training, models, predictions of a part."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.classify.shipped import SHIPPED
from blurryscope.cli.app import WholeSentences, app
from blurryscope.cli.options import Quiet, SetFolder, refuse_other_split
from blurryscope.cli.progress import shown_progress

if TYPE_CHECKING:
    from blurryscope.artifacts.split import Part

model_app = typer.Typer(
    cls=WholeSentences,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Bring models into the form that is read here.",
)
app.add_typer(model_app, name="model")


@app.command()
def train(
    config_file: Annotated[Path, typer.Option("--config", help="What to train on, and how.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the run; beside the config if not given."),
    ] = None,
    data_set: Annotated[
        Path | None, typer.Option("--set", help="Data set, if not the one in the config.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Go on from a model: `shipped`, a name or a file.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a network; the same command goes on where a run was stopped.

    Example: blurryscope train --config run.toml --out run
    """
    from blurryscope.artifacts.whole import refuse_unwritable
    from blurryscope.classify.calibrate import LEAST_CALIBRATION_CORES
    from blurryscope.classify.model_file import read_model
    from blurryscope.classify.processes import is_first_process
    from blurryscope.classify.run_folder import keep_config
    from blurryscope.classify.train import train as train_network
    from blurryscope.classify.training_config import read_training_config
    from blurryscope.dataset.build import open_data_set
    from blurryscope.dataset.stacks import DataSetStacks

    config = read_training_config(config_file)
    if data_set is not None:
        config = config.on_data_set(data_set)
    if start is not None:
        config = config.going_on_from(start)
    folder = out or config_file.with_suffix("")
    refuse_unwritable(folder)
    data = open_data_set(config.data.set)
    stacks = DataSetStacks(data, data.split(config.data.split))
    if config.network.start_from is not None:
        begun = read_model(config.network.start_from).settings
        refuse_other_split(begun, data, config.data.split)
    speaks = is_first_process()
    if speaks:
        keep_config(config_file, folder)
    with shown_progress(quiet or not speaks) as progress:
        report = train_network(
            stacks,
            config,
            folder,
            data_sha256=data.fingerprint(config.data.split),
            progress=progress,
            tell=(lambda _: None) if quiet else print,
        )
    if not speaks:
        return
    print(f"model: {report.model} (best of {len(report.history)} epochs: {report.best_epoch})")
    if report.calibration_cores < LEAST_CALIBRATION_CORES:
        print(
            f"  confidence not calibrated anew: {report.calibration_cores} cores of the set are "
            f"kept for it, {LEAST_CALIBRATION_CORES} are needed"
        )
    print("  no limits: it withholds less than the shipped model until `fit-limits` has run,")
    print("  which needs cores of 40 patients to calibrate with")
    print(RESEARCH_USE_ONLY)


@app.command()
def predict(
    folder: SetFolder,
    out: Annotated[Path, typer.Option("--out", help="Table to write.")],
    model: Annotated[
        str, typer.Option(help="Shipped model, a .safetensors file, or `colour`: the baseline.")
    ] = SHIPPED,
    parts: Annotated[
        list[str] | None, typer.Option("--part", help="calibrate and test, if not given.")
    ] = None,
    split_name: Annotated[str, typer.Option("--split", help="Split of the set.")] = "holdout",
    gated: Annotated[
        bool, typer.Option("--gated", help="Withhold stacks that are unfit to be scored.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Predict parts of a data set, beside their labels, for `blurryscope evaluate`.

    Example: blurryscope predict set --model run/model.safetensors --out predictions.csv
    """
    from blurryscope.artifacts.predictions import write_labelled_predictions
    from blurryscope.artifacts.whole import refuse_unwritable_file
    from blurryscope.classify.predict import load_model
    from blurryscope.classify.predict_part import COLOUR, colour_predicted_part, predicted_part
    from blurryscope.dataset.build import open_data_set
    from blurryscope.dataset.stacks import DataSetStacks

    refuse_unwritable_file(out)
    data = open_data_set(folder)
    stacks = DataSetStacks(data, data.split(split_name))
    wanted = [_part(text) for text in dict.fromkeys(parts or ["calibrate", "test"])]
    with shown_progress(quiet) as progress:
        if model == COLOUR:
            rows = [row for part in wanted for row in colour_predicted_part(stacks, part)]
        else:
            classifier = load_model(model)
            refuse_other_split(classifier.settings, data, split_name)
            rows = [
                row
                for part in wanted
                for row in predicted_part(
                    stacks, part, classifier, is_gated=gated, progress=progress
                )
            ]
    write_labelled_predictions(out, rows)
    print(f"predictions: {out}")
    print(RESEARCH_USE_ONLY)


@model_app.command("import")
def import_model(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT.pth", help="The authors' weights.")],
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write.")],
) -> None:
    """Turn the checkpoint that the paper's authors publish into a model for `score`.

    Example: blurryscope model import checkpoint.pth --out efin-4.safetensors
    """
    from blurryscope.classify.authors_checkpoint import import_checkpoint

    settings = import_checkpoint(checkpoint, out)
    print(f"model: {out} ({settings.classes} classes, takes blue first)")
    print(RESEARCH_USE_ONLY)


def _part(text: str) -> "Part":
    from blurryscope.artifacts.split import Part

    try:
        return Part(text)
    except ValueError as error:
        raise InputError("--part", f"there is none {text!r}", f"Use {', '.join(Part)}") from error
