"""A film in, a slide's folder out: the mosaic, where each frame lay, and what was measured."""

import json
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from blurryscope.artifacts.frame_places import write_frame_places
from blurryscope.artifacts.recording import Recording, write_recording
from blurryscope.artifacts.video import DecodedFrame, Frame, Video
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.ahead import ahead
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.stitch.laying import Ground, Laying, LayingProcess, LayingThread
from blurryscope.stitch.placed_lane import Canvas, PlacedLane, canvas_of
from blurryscope.stitch.quality import ScaleSource, measured
from blurryscope.stitch.stitched import Stitched, frame_places
from blurryscope.stitch.stitcher import Stitcher, StitchSettings

PAPER_SPEED_UM_PER_S = 5000.0
"""Speed of the stage in the paper; assumed where nothing else is known, and said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Size of a mosaic pixel, and where that is known from."""

    pixel_size_um: float
    source: ScaleSource


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

    The film is read once, a long one a second time meanwhile by the process that lays its lanes.
    `stitch.json` is written last, so that it says that all the rest is there.

    Parameters
    ----------
    recording
        What is known of the scan. Its pixel size, if given, is kept; else the pixel size follows
        from the speed of the stage.
    takes_damaged
        Whether to stitch what is there of a film that breaks off.
    """
    with (
        Video(video, is_mirrored=bool(recording.is_mirrored), by_one_thread=True) as film,
        SlideStitcher(video, out, recording, settings, _laying_of(film, takes_damaged)) as slide,
    ):
        for frame, fraction in _watched(film, takes_damaged):
            slide.push(frame)
            progress("stitch", fraction)
        stitched = slide.finish()
    progress("stitch", 1.0)  # films tell their length about
    return stitched


class SlideStitcher:
    """Stitches a scan into a slide's folder while it is still filmed.

    Opens in `with`: push all frames in order, then `finish`. Lanes are laid and written beside it
    as soon as they are placed, so that after the last frame little is left to do. Nothing appears
    in the folder unless `finish` ends well.

    Parameters
    ----------
    where
        Name of the film, for messages.
    laying
        Who lays them; a second thread if nobody is named.
    """

    def __init__(
        self,
        where: object,
        out: Path,
        recording: Recording,
        settings: StitchSettings | None = None,
        laying: Laying | None = None,
    ) -> None:
        self._out = out
        self._recording = recording
        laying = laying or LayingThread()
        stitcher = Stitcher(where, settings, laying.film_again)
        self._unopened = stitcher, laying
        self._canvas: Canvas | None = None

    def __enter__(self) -> Self:
        self._stack = ExitStack().__enter__()
        stitcher, laying = self._unopened
        self._stitcher = self._stack.enter_context(stitcher)
        self._laying = self._stack.enter_context(laying)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def push(self, frame: Frame) -> None:
        """Take the next frame."""
        lanes = self._stitcher.push(frame)
        if lanes:
            self._lay(lanes)

    def set_off(self, time_s: float) -> None:
        """Take from the stage when it set off on a lane, on the film's clock."""
        self._stitcher.set_off(time_s)

    def finish(self) -> Stitched:
        """Place what is left and write the slide's folder."""
        for lanes in self._stitcher.finish():
            self._lay(lanes)
        if self._canvas is None:
            raise ValueError("no lane was laid")
        # All that needs no mosaic, while the last lanes are laid.
        stitched = self._stitcher.result()
        scale = scale_of(stitched.speed_px_per_s, self._recording)
        places = frame_places(stitched, self._canvas)
        facts = measured(stitched, scale.pixel_size_um, scale.source)
        torn = self._laying.finish(scale.pixel_size_um)
        write_frame_places(self._out / "frames.csv", places)
        known = replace(self._recording, pixel_size_um=round(scale.pixel_size_um, 5))
        write_recording(self._out / "recording.json", known)
        facts["torn_seams"] = [asdict(seam) for seam in torn]
        write_text_whole(self._out / "stitch.json", json.dumps(facts, indent=2) + "\n")
        return stitched

    def _lay(self, lanes: Sequence[PlacedLane]) -> None:
        if not lanes:
            return
        if self._canvas is None:
            self._open(lanes)
        for lane in lanes:
            self._laying.lay(lane)

    def _open(self, lanes: Sequence[PlacedLane]) -> None:
        stitcher = self._stitcher
        step_px = float(np.median(np.abs(np.diff(lanes[0].positions[:, 1]))))
        margin_steps = 0.0 if stitcher.is_over else _MARGIN_STEPS
        self._canvas = canvas_of(lanes, margin_px=margin_steps * step_px)
        scale = scale_of(stitcher.speed_px_per_s, self._recording)
        overlap_px = 2 * float(np.median(lanes[0].reach[:, 0])) - stitcher.pitch_px
        self._laying.begin(
            Ground(
                folder=self._out / "mosaic.ome.zarr",
                canvas=self._canvas,
                pixel_size_um=scale.pixel_size_um,
                gain=stitcher.gain,
                glass=stitcher.glass,
                pitch_px=stitcher.pitch_px,
                overlap_px=overlap_px,
            )
        )


_BYTES_AHEAD, _LEAST_AHEAD = 60e6, 16
"""Of frames decoded beforehand: the second core has nothing else to do while the first lanes are
laid out. Large frames are fewer."""
_MARGIN_STEPS = 1.0
"""Room on both sides of the first lanes, in steps of the stage, for later ones that reach out."""
_LONG_FILM_FRAMES = 1500
"""From here on a process that lays lanes saves more than its start takes."""


def scale_of(speed_px_per_s: float, recording: Recording) -> Scale:
    """Find the pixel size: told, or from the speed of the stage and the motion seen."""
    if recording.pixel_size_um is not None:
        return Scale(pixel_size_um=recording.pixel_size_um, source=ScaleSource.GIVEN)
    speed, source = recording.speed_um_per_s, ScaleSource.RECORDED_SPEED
    if speed is None:
        speed, source = PAPER_SPEED_UM_PER_S, ScaleSource.ASSUMED_SPEED
    return Scale(pixel_size_um=speed / speed_px_per_s, source=source)


def _laying_of(film: Video, takes_damaged: bool) -> Laying:
    """Choose who lays the lanes of a film.

    Damaged places may be decoded otherwise a second time; a daemon may start no process.
    """
    is_short = film.info.frame_count < _LONG_FILM_FRAMES
    if takes_damaged or is_short or multiprocessing.current_process().daemon:
        return LayingThread()
    return LayingProcess(film.path, is_mirrored=film.is_mirrored)


def _watched(film: Video, takes_damaged: bool) -> Iterator[tuple[DecodedFrame, float]]:
    count = max(film.info.frame_count, 1)
    for frame in ahead(film, max(int(_BYTES_AHEAD / film.info.picture_bytes), _LEAST_AHEAD)):
        yield frame, min((frame.index + 1) / count, 1.0)
    if film.damage is not None and not takes_damaged:
        raise InputError(
            film.path,
            f"the film is damaged or cut off ({film.damage})",
            "Repeat the scan, or stitch what is there with --damaged",
        )
