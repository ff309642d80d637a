"""One film into its folder: the mosaic, how well it came out, and the layers that were asked for."""

from pathlib import Path

from blurryscope.artifacts.recording import Recording
from blurryscope.basics.progress import Progress
from blurryscope.pipeline.settings import RunSettings
from blurryscope.report.scan_quality_picture import draw_scan_quality
from blurryscope.stitch.film import stitch_film
from blurryscope.stitch.scan_quality import judge_scan


def stitch_and_judge(
    video: Path, out: Path, *, recording: Recording, settings: RunSettings, progress: Progress
) -> None:
    """Stitch a film, tell what to scan again, and draw the technician's page."""
    stitch_film(
        video,
        out,
        recording=recording,
        settings=settings.stitch,
        takes_damaged=settings.takes_damaged,
        progress=progress,
    )
    judge_scan(out)
    draw_scan_quality(out)
