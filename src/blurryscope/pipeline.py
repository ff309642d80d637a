"""From films to a report: stitch, cores, score, report. Each step is resumed, none is done twice.

A finished step leaves a stamp: the checksum of its inputs and settings. The same command run again
skips the steps whose stamp still fits, so that a killed run goes on where it was.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np

from blurryscope import __version__
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.predictions import Prediction, write_predictions, write_results
from blurryscope.artifacts.provenance import (
    Provenance,
    current_versions,
    sha256_of_file,
    write_provenance,
)
from blurryscope.artifacts.recording import Recording, read_recording
from blurryscope.artifacts.samples import Sample, read_stack, sample_of_file
from blurryscope.artifacts.slide_map import SlideMap, read_slide_map
from blurryscope.artifacts.tissue_cores import CoreStatus, TissueCore, read_tissue_cores
from blurryscope.artifacts.video import Video
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.model_file import SHIPPED
from blurryscope.classify.predict import Classifier, load_model, withheld
from blurryscope.dataset.views import make_stack
from blurryscope.evaluate.repeats import FusionRule, fuse_slide
from blurryscope.report import write_report
from blurryscope.stitch.film import stitch_film
from blurryscope.stitch.stitcher import StitchSettings
from blurryscope.tma import TmaSettings, find_cores, open_slide, write_cores

_STAMPS = ".steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Everything that shapes the result of a run."""

    stitch: StitchSettings = field(default_factory=StitchSettings)
    tma: TmaSettings = field(default_factory=TmaSettings)
    model: str = SHIPPED
    """Name of a shipped model, or path of a safetensors file."""
    threshold: float | None = None
    """Confidence below which a score is withheld; the model's own if None."""
    fusion: FusionRule = FusionRule.LOG_AVERAGE
    pixel_size_um: float | None = None
    takes_damaged: bool = False


def run(
    videos: Sequence[Path],
    out: Path,
    *,
    map_path: Path | None = None,
    slide: str | None = None,
    settings: RunSettings | None = None,
    progress: Progress = silent,
) -> Path:
    """Take the films of one slide, its repeats, all the way to the report.

    Parameters
    ----------
    videos
        One film, or several that are repeats of the same slide.
    out
        The slide's folder. With several films each gets `repeat-1`, `repeat-2`, … in it.
    map_path
        The lab's map; without one cores are named by the grid that is seen.

    Returns
    -------
    The path of the report.
    """
    settings = settings or RunSettings()
    classifier = load_model(settings.model)
    slide_map = None if map_path is None else read_slide_map(map_path, slide)
    for video in videos:
        _check_film(video)
    inputs = _checksums([*videos, *([map_path] if map_path else [])])
    folders = repeat_folders(out, len(videos))
    _refuse_foreign(folders, videos, inputs)
    for folder, video in zip(folders, videos, strict=True):
        stitch(video, folder, settings=settings, progress=progress)
    for folder in folders:
        cores(folder, slide_map, map_path=map_path, settings=settings, progress=progress)
    name = slide or (slide_map.slide if slide_map else None) or out.resolve().name
    score(folders, out, slide=name, classifier=classifier, settings=settings, progress=progress)
    return finish(out, inputs, classifier, settings, progress)


def repeat_folders(out: Path, count: int) -> list[Path]:
    """Where each repeat of a slide goes: the slide's folder itself when there is only one."""
    return [out] if count == 1 else [out / f"repeat-{number}" for number in range(1, count + 1)]


def stitch(video: Path, out: Path, *, settings: RunSettings, progress: Progress = silent) -> None:
    """Stitch one film into its folder."""
    recording = _recording_beside(video, settings)
    fingerprint = _fingerprint(
        sha256_of_file(video), asdict(recording), asdict(settings.stitch), settings.takes_damaged
    )

    def work() -> None:
        stitch_film(
            video,
            out,
            recording=recording,
            settings=settings.stitch,
            takes_damaged=settings.takes_damaged,
            progress=progress,
        )

    _once(out, "stitch", fingerprint, work)


def cores(
    folder: Path,
    slide_map: SlideMap | None,
    *,
    map_path: Path | None,
    settings: RunSettings,
    progress: Progress = silent,
) -> None:
    """Find and name the cores of a stitched slide."""
    fingerprint = _fingerprint(
        _stamp(folder, "stitch"),
        None if map_path is None else sha256_of_file(map_path),
        asdict(settings.tma),
    )

    def work() -> None:
        progress("find the cores", 0.0)
        mosaic = Mosaic(folder / "mosaic.ome.zarr")
        found = find_cores(mosaic, slide_map, settings.tma)
        progress("find the cores", 0.5)
        write_cores(found, mosaic, folder)
        progress("find the cores", 1.0)

    _once(folder, "cores", fingerprint, work)


def score(
    folders: Sequence[Path],
    out: Path,
    *,
    slide: str,
    classifier: Classifier,
    settings: RunSettings,
    progress: Progress = silent,
) -> None:
    """Score the cores of all repeats of a slide, fuse them, and write both tables."""
    fingerprint = _fingerprint(
        [_stamp(folder, "cores") for folder in folders],
        slide,
        classifier.sha256,
        settings.threshold,
        settings.fusion,
    )

    def work() -> None:
        predictions: list[Prediction] = []
        for repeat, folder in enumerate(folders, start=1):
            predictions += score_cores(folder, slide, repeat, classifier, settings, progress)
        threshold = (
            classifier.settings.threshold if settings.threshold is None else settings.threshold
        )
        write_predictions(out / "scores.csv", predictions)
        write_results(
            out / "results.csv", fuse_slide(predictions, threshold=threshold, rule=settings.fusion)
        )

    _once(out, "score", fingerprint, work)


def score_cores(
    folder: Path,
    slide: str,
    repeat: int,
    classifier: Classifier,
    settings: RunSettings,
    progress: Progress = silent,
) -> list[Prediction]:
    """Score every place of one repeat; what cannot be scored is withheld with the reason."""
    pixel_size_um = Mosaic(folder / "mosaic.ome.zarr").pixel_size_um
    places = read_tissue_cores(folder / "cores.csv")
    predictions = []
    for number, core in enumerate(places, start=1):
        path = folder / "cores" / f"{core.name}.png"
        sample = Sample(
            slide=slide, case="", core=core.name, repeat=repeat, score=core.label, path=path
        )
        unfit = _unfit(core)
        if unfit is not None:
            predictions.append(withheld(sample, unfit))
        else:
            stack = make_stack(_read_rgb(path), pixel_size_um=pixel_size_um)
            predictions.append(classifier.score(sample, stack, settings.threshold))
        progress("score the cores", number / len(places))
    return predictions


def find_and_write_cores(
    source: Path,
    out: Path | None,
    map_path: Path | None,
    slide: str | None,
    settings: RunSettings,
) -> Path:
    """Find the cores of a stitched folder or of a picture file; returns the folder written to."""
    slide_map = None if map_path is None else read_slide_map(map_path, slide)
    is_folder = (source / "mosaic.ome.zarr").is_dir()
    picture = open_slide(
        source / "mosaic.ome.zarr" if is_folder else source, settings.pixel_size_um
    )
    target = out or (source if is_folder else source.with_suffix(""))
    write_cores(find_cores(picture, slide_map, settings.tma), picture, target)
    return target


def score_inputs(
    inputs: Sequence[Path],
    out: Path | None,
    model: str,
    *,
    is_bgr: bool,
    progress: Progress = silent,
) -> Path:
    """Score one slide's folder, or stacks named `slide_repeat_core[_score].tif`."""
    classifier = load_model(model)
    if len(inputs) == 1 and inputs[0].is_dir():
        folder = inputs[0]
        repeats = sorted(folder.glob("repeat-*")) or [folder]
        settings = RunSettings(model=model)
        name = folder.resolve().name
        predictions = [
            prediction
            for number, each in enumerate(repeats, start=1)
            for prediction in score_cores(each, name, number, classifier, settings, progress)
        ]
        table = out or folder / "scores.csv"
    else:
        predictions = []
        for number, path in enumerate(inputs, start=1):
            stack = read_stack(path, bgr=is_bgr)
            predictions.append(classifier.score(sample_of_file(path), stack))
            progress("score the stacks", number / len(inputs))
        table = out or Path("scores.csv")
    write_predictions(table, predictions)
    return table


def finish(
    out: Path,
    inputs: Mapping[str, str],
    classifier: Classifier,
    settings: RunSettings,
    progress: Progress = silent,
) -> Path:
    """Write the provenance and, last of all, the report."""
    told = {key: _plain(value) for key, value in asdict(settings).items()}
    told["model"] = classifier.name
    write_provenance(
        out / "provenance.json",
        Provenance(
            settings=told,
            inputs_sha256=inputs,
            model_sha256=classifier.sha256,
            versions=current_versions(),
        ),
    )
    progress("write the report", 0.0)
    report = write_report(out)
    progress("write the report", 1.0)
    return report


def _check_film(video: Path) -> None:
    """Open a film to see that it is one, before anything else is done."""
    with Video(video) as film:
        for _ in film:
            return
    raise InputError(video, "holds no frame that can be decoded", "Give the film of a whole scan")


def _recording_beside(video: Path, settings: RunSettings) -> Recording:
    beside = video.with_name("recording.json")
    known = read_recording(beside) if beside.is_file() else Recording()
    if settings.pixel_size_um is None:
        # A rig's nominal pixel size is a guess; the speed and the film give a better one.
        return Recording(**{**asdict(known), "pixel_size_um": None})
    return Recording(**{**asdict(known), "pixel_size_um": settings.pixel_size_um})


def _checksums(paths: Sequence[Path]) -> dict[str, str]:
    """Checksums by file name; equal names get their folder's place in the list."""
    sums: dict[str, str] = {}
    for number, path in enumerate(paths, start=1):
        name = path.name if path.name not in sums else f"{number}: {path.name}"
        sums[name] = sha256_of_file(path)
    return sums


def _refuse_foreign(
    folders: Sequence[Path], videos: Sequence[Path], inputs: Mapping[str, str]
) -> None:
    """Never write one scan's results over another's."""
    for folder, video in zip(folders, videos, strict=True):
        marked = folder / _STAMPS / "film"
        if marked.is_file() and marked.read_text(encoding="utf-8") not in inputs.values():
            raise InputError(
                folder,
                f"already holds the results of another film than {video.name}",
                "Choose another --out, or move the old results away",
            )
    for folder, video in zip(folders, videos, strict=True):
        write_text_whole(folder / _STAMPS / "film", sha256_of_file(video))


def _unfit(core: TissueCore) -> str | None:
    if core.status is CoreStatus.MISSING:
        return "no tissue at this place of the slide"
    if core.status is CoreStatus.UNSURE:
        return "hardly any tissue: perhaps a faint core, perhaps dirt"
    return None


def _read_rgb(path: Path) -> Rgb:
    encoded = np.fromfile(path, np.uint8)  # not cv2.imread: it cannot open all Windows paths
    bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(path, "is not a picture", "Find the cores again: blurryscope cores")
    return np.asarray(cv2.cvtColor(np.asarray(bgr), cv2.COLOR_BGR2RGB), np.uint8)


def _once(folder: Path, step: str, fingerprint: str, work: Callable[[], None]) -> None:
    """Do a step unless its stamp says that it was done from the same inputs."""
    if _stamp(folder, step) == fingerprint:
        return
    (folder / _STAMPS / step).unlink(missing_ok=True)
    work()
    write_text_whole(folder / _STAMPS / step, fingerprint)


def _stamp(folder: Path, step: str) -> str | None:
    path = folder / _STAMPS / step
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _fingerprint(*parts: object) -> str:
    told = json.dumps([__version__, *map(_plain, parts)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _plain(value: object) -> object:
    """Reduce settings to what JSON can hold, paths to their names."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, Path):
        return value.name
    return value
