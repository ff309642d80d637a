"""A film in, a slide's folder out: the mosaic, where each frame lay, and what was measured."""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from blurryscope.artifacts.frame_places import write_frame_places
from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.recording import Recording, write_recording
from blurryscope.artifacts.video import DecodedFrame, Frame, Video
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.ahead import ahead
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.stitch.brightness import lane_brightness, shrunk_gain
from blurryscope.stitch.compose import Canvas, Composer, PlacedLane, canvas_of
from blurryscope.stitch.quality import ScaleSource, measured
from blurryscope.stitch.seams import TornSeam
from blurryscope.stitch.shading_drift import ShadingDrift
from blurryscope.stitch.stitcher import Stitched, Stitcher, StitchSettings, frame_places

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

    The film is read once. `stitch.json` is written last, so that it says that all the rest is
    there.

    Parameters
    ----------
    recording
        What is known of the scan. Its pixel size, if given, is kept; else the pixel size follows
        from the speed of the stage.
    takes_damaged
        Whether to stitch what is there of a film that breaks off.
    """
    with SlideStitcher(video, out, recording, settings) as slide:
        for frame, fraction in _watched(video, takes_damaged, bool(recording.is_mirrored)):
            slide.push(frame)
            progress("stitch", fraction)
        return slide.finish()


class SlideStitcher:
    """Stitches a scan into a slide's folder while it is still filmed.

    Opens in `with`: push all frames in order, then `finish`. Lanes are laid and written by a second
    thread as soon as they are placed, so that after the last frame little is left to do. Nothing
    appears in the folder unless `finish` ends well.

    Parameters
    ----------
    where
        Name of the film, for messages.
    """

    def __init__(
        self,
        where: object,
        out: Path,
        recording: Recording,
        settings: StitchSettings | None = None,
    ) -> None:
        self._out = out
        self._recording = recording
        self._unopened = Stitcher(where, settings)
        self._canvas: Canvas | None = None
        self._is_finished = False

    def __enter__(self) -> Self:
        self._stack = ExitStack().__enter__()
        self._stitcher = self._stack.enter_context(self._unopened)
        # One lane is laid while others are placed; more waiting than a few would cost memory.
        self._helper = self._stack.enter_context(ThreadPoolExecutor(1, "compose"))
        self._under_way: deque[Future[None]] = deque()
        self._torn: list[TornSeam] = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and not self._is_finished:
            # The mosaic that is under way must not be taken for a whole one.
            kind, error = _UnfinishedError, _UnfinishedError()
        if kind is not None:
            self._helper.shutdown(cancel_futures=True)
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
        while self._under_way:
            self._under_way.popleft().result()
        self._composer.finish()
        self._writer.rescale(scale.pixel_size_um)
        self._stack.close()  # the mosaic appears under its name
        write_frame_places(self._out / "frames.csv", places)
        known = replace(self._recording, pixel_size_um=round(scale.pixel_size_um, 5))
        write_recording(self._out / "recording.json", known)
        facts["torn_seams"] = [asdict(seam) for seam in self._torn]
        write_text_whole(self._out / "stitch.json", json.dumps(facts, indent=2) + "\n")
        self._is_finished = True
        return stitched

    def _lay(self, lanes: Sequence[PlacedLane]) -> None:
        if not lanes:
            return
        if self._canvas is None:
            self._open(lanes)
        for lane in lanes:
            while len(self._under_way) >= _LANES_UNDER_WAY:
                self._under_way.popleft().result()
            self._under_way.append(self._helper.submit(self._compose, lane))

    def _open(self, lanes: Sequence[PlacedLane]) -> None:
        stitcher = self._stitcher
        step_px = float(np.median(np.abs(np.diff(lanes[0].positions[:, 1]))))
        margin_steps = 0.0 if stitcher.is_over else _MARGIN_STEPS
        self._canvas = canvas_of(lanes, margin_px=margin_steps * step_px)
        scale = scale_of(stitcher.speed_px_per_s, self._recording)
        self._writer = self._stack.enter_context(
            MosaicWriter(
                self._out / "mosaic.ome.zarr", (None, self._canvas.columns), scale.pixel_size_um
            )
        )
        overlap_px = 2 * float(np.median(lanes[0].reach[:, 0])) - stitcher.pitch_px
        self._gain = stitcher.gain
        self._composer = Composer(self._writer, self._canvas, self._gain, overlap_px)
        self._small_gain = shrunk_gain(self._gain, _BRIGHTNESS_REDUCTION)
        self._drift = ShadingDrift(self._small_gain)

    def _compose(self, lane: PlacedLane) -> None:
        rows, columns, _ = self._small_gain.shape
        smalls = [frame.small_rgb((rows, columns)) for frame in lane.frames]
        self._drift.follow(smalls)
        small_gain = self._drift.applied_to(self._small_gain)
        brightness = lane_brightness(lane, smalls, small_gain, self._stitcher.glass)
        self._torn += self._composer.lay(lane, brightness, self._drift.applied_to(self._gain))
        # The next lane begins a pitch below, give or take what stages wander.
        top = float(lane.corners[0][0])
        self._composer.write_above(top + _SURE_PITCH_FRACTION * self._stitcher.pitch_px)


class _UnfinishedError(Exception):
    """Tells what writes the mosaic that its block did not end well; nobody sees it."""


_BYTES_AHEAD, _LEAST_AHEAD = 100e6, 16
"""Of frames decoded beforehand: the second core has nothing else to do while the first lanes are
laid out. Large frames are fewer."""
_MARGIN_STEPS = 1.0
"""Room on both sides of the first lanes, in steps of the stage, for later ones that reach out."""
_LANES_UNDER_WAY = 4
_BRIGHTNESS_REDUCTION = 8
_SURE_PITCH_FRACTION = 0.8


def scale_of(speed_px_per_s: float, recording: Recording) -> Scale:
    """Find the pixel size: told, or from the speed of the stage and the motion seen."""
    if recording.pixel_size_um is not None:
        return Scale(pixel_size_um=recording.pixel_size_um, source=ScaleSource.GIVEN)
    speed, source = recording.speed_um_per_s, ScaleSource.RECORDED_SPEED
    if speed is None:
        speed, source = PAPER_SPEED_UM_PER_S, ScaleSource.ASSUMED_SPEED
    return Scale(pixel_size_um=speed / speed_px_per_s, source=source)


def _watched(
    video: Path, takes_damaged: bool, is_mirrored: bool
) -> Iterator[tuple[DecodedFrame, float]]:
    with Video(video, is_mirrored=is_mirrored) as film:
        count = max(film.info.frame_count, 1)
        for frame in ahead(film, max(int(_BYTES_AHEAD / film.info.picture_bytes), _LEAST_AHEAD)):
            yield frame, min((frame.index + 1) / count, 1.0)
        if film.damage is not None and not takes_damaged:
            raise InputError(
                video,
                f"the film is damaged or cut off ({film.damage})",
                "Repeat the scan, or stitch what is there with --damaged",
            )
