"""From films to a report: stitch, cores, score, report. Each step is resumed, none done twice."""

from collections.abc import Sequence
from pathlib import Path

from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.pipeline.cores import GivenMap, cores, read_map
from blurryscope.pipeline.finishing import finish
from blurryscope.pipeline.scoring import load_scorer, score
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import prepare, repeat_folders
from blurryscope.pipeline.stitching import check_film, stitch


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
    given = read_map(map_path, slide, settings)
    for video in videos:
        check_film(video)
    inputs = _checksums(videos, given)
    prepare(out, videos)
    folders = repeat_folders(out, len(videos))
    for number, (folder, video) in enumerate(zip(folders, videos, strict=True), start=1):
        stitch(video, folder, settings=settings, progress=_of_several(progress, number, videos))
    settings = cores(folders, given, settings=settings, progress=progress)
    name = slide or (given.content.slide if given else None) or out.resolve().name
    score(folders, out, slide=name, classifier=classifier, settings=settings, progress=progress)
    return finish(out, inputs, classifier, settings, progress)


def _checksums(videos: Sequence[Path], given: GivenMap | None) -> dict[str, str]:
    """Checksums by file name; equal names get their place in the list of all files.

    One film given twice is an `InputError`: counted as two repeats it would look twice as sure.
    """
    seen: dict[str, Path] = {}
    for video in videos:
        checksum = sha256_of_file(video)
        if checksum in seen:
            raise InputError(
                video, f"is the same film as {seen[checksum]}", "Give each repeat its own film"
            )
        seen[checksum] = video
    told = [(path.name, checksum) for checksum, path in seen.items()]
    told += [] if given is None else [(given.path.name, given.sha256)]
    sums: dict[str, str] = {}
    for number, (name, checksum) in enumerate(told, start=1):
        sums[name if name not in sums else f"{number}: {name}"] = checksum
    return sums


def _of_several(progress: Progress, number: int, videos: Sequence[Path]) -> Progress:
    """Say which film the work is on, where there are several."""
    if len(videos) == 1:
        return progress

    def told(stage: str, fraction: float) -> None:
        progress(f"{stage} ({number}/{len(videos)})", fraction)

    return told
