"""From films to a report: stitch, cores, score, report. Each step is resumed, none done twice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from blurryscope.artifacts.edit_log import Author, read_edit_log
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.predictions import read_results, write_predictions
from blurryscope.artifacts.provenance import (
    Provenance,
    current_versions,
    sha256_of_file,
    write_provenance,
)
from blurryscope.artifacts.recording import Recording, read_recording
from blurryscope.artifacts.samples import read_stack, sample_of_file
from blurryscope.artifacts.slide_map import (
    MapReading,
    SlideMap,
    layout_or_none,
    read_slide_map,
)
from blurryscope.artifacts.video import Video
from blurryscope.basics.clock import SystemClock
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.predict import Classifier, load_model
from blurryscope.pipeline.answers import named_as_answered, remember, remembered
from blurryscope.pipeline.corrections import (
    CORRECTED,
    corrections_print,
    refuse_uncarried_corrections,
    take_in_hand_edits,
    with_kept_edits,
)
from blurryscope.pipeline.naming import name_repeat, name_scan, read_named_scan
from blurryscope.pipeline.scoring import score, score_cores
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import (
    CORE_FILES,
    MOSAIC,
    STITCH_FILES,
    claim,
    fingerprint_of,
    is_done,
    plain,
    prepare,
    redo,
    repeat_folders,
    scanned_folders,
    stamp,
)
from blurryscope.pipeline.stitching import judge, stitch_and_judge
from blurryscope.report import write_report
from blurryscope.tma import (
    Dearrayed,
    SlidePicture,
    TmaSettings,
    open_slide,
    write_cores,
)
from blurryscope.tma.array_folder import write_array
from blurryscope.tma.recognise import NamedScan


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
    slide_map = read_map(map_path, slide, settings)
    for video in videos:
        _check_film(video)
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


def stitch_into(video: Path, out: Path, *, settings: RunSettings, progress: Progress) -> None:
    """Stitch one film into a slide's folder of its own."""
    _check_film(video)
    prepare(out, [video])
    stitch(video, out, settings=settings, progress=progress)


def stitch(video: Path, out: Path, *, settings: RunSettings, progress: Progress = silent) -> None:
    """Stitch one film into its folder, which `prepare` has looked at."""
    recording = _recording_beside(video, settings)
    settings = settings.for_film(recording)
    fingerprint = _stitch_fingerprint(video, recording, settings)
    if is_done(out, "stitch", fingerprint, STITCH_FILES):
        return

    def work() -> None:
        claim(out, video)
        stitch_and_judge(video, out, recording=recording, settings=settings, progress=progress)

    redo(out, "stitch", fingerprint, work)


def take_over_stitched(video: Path, out: Path, *, settings: RunSettings) -> None:
    """Take what was stitched while the film was made as what `stitch` would have made of it."""
    recording = _recording_beside(video, settings)
    settings = settings.for_film(recording)

    def work() -> None:
        claim(out, video)
        judge(out)

    redo(out, "stitch", _stitch_fingerprint(video, recording, settings), work)


def _stitch_fingerprint(video: Path, recording: Recording, settings: RunSettings) -> str:
    return fingerprint_of(
        sha256_of_file(video), asdict(recording), asdict(settings.stitch), settings.takes_damaged
    )


def cores(
    folders: Sequence[Path],
    slide_map: SlideMap | None,
    *,
    map_path: Path | None,
    settings: RunSettings,
    progress: Progress = silent,
) -> RunSettings:
    """Find and name the cores of a slide's repeats; nothing is written unless all can be named.

    What a person answered or corrected before holds. Returns the settings with those answers.
    """
    mosaics = [Mosaic(folder / MOSAIC) for folder in folders]
    told, size_px = settings, mosaics[0].size_px
    for folder, mosaic in zip(folders, mosaics, strict=True):
        take_in_hand_edits(folder, mosaic)
    known = remembered(folders[0], settings, slide_map, size_px)
    settings = known.settings
    prints = _core_fingerprints(folders, slide_map, map_path, settings)
    found: dict[int, Dearrayed] = {}
    first: NamedScan | None = None
    for at, (folder, mosaic) in enumerate(zip(folders, mosaics, strict=True)):
        progress("find the cores", at / len(folders))
        if is_done(folder, "cores", prints[at], CORE_FILES):
            first = first or read_named_scan(folder, mosaic)
        elif first is None:
            where = map_path or folder
            named, settings = named_as_answered(_namer(mosaic, slide_map, where), known)
            prints = _core_fingerprints(folders, slide_map, map_path, settings)
            found[at] = with_kept_edits(named, mosaic, folder)
            first = NamedScan(picture=mosaic, cores=found[at].cores, grid=found[at].grid)
        else:
            tma = settings.tma_of_repeat(at + 1)
            named = name_repeat(mosaic, first, slide_map, tma, folder)
            found[at] = with_kept_edits(named, mosaic, folder)
    for at, dearrayed in found.items():
        redo(
            folders[at],
            "cores",
            prints[at],
            _writing(dearrayed, mosaics[at], folders[at], slide_map, settings),
        )
        redo(folders[at], CORRECTED, corrections_print(folders[0]), lambda: None)
    remember(folders[0], told, settings, slide_map, size_px, Author(at=SystemClock().utc_now()))
    progress("find the cores", 1.0)
    return settings


def _namer(
    picture: SlidePicture, slide_map: SlideMap | None, where: Path
) -> Callable[[TmaSettings], Dearrayed]:
    return lambda tma: name_scan(picture, slide_map, tma, where)


def _writing(
    found: Dearrayed,
    picture: SlidePicture,
    folder: Path,
    slide_map: SlideMap | None,
    settings: RunSettings,
) -> Callable[[], None]:
    def work() -> None:
        layout = layout_or_none(settings.tma.layout, slide_map)
        write_cores(found, picture, folder)
        write_array(found, picture, folder, slide_map=slide_map, layout=layout)

    return work


def find_and_write_cores(
    source: Path,
    out: Path | None,
    map_path: Path | None,
    slide: str | None,
    settings: RunSettings,
    progress: Progress = silent,
) -> list[Path]:
    """Find the cores of a slide's folder or of a picture; returns the folders written to."""
    slide_map = read_map(map_path, slide, settings)
    folders = scanned_folders(source)
    if folders and out is None:
        cores(folders, slide_map, map_path=map_path, settings=settings, progress=progress)
        return folders
    picture = open_slide(source, settings.pixel_size_um)
    target = out or source.with_suffix("")
    take_in_hand_edits(target, picture)
    known = remembered(target, settings, slide_map, picture.size_px)
    namer = _namer(picture, slide_map, map_path or source)
    named, used = named_as_answered(namer, known)
    found = with_kept_edits(named, picture, target)
    redo(
        target,
        "cores",
        fingerprint_of(asdict(used)),
        _writing(found, picture, target, slide_map, used),
    )
    author = Author(at=SystemClock().utc_now())
    remember(target, settings, used, slide_map, picture.size_px, author)
    return [target]


def read_map(map_path: Path | None, slide: str | None, settings: RunSettings) -> SlideMap | None:
    """Read the lab's map of a slide as the settings say; None where none is given."""
    layout = settings.tma.layout
    how = MapReading(
        consensus=settings.consensus,
        is_column_first=layout is not None and layout.is_column_first,
    )
    return None if map_path is None else read_slide_map(map_path, slide, how)


def score_inputs(
    inputs: Sequence[Path],
    out: Path | None,
    model: str,
    *,
    is_bgr: bool,
    shows_why: bool = True,
    progress: Progress = silent,
) -> Path:
    """Score one slide's folder, or stacks named `slide_repeat_core[_score].tif`."""
    classifier = load_model(model)
    if len(inputs) == 1 and inputs[0].is_dir():
        settings = RunSettings(model=classifier.name, shows_why=shows_why)
        return _score_folder(inputs[0], out, classifier, settings, progress)
    predictions = []
    for number, path in enumerate(inputs, start=1):
        sample = sample_of_file(path)
        predictions.append(classifier.score(sample, read_stack(path, bgr=is_bgr)))
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
    told = {key: plain(value) for key, value in asdict(settings).items()}
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


def _score_folder(
    slide_dir: Path,
    out: Path | None,
    classifier: Classifier,
    settings: RunSettings,
    progress: Progress,
) -> Path:
    """Score a slide's folder again; its tables are replaced unless another one is named."""
    folders = scanned_folders(slide_dir)
    if not folders:
        raise InputError(slide_dir, "holds no stitched slide", "Stitch a film: blurryscope stitch")
    for folder in folders:
        take_in_hand_edits(folder, Mosaic(folder / MOSAIC))
    refuse_uncarried_corrections(folders)
    name = _name_of(slide_dir)
    if out is None:
        score(
            folders, slide_dir, slide=name, classifier=classifier, settings=settings,
            progress=progress,
        )  # fmt: skip
        return slide_dir / "scores.csv"
    predictions = [
        prediction
        for number, folder in enumerate(folders, start=1)
        for prediction in score_cores(folder, name, number, classifier, settings, progress=progress)
    ]
    write_predictions(out, predictions)
    return out


def _name_of(slide_dir: Path) -> str:
    earlier = slide_dir / "results.csv"
    results = read_results(earlier) if earlier.is_file() else []
    return results[0].slide if results else slide_dir.resolve().name


def _core_fingerprints(
    folders: Sequence[Path],
    slide_map: SlideMap | None,
    map_path: Path | None,
    settings: RunSettings,
) -> list[str]:
    """Of each repeat; all lean on the first one's mosaic."""
    told_map = (
        None
        if map_path is None
        else [sha256_of_file(map_path), slide_map and slide_map.slide, settings.consensus]
    )
    first = stamp(folders[0], "stitch")
    return [
        fingerprint_of(
            stamp(folder, "stitch"),
            told_map,
            asdict(settings.tma if at == 0 else settings.tma_of_repeat(at + 1)),
            read_edit_log(folder).unlock_count,
            None if at == 0 else [first, asdict(settings.tma), corrections_print(folders[0])],
        )
        for at, folder in enumerate(folders)
    ]


def _check_film(video: Path) -> None:
    """Open a film to see that it is one, before anything else is done."""
    with Video(video) as film:
        for _ in film:
            return
    raise InputError(video, "holds no frame that can be decoded", "Give the film of a whole scan")


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


def _recording_beside(video: Path, settings: RunSettings) -> Recording:
    """What is known of a scan; a rig's nominal pixel size is a guess that the film does better."""
    beside = video.with_name("recording.json")
    known = read_recording(beside) if beside.is_file() else Recording()
    return replace(
        known,
        pixel_size_um=settings.pixel_size_um,
        is_mirrored=settings.is_mirrored or known.is_mirrored,
    )


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
