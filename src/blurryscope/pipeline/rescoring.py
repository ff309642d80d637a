"""Score again: stacks from files, or the cores of a slide's folder."""

from collections.abc import Sequence
from pathlib import Path

from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.predictions import read_results, write_predictions
from blurryscope.artifacts.provenance import read_provenance
from blurryscope.artifacts.samples import Sample, read_stack, sample_of_file, stack_files
from blurryscope.artifacts.tissue_cores import read_core_grid
from blurryscope.artifacts.whole import refuse_unwritable_file
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.predict import Classifier
from blurryscope.pipeline.corrections import refuse_uncarried_corrections, take_in_hand_edits
from blurryscope.pipeline.finishing import finish
from blurryscope.pipeline.scoring import load_scorer, score, score_cores
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import MOSAIC, scanned_folders


def score_inputs(
    inputs: Sequence[Path],
    out: Path | None,
    model: str,
    *,
    is_bgr: bool | None,
    shows_why: bool = True,
    progress: Progress = silent,
) -> Path:
    """Score a slide's folder, or stacks named `slide_repeat_core[_score].tif`, or their folder.

    `is_bgr` tells whether stacks store blue first; None where nobody told.
    """
    classifier = load_scorer(model)
    if len(inputs) == 1 and is_slide_folder(inputs[0]):
        if is_bgr:
            raise InputError("--bgr", "is for stacks; a slide's folder holds none", "Leave it out")
        settings = RunSettings(model=classifier.name, shows_why=shows_why)
        return _score_folder(inputs[0], out, classifier, settings, progress)
    stacks = [file for path in inputs for file in _stacks_of(path)]
    samples = [sample_of_file(path) for path in stacks]
    _refuse_twice(samples)
    table = out or _usual_table()
    refuse_unwritable_file(table)
    for path in stacks:
        # One that cannot be read, or shows another order, is refused before others cost any time.
        read_stack(path, bgr=is_bgr)
    predictions = []
    for number, sample in enumerate(samples, start=1):
        predictions.append(classifier.score(sample, read_stack(sample.path, bgr=bool(is_bgr))))
        progress("score the stacks", number / len(samples))
    write_predictions(table, predictions)
    return table


def _usual_table() -> Path:
    """Where scores of stacks go if nobody says; never over those of a slide."""
    table = Path("scores.csv")
    if table.is_file() and scanned_folders(Path()):
        raise InputError(
            table.resolve(), "holds the scores of the slide in this folder", "Give another --out"
        )
    return table


def is_slide_folder(path: Path) -> bool:
    """Whether to score a slide; a folder that holds stacks, and nothing stitched, is none."""
    return path.is_dir() and (bool(scanned_folders(path)) or not stack_files(path))


def _stacks_of(path: Path) -> list[Path]:
    files = stack_files(path)
    if not files or (path.is_dir() and scanned_folders(path)):
        raise InputError(path, "holds no stacks (.tif)", "Score a slide's folder by itself")
    return files


def _refuse_twice(samples: Sequence[Sample]) -> None:
    """Two stacks of one scan of one core could not be told apart in the table."""
    seen: dict[tuple[str, int, CoreName], Path] = {}
    for sample in samples:
        scan = (sample.slide, sample.repeat, sample.core)
        if scan in seen:
            raise InputError(
                sample.path,
                f"is of the same slide, repeat and core as {seen[scan]}",
                "Give each once, or rename one",
            )
        seen[scan] = sample.path


def _score_folder(
    slide_dir: Path,
    out: Path | None,
    classifier: Classifier,
    settings: RunSettings,
    progress: Progress,
) -> Path:
    """Score a slide's folder again; its tables are replaced unless another one is named."""
    if out is not None:
        refuse_unwritable_file(out)
    folders = scanned_folders(slide_dir)
    if not folders:
        raise InputError(
            slide_dir,
            "holds neither a stitched slide nor stacks (.tif)",
            "Stitch a film: blurryscope stitch",
        )
    for folder in folders:
        take_in_hand_edits(folder, Mosaic(folder / MOSAIC))
    refuse_uncarried_corrections(folders)
    name = _name_of(slide_dir, folders)
    if out is None:
        score(
            folders, slide_dir, slide=name, classifier=classifier, settings=settings,
            progress=progress,
        )  # fmt: skip
        _tell_again(slide_dir, classifier, settings)
        return slide_dir / "scores.csv"
    predictions = [
        prediction
        for number, folder in enumerate(folders, start=1)
        for prediction in score_cores(folder, name, number, classifier, settings, progress=progress)
    ]
    write_predictions(out, predictions)
    return out


def _tell_again(slide_dir: Path, classifier: Classifier, settings: RunSettings) -> None:
    """Provenance and report of a slide that has them, so that they name the model that scored."""
    stored = slide_dir / "provenance.json"
    if stored.is_file():
        finish(slide_dir, read_provenance(stored).inputs_sha256, classifier, settings)


def _name_of(slide_dir: Path, folders: Sequence[Path]) -> str:
    """As the map calls it that named its cores; else as it was scored before, or as the folder."""
    grid = folders[0] / "cores.json"
    by_map = read_core_grid(grid).slide if grid.is_file() else None
    if by_map is not None:
        return by_map
    earlier = slide_dir / "results.csv"
    results = read_results(earlier) if earlier.is_file() else []
    return results[0].slide if results else slide_dir.resolve().name
