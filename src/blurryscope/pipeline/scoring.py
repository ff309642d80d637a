"""From cores to scores: each repeat by itself, then the repeats of a slide together."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np

from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.predictions import Prediction, write_predictions, write_results
from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.artifacts.samples import Sample
from blurryscope.artifacts.tissue_cores import read_core_grid, read_tissue_cores
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.predict import Classifier, load_model, withheld
from blurryscope.evaluate.repeats import fuse_slide
from blurryscope.pipeline.core_stacks import CoreStack, core_stacks
from blurryscope.pipeline.scored_places import remember_scored_places, why_unfit
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import MOSAIC, SCORE_FILES, fingerprint_of, is_done, redo, stamp
from blurryscope.pipeline.why import WhyFolder, open_why
from blurryscope.report.slide_folder import WHY

_CORES_AT_ONCE = 4
_UNPROVEN = "this repeat's names are not confirmed: its cores do not look like the first repeat's"


def load_scorer(name_or_path: str) -> Classifier:
    """Load a model that gives scores; one of two classes is an `InputError`."""
    classifier = load_model(name_or_path)
    if classifier.settings.classes == 2:
        raise InputError(
            classifier.name,
            "tells negative from positive only, and scores are 0, 1+, 2+, 3+",
            "Take a model of four classes, or use it with blurryscope predict and evaluate",
        )
    return classifier


def score(
    folders: Sequence[Path],
    out: Path,
    *,
    slide: str,
    classifier: Classifier,
    settings: RunSettings,
    progress: Progress = silent,
) -> None:
    """Score the cores of all repeats of a slide, fuse them, and write both tables.

    A repeat whose names are not proven against the first is withheld from both.
    """
    fingerprint = fingerprint_of(
        [_cores_fingerprint(folder) for folder in folders],
        slide,
        classifier.sha256,
        asdict(classifier.decision_rules(settings.threshold)),
        None if classifier.limits is None else classifier.limits.farthest,
        settings.fusion,
        settings.shows_why,
    )
    is_explained = not settings.shows_why or all((folder / WHY).is_dir() for folder in folders)
    if not is_explained or not is_done(out, "score", fingerprint, SCORE_FILES):
        redo(
            out, "score", fingerprint, _scoring(folders, out, slide, classifier, settings, progress)
        )
    remember_scored_places(out, folders)


def _scoring(
    folders: Sequence[Path],
    out: Path,
    slide: str,
    classifier: Classifier,
    settings: RunSettings,
    progress: Progress,
) -> Callable[[], None]:
    def work() -> None:
        predictions: list[Prediction] = []
        for repeat, folder in enumerate(folders, start=1):
            with _why_of(folder, classifier, settings) as why:
                predictions += score_cores(
                    folder, slide, repeat, classifier, settings, why=why, progress=progress
                )
        results = fuse_slide(
            predictions,
            decision_rules=classifier.decision_rules(settings.threshold),
            rule=settings.fusion,
        )
        write_predictions(out / "scores.csv", predictions)
        write_results(out / "results.csv", results)

    return work


@contextmanager
def _why_of(
    folder: Path, classifier: Classifier, settings: RunSettings
) -> Iterator[WhyFolder | None]:
    """Where explanations go; those of earlier scores do not outlive them."""
    if settings.shows_why:
        with open_why(folder, classifier) as why:
            yield why
    else:
        yield None
        shutil.rmtree(folder / WHY, ignore_errors=True)


def score_cores(  # noqa: PLR0913 - which scan it is takes three, how it is scored two
    folder: Path,
    slide: str,
    repeat: int,
    classifier: Classifier,
    settings: RunSettings,
    *,
    why: WhyFolder | None = None,
    progress: Progress = silent,
) -> list[Prediction]:
    """Score every place of one repeat; what cannot be scored is withheld with the reason.

    With `why`, cores that get probabilities are explained there.
    """
    places = read_tissue_cores(folder / "cores.csv")
    is_unproven = read_core_grid(folder / "cores.json").agrees_with_first is False
    predictions: dict[CoreName, Prediction] = {}
    fit = []
    for core in places:
        sample = Sample(
            slide=slide,
            case="",
            core=core.name,
            repeat=repeat,
            score=core.label,
            path=folder / "cores" / f"{core.name}.png",
        )
        unfit = _UNPROVEN if is_unproven else why_unfit(core)
        if unfit is None:
            fit.append(sample)
        else:
            predictions[core.name] = withheld(sample, unfit)
    pixel_size_um = Mosaic(folder / MOSAIC).pixel_size_um
    for group in _groups(core_stacks(fit, pixel_size_um, classifier.stack_px)):
        for prediction in _scored(group, classifier, settings.threshold, why):
            predictions[prediction.core] = prediction
        progress("score the cores", len(predictions) / len(places))
    return [predictions[core.name] for core in places]


def _groups(cores: Iterator[CoreStack]) -> Iterator[list[CoreStack]]:
    while group := list(islice(cores, _CORES_AT_ONCE)):
        yield group


def _scored(
    cores: Sequence[CoreStack],
    classifier: Classifier,
    threshold: float | None,
    why: WhyFolder | None,
) -> list[Prediction]:
    stacks = np.stack([core.placed.stack for core in cores])
    further = [core.further for core in cores]
    scored = classifier.score_and_see(
        [core.sample for core in cores], stacks, threshold, further=further
    )
    if why is not None:
        why.explain(cores, scored)
    return [one.prediction for one in scored]


def _cores_fingerprint(folder: Path) -> list[str | None]:
    """The tables themselves count, so that a table put right by hand is scored again."""
    tables = [folder / "cores.csv", folder / "cores.json"]
    for table in tables:
        if not table.is_file():
            raise MissingInputError(
                table, "no such file", "Find the cores first: blurryscope cores"
            )
    return [stamp(folder, "stitch"), stamp(folder, "cores"), *map(sha256_of_file, tables)]
