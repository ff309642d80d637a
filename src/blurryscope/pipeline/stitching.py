"""One film into its folder: the mosaic, how well it came out, and the layers asked for."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.artifacts.recording import Recording, read_recording
from blurryscope.artifacts.video import Video
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import (
    MOSAIC,
    STITCH_FILES,
    claim,
    fingerprint_of,
    is_done,
    prepare,
    redo,
)
from blurryscope.report.scan_quality_picture import draw_scan_quality
from blurryscope.stitch.abutted import ABUTTED, abut_film
from blurryscope.stitch.deblur import DEBLURRED, deblur_slide, unknown_exposure
from blurryscope.stitch.film import stitch_film
from blurryscope.stitch.scan_quality import judge_scan


def stitch_into(
    video: Path, out: Path, *, settings: RunSettings, progress: Progress, replaces: bool = True
) -> None:
    """Stitch one film into a slide's folder of its own.

    With `replaces` off, a mosaic that other settings would make otherwise is an `InputError`.
    """
    check_film(video)
    prepare(out, [video])
    if not replaces and (out / MOSAIC).exists():
        fingerprint = _stitch_fingerprint(video, *_told_beside(video, settings))
        if not is_done(out, "stitch", fingerprint, STITCH_FILES):
            raise InputError(
                out,
                "was stitched with other options, or by another version",
                "Give the options as then (--pixel-size-um, --mirrored, --damaged), or stitch it "
                "anew first, without layers",
            )
    stitch(video, out, settings=settings, progress=progress)


def stitch(video: Path, out: Path, *, settings: RunSettings, progress: Progress = silent) -> None:
    """Stitch one film into its folder, which `prepare` has looked at."""
    recording, settings = _told_beside(video, settings)
    fingerprint = _stitch_fingerprint(video, recording, settings)
    if is_done(out, "stitch", fingerprint, STITCH_FILES):
        return

    def work() -> None:
        claim(out, video)
        _stitch_and_judge(video, out, recording=recording, settings=settings, progress=progress)

    redo(out, "stitch", fingerprint, work)


def take_over_stitched(video: Path, out: Path, *, settings: RunSettings) -> None:
    """Take what was stitched while the film was made as what `stitch` would have made of it."""
    recording, settings = _told_beside(video, settings)

    def work() -> None:
        claim(out, video)
        _judge(out)

    redo(out, "stitch", _stitch_fingerprint(video, recording, settings), work)


def check_film(video: Path) -> None:
    """Open a film to see that it is one, before anything else is done."""
    with Video(video) as film:
        for _ in film:
            return
    raise InputError(video, "holds no frame that can be decoded", "Give the film of a whole scan")


def refuse_unknown_blur(video: Path, out: Path, exposure_s: float | None) -> None:
    """Raise if nothing says how long frames were exposed, before the film is stitched for it."""
    check_film(video)
    if exposure_s is None:
        known = [video.with_name("recording.json"), out / "recording.json"]
        told = [read_recording(path).exposure_s for path in known if path.is_file()]
        if not any(told):
            raise unknown_exposure(video)


def add_layers(
    video: Path,
    out: Path,
    *,
    deblurs: bool,
    abuts: bool,
    exposure_s: float | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Write the pictures beside the mosaic that were asked for; returns their folders."""
    written = []
    if deblurs:
        written.append(deblur_slide(out, exposure_s=exposure_s, progress=progress))
    if abuts:
        written.append(abut_film(video, out, progress=progress))
    return written


def _stitch_and_judge(
    video: Path, out: Path, *, recording: Recording, settings: RunSettings, progress: Progress
) -> None:
    """Stitch a film, tell what to scan again, and draw the technician's page.

    Layers of an earlier mosaic are removed: they would show another one than lies beside them.
    """
    stitch_film(
        video,
        out,
        recording=recording,
        settings=settings.stitch,
        takes_damaged=settings.takes_damaged,
        progress=progress,
    )
    for layer in (DEBLURRED, ABUTTED):
        shutil.rmtree(out / layer, ignore_errors=True)
    _judge(out)


def _judge(out: Path) -> None:
    """Tell what to scan again, and draw the technician's page, of a stitched folder."""
    judge_scan(out)
    draw_scan_quality(out)


def _stitch_fingerprint(video: Path, recording: Recording, settings: RunSettings) -> str:
    return fingerprint_of(
        sha256_of_file(video), asdict(recording), asdict(settings.stitch), settings.takes_damaged
    )


def _told_beside(video: Path, settings: RunSettings) -> tuple[Recording, RunSettings]:
    """What is known of a scan, and the settings with it.

    The film tells its pixel size better than a record does, as long as the speed is known.
    """
    beside = video.with_name("recording.json")
    known = read_recording(beside) if beside.is_file() else Recording()
    recording = replace(
        known,
        pixel_size_um=settings.pixel_size_um
        or (known.pixel_size_um if known.speed_um_per_s is None else None),
        is_mirrored=settings.is_mirrored or known.is_mirrored,
    )
    return recording, settings.for_film(known)
