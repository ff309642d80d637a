"""From cores to scores: each repeat by itself, then the repeats of a slide together."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.predictions import Prediction, write_predictions, write_results
from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.artifacts.samples import Sample
from blurryscope.artifacts.tissue_cores import (
    CoreStatus,
    TissueCore,
    read_core_grid,
    read_tissue_cores,
)
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.image import Rgb
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.predict import Classifier, withheld
from blurryscope.dataset.views import make_stack
from blurryscope.evaluate.repeats import fuse_slide
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import MOSAIC, SCORE_FILES, fingerprint_of, is_done, redo, stamp

_UNPROVEN = "this repeat's names are not confirmed: its cores do not look like the first repeat's"


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
        asdict(classifier.decision_rule(settings.threshold)),
        None if classifier.limits is None else classifier.limits.farthest,
        settings.fusion,
    )
    if not is_done(out, "score", fingerprint, SCORE_FILES):
        redo(
            out, "score", fingerprint, _scoring(folders, out, slide, classifier, settings, progress)
        )


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
            predictions += score_cores(folder, slide, repeat, classifier, settings, progress)
        results = fuse_slide(
            predictions,
            decision_rule=classifier.decision_rule(settings.threshold),
            rule=settings.fusion,
        )
        write_predictions(out / "scores.csv", predictions)
        write_results(out / "results.csv", results)

    return work


def score_cores(
    folder: Path,
    slide: str,
    repeat: int,
    classifier: Classifier,
    settings: RunSettings,
    progress: Progress = silent,
) -> list[Prediction]:
    """Score every place of one repeat; what cannot be scored is withheld with the reason."""
    pixel_size_um = Mosaic(folder / MOSAIC).pixel_size_um
    places = read_tissue_cores(folder / "cores.csv")
    is_unproven = read_core_grid(folder / "cores.json").agrees_with_first is False
    predictions = []
    for number, core in enumerate(places, start=1):
        path = folder / "cores" / f"{core.name}.png"
        sample = Sample(
            slide=slide, case="", core=core.name, repeat=repeat, score=core.label, path=path
        )
        unfit = _UNPROVEN if is_unproven else _unfit(core)
        if unfit is not None:
            predictions.append(withheld(sample, unfit))
        else:
            stack = make_stack(_read_rgb(path), pixel_size_um=pixel_size_um)
            predictions.append(classifier.score(sample, stack, settings.threshold))
        progress("score the cores", number / len(places))
    return predictions


def _cores_fingerprint(folder: Path) -> list[str | None]:
    """The tables themselves count, so that a table put right by hand is scored again."""
    tables = [folder / "cores.csv", folder / "cores.json"]
    for table in tables:
        if not table.is_file():
            raise MissingInputError(
                table, "no such file", "Find the cores first: blurryscope cores"
            )
    return [stamp(folder, "stitch"), stamp(folder, "cores"), *map(sha256_of_file, tables)]


def _unfit(core: TissueCore) -> str | None:
    if core.status is CoreStatus.MISSING:
        return "no tissue at this place of the slide"
    if core.status is CoreStatus.UNSURE:
        return "hardly any tissue: perhaps a faint core, perhaps dirt"
    return None


def _read_rgb(path: Path) -> Rgb:
    remedy = "Find the cores again: blurryscope cores"
    if not path.is_file():
        raise MissingInputError(path, "no such picture", remedy)
    encoded = np.fromfile(path, np.uint8)  # not cv2.imread: it cannot open all Windows paths
    bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(path, "is not a picture", remedy)
    return np.asarray(cv2.cvtColor(np.asarray(bgr), cv2.COLOR_BGR2RGB), np.uint8)
