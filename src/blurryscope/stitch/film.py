"""A film in, a slide's folder out: the mosaic, where each frame lay, and what was measured."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from blurryscope.artifacts.frame_places import write_frame_places
from blurryscope.artifacts.recording import Recording, write_recording
from blurryscope.artifacts.video import DecodedFrame, Frame, Video
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.stitch.compose import write_mosaic
from blurryscope.stitch.quality import measured
from blurryscope.stitch.stitcher import Stitched, Stitcher, StitchSettings, frame_places

PAPER_SPEED_UM_PER_S = 5000.0
"""Speed of the stage in the paper; assumed where nothing else is known, and said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Size of a mosaic pixel, and where that is known from."""

    pixel_size_um: float
    source: str


def stitch_film(
    video: Path,
    out: Path,
    *,
    recording: Recording,
    settings: StitchSettings | None = None,
    takes_damaged: bool = False,
    progress: Progress = silent,
) -> Stitched:
    """Stitch one film into `out`: `mosaic.ome.zarr`, `frames.csv`, `recording.json`, `stitch.json`.

    `stitch.json` is written last, so that it says that all the rest is there.

    Parameters
    ----------
    recording
        What is known of the scan. Its pixel size, if given, is kept; else the pixel size follows
        from the speed of the stage.
    takes_damaged
        Whether to stitch what is there of a film that breaks off.
    """
    stitcher = Stitcher(video, settings)
    for frame, fraction in _watched(video, takes_damaged):
        stitcher.push(frame)
        progress("look at the motion", fraction)
    stitched = stitcher.finish(
        lambda: _reported(video, takes_damaged, progress, "match the frames")
    )
    scale = scale_of(stitched, recording)
    write_mosaic(
        stitched.layable(),
        _reported(video, takes_damaged, progress, "lay the mosaic"),
        out / "mosaic.ome.zarr",
        scale.pixel_size_um,
    )
    write_frame_places(out / "frames.csv", frame_places(stitched))
    known = replace(recording, pixel_size_um=round(scale.pixel_size_um, 5))
    write_recording(out / "recording.json", known)
    facts = measured(stitched, scale.pixel_size_um, scale.source)
    write_text_whole(out / "stitch.json", json.dumps(facts, indent=2) + "\n")
    return stitched


def scale_of(stitched: Stitched, recording: Recording) -> Scale:
    """Find the pixel size: told, or from the speed of the stage and the motion seen."""
    if recording.pixel_size_um is not None:
        return Scale(pixel_size_um=recording.pixel_size_um, source="given")
    speed, source = recording.speed_um_per_s, "speed of the stage as recorded"
    if speed is None:
        speed, source = PAPER_SPEED_UM_PER_S, "speed of the stage assumed as in the paper"
    return Scale(pixel_size_um=speed / stitched.speed_px_per_s, source=source)


def _watched(video: Path, takes_damaged: bool) -> Iterator[tuple[DecodedFrame, float]]:
    with Video(video) as film:
        count = max(film.info.frame_count, 1)
        for frame in film:
            yield frame, min((frame.index + 1) / count, 1.0)
        if film.damage is not None and not takes_damaged:
            raise InputError(
                video,
                f"the film is damaged or cut off ({film.damage})",
                "Repeat the scan, or stitch what is there with --damaged",
            )


def _reported(video: Path, takes_damaged: bool, progress: Progress, stage: str) -> Iterator[Frame]:
    for frame, fraction in _watched(video, takes_damaged):
        progress(stage, fraction)
        yield frame
