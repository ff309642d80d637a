"""From films to a report: stitch, cores, score, report. Each step is resumed, none done twice."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from blurryscope.artifacts.provenance import (
    Provenance,
    current_versions,
    sha256_of_file,
    write_provenance,
)
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.predict import Classifier
from blurryscope.pipeline.cores import cores, read_map
from blurryscope.pipeline.scoring import load_scorer, score
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import plain, prepare, repeat_folders
from blurryscope.pipeline.stitching import check_film, stitch
from blurryscope.report import write_report


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
    classifier = load_scorer(settings.model)
    slide_map = read_map(map_path, slide, settings)
    for video in videos:
        check_film(video)
    _refuse_twice_given(videos)
    prepare(out, videos)
    folders = repeat_folders(out, len(videos))
    for number, (folder, video) in enumerate(zip(folders, videos, strict=True), start=1):
        stitch(video, folder, settings=settings, progress=_of_several(progress, number, videos))
    settings = cores(folders, slide_map, map_path=map_path, settings=settings, progress=progress)
    name = slide or (slide_map.slide if slide_map else None) or out.resolve().name
    score(folders, out, slide=name, classifier=classifier, settings=settings, progress=progress)
    inputs = _checksums([*videos, *([map_path] if map_path else [])])
    return finish(out, inputs, classifier, settings, progress)


def finish(
    out: Path,
    inputs: Mapping[str, str],
    classifier: Classifier,
    settings: RunSettings,
    progress: Progress = silent,
) -> Path:
    """Write the provenance and, last of all, the report."""
    told = {key: plain(value) for key, value in asdict(settings).items()}
    told |= {
        "model": classifier.name,
        "threshold": classifier.decision_rule(settings.threshold).threshold,
    }
    if classifier.limits is not None:
        single, *fused = classifier.limits.rules.by_count
        told["limits"] = (
            asdict(single)
            | {f"of {count} scans": asdict(rule) for count, rule in enumerate(fused, start=2)}
            | {"fitted_on": classifier.limits.fitted_on}
        )
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


def _refuse_twice_given(videos: Sequence[Path]) -> None:
    """One film counted as two repeats would look twice as sure."""
    seen: dict[str, Path] = {}
    for video in videos:
        checksum = sha256_of_file(video)
        if checksum in seen:
            raise InputError(
                video, f"is the same film as {seen[checksum]}", "Give each repeat its own film"
            )
        seen[checksum] = video


def _checksums(paths: Sequence[Path]) -> dict[str, str]:
    """Checksums by file name; equal names get their folder's place in the list."""
    sums: dict[str, str] = {}
    for number, path in enumerate(paths, start=1):
        name = path.name if path.name not in sums else f"{number}: {path.name}"
        sums[name] = sha256_of_file(path)
    return sums


def _of_several(progress: Progress, number: int, videos: Sequence[Path]) -> Progress:
    """Say which film the work is on, where there are several."""
    if len(videos) == 1:
        return progress

    def told(stage: str, fraction: float) -> None:
        progress(f"{stage} ({number}/{len(videos)})", fraction)

    return told
