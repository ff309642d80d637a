"""One film into its folder: the mosaic, how well it came out, and the layers asked for."""

import shutil
from pathlib import Path

from blurryscope.artifacts.recording import Recording
from blurryscope.basics.progress import Progress, silent
from blurryscope.pipeline.settings import RunSettings
from blurryscope.report.scan_quality_picture import draw_scan_quality
from blurryscope.stitch.abutted import ABUTTED, abut_film
from blurryscope.stitch.deblur import DEBLURRED, deblur_slide
from blurryscope.stitch.film import stitch_film
from blurryscope.stitch.scan_quality import judge_scan


def stitch_and_judge(
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
    judge(out)


def judge(out: Path) -> None:
    """Tell what to scan again, and draw the technician's page, of a stitched folder."""
    judge_scan(out)
    draw_scan_quality(out)


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
