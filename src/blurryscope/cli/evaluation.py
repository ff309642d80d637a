"""The commands for those who judge a network: evaluate its predictions, fit its limits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.classify.shipped import SHIPPED
from blurryscope.cli.app import app
from blurryscope.cli.options import (
    Bgr,
    Model,
    Quiet,
    SetFolder,
    refuse_idle,
    refuse_other_split,
    say_colour_order,
)
from blurryscope.cli.progress import shown_progress

if TYPE_CHECKING:
    from blurryscope.evaluate.honest_protocol import HonestReport
    from blurryscope.evaluate.paper_protocol import PaperReport

_USUAL_COVERAGE, _USUAL_STRANGE = 0.9, 0.02


@app.command()
def evaluate(
    predictions: Annotated[
        list[Path],
        typer.Argument(metavar="PREDICTIONS", help="Tables (CSV) of one model's predictions."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for page, figures and numbers.")] = (
        Path("evaluation")
    ),
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Table of labels, if the predictions do not hold them."),
    ] = None,
    data_set: Annotated[
        Path | None,
        typer.Option("--set", help="Data set: labels, patients, parts, and the colour baseline."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which split of the data set.")] = "holdout",
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Predictions of other cores, to fix thresholds on."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="Another model's predictions, to compare; may be repeated."),
    ] = None,
    stacks: Annotated[
        list[Path] | None,
        typer.Option("--stacks", help="Stacks of these cores, or a folder: colour baseline."),
    ] = None,
    bgr: Bgr = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="NAME=HEADING",
            help="What a column is called in your table, such as label=consensus.",
        ),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="honest, or paper: as published, slips and all.")
    ] = "honest",
    withheld: Annotated[
        float, typer.Option("--withheld", help="Share of calibration cores to withhold.")
    ] = 0.15,
    coverage: Annotated[
        float, typer.Option(help="How often sets shall hold the true score.")
    ] = 0.9,
    replicates: Annotated[int, typer.Option(min=1, help="Of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Compare predictions with labels: a page, figures, and all numbers as CSV.

    Example: blurryscope evaluate scores.csv --labels labels.csv --out evaluation
    """
    from blurryscope.artifacts.whole import refuse_unwritable
    from blurryscope.evaluate.honest_protocol import HonestSettings
    from blurryscope.pipeline.evaluation import (
        EvaluationInputs,
        evaluate_as_published,
        evaluate_honestly,
    )

    inputs = EvaluationInputs(
        predictions=predictions,
        against=against or [],
        labels=labels,
        columns=_columns(column or []),
        calibration=calibration,
        data_set=data_set,
        split=split,
        stacks=stacks or [],
        bgr=bgr,
    )
    _check_share("--withheld", withheld)
    _check_share("--coverage", coverage)
    if protocol == "paper" and against:
        raise InputError(
            "--against", "has no place in the paper's protocol", "Leave it away, or --protocol"
        )
    refuse_unwritable(out)
    with shown_progress(quiet) as progress:
        if protocol == "paper":
            page, published = evaluate_as_published(inputs, out, progress)
            lines = _published_lines(published)
        elif protocol == "honest":
            settings = HonestSettings(
                withheld_share=withheld, miscoverage=1 - coverage, replicates=replicates, seed=seed
            )
            page, report = evaluate_honestly(inputs, out, settings, progress)
            lines = _honest_lines(report)
        else:
            raise InputError("--protocol", f"there is none {protocol!r}", "Use honest or paper")
    if stacks:
        say_colour_order(stacks, bgr)
    for line in lines:
        print(line)
    print(f"evaluation: {page}")
    print(RESEARCH_USE_ONLY)


@app.command("fit-limits")
def fit_limits(
    data_set: SetFolder,
    model: Model = SHIPPED,
    split: Annotated[str, typer.Option(help="Which split of the data set.")] = "holdout",
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; beside the weights if not given.")
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(
            help="How often sets shall hold the true score.", show_default=str(_USUAL_COVERAGE)
        ),
    ] = None,
    withheld: Annotated[
        float, typer.Option("--withheld", help="Share of calibration stacks to withhold.")
    ] = 0.15,
    strange: Annotated[
        float | None,
        typer.Option(
            help="Share of familiar stacks that may be referred.", show_default=str(_USUAL_STRANGE)
        ),
    ] = None,
    fused: Annotated[
        bool,
        typer.Option(
            "--fused",
            help="Keep the limits beside the weights; add rules for several scans of a core.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Fit a model's limits: temperature, threshold, sets, and what is unlike its training cores.

    Example: blurryscope fit-limits set --model mine.safetensors
    """
    from blurryscope.artifacts.whole import refuse_unwritable_file
    from blurryscope.classify.fit_limits import LimitSettings, fitted_limits, with_fused_rules
    from blurryscope.classify.limits import limits_path, write_limits
    from blurryscope.classify.model_file import read_model
    from blurryscope.classify.predict import Classifier, load_model
    from blurryscope.dataset.build import open_data_set
    from blurryscope.dataset.stacks import DataSetStacks

    told = {"--coverage": coverage, "--strange": strange}
    for option, share in (told | {"--withheld": withheld}).items():
        if share is not None:
            _check_share(option, share)
    refuse_idle(
        "changes nothing with --fused, which keeps what the limits beside the weights promise",
        "Leave it away, or fit those limits again without --fused",
        told if fused else {},
    )
    loaded = read_model(model)
    if out is None and loaded.is_shipped:
        raise InputError(
            "--out",
            f"is not given, and the limits that {loaded.name} is shipped with would be replaced",
            "Name a file, or fit limits to a model of your own: --model mine.safetensors",
        )
    data = open_data_set(data_set)
    path = out or limits_path(loaded.path)
    refuse_unwritable_file(path)
    settings = LimitSettings(
        coverage=coverage or _USUAL_COVERAGE,
        withheld_share=withheld,
        strange_share=strange or _USUAL_STRANGE,
    )
    with shown_progress(quiet) as progress:
        stacks = DataSetStacks(data, data.split(split))
        refuse_other_split(loaded.settings, data, split)
        if fused:
            limits = with_fused_rules(
                load_model(model),
                stacks,
                withheld_share=withheld,
                fitted_on={"fused_samples_sha256": data.note.samples_sha256},
                progress=progress,
            )
        else:
            limits = fitted_limits(
                Classifier(loaded),
                stacks,
                settings,
                fitted_on={"samples_sha256": data.note.samples_sha256, "split": split},
                progress=progress,
            )
    write_limits(path, limits, loaded.network)
    print(f"temperature {limits.temperature:.2f}, farthest {limits.farthest:.2f}")
    for count, rule in enumerate(limits.rules.by_count, start=1):
        cutoffs = ", ".join(f"{cutoff:.2f}" for cutoff in rule.cutoffs or ())
        print(f"{count} scan{'s' * (count > 1)}: threshold {rule.threshold:.2f}, cutoffs {cutoffs}")
    print(f"limits: {path}")


def _columns(told: list[str]) -> dict[str, str]:
    from blurryscope.artifacts.labelled_columns import COLUMN_NAMES

    columns = {}
    for text in told:
        name, equals, heading = text.partition("=")
        if not (name and equals and heading):
            raise InputError(
                "--column", f"{text!r} names no column", "Write NAME=HEADING, such as label=truth"
            )
        if name not in COLUMN_NAMES:
            raise InputError(
                "--column", f"there is no column {name!r}", f"Name one of {', '.join(COLUMN_NAMES)}"
            )
        columns[name] = heading
    return columns


def _check_share(option: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise InputError(option, f"{value} is no share", "Give a number between 0 and 1")


def _honest_lines(report: "HonestReport") -> list[str]:
    from blurryscope.evaluate.words import counted, interval, number

    lines = []
    for classes, view in report.views.items():
        told = view.estimates["accuracy"]
        line = (
            f"{classes} classes, {counted(report.test_count, 'core')}: accuracy "
            f"{number(told.value, is_share=True)} "
            f"({interval(told.wilson, is_share=True)}), every answer, sure or not"
        )
        if view.selected is not None:
            line += (
                f"; {number(view.selected.accuracy.value, is_share=True)} of the "
                f"{number(view.selected.coverage.value, is_share=True)} scored"
            )
        lines.append(line)
    return lines


def _published_lines(report: "PaperReport") -> list[str]:
    from blurryscope.evaluate.words import number

    return [
        f"{classes} classes, {entry.rule}: {number(entry.accuracy, is_share=True)}, "
        f"{number(entry.indeterminate, is_share=True)} withheld (threshold from these cores)"
        for classes, entries in report.figures.items()
        for entry in entries
    ]
