"""Stitching while the scan runs: frames wait in a queue, a second thread takes them."""

import math
import queue
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from blurryscope.artifacts.recording import Recording
from blurryscope.devices.contracts import CameraFrame
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import remove_stitched
from blurryscope.stitch.film import SlideStitcher

_LOOK_S = 0.005
"""Between looks whether there is room."""
_BYTES_PER_PIXEL = 1.5
"""Decoded, with colour at half the resolution (4:2:0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """How frames wait for the stitcher."""

    queue_bytes: float = 420e6
    """Of decoded frames that wait: half a minute of 640 x 480, all the memory there should be."""
    queue_jpeg_bytes: float = 150e6
    """Of frames that wait as the JPEGs they came as: two minutes of 640 x 480. To work that off
    takes less time than to stitch the film from its beginning."""
    patience_s: float = 0.05
    """How long a frame waits for room before live stitching is given up: the camera waits too."""

    def most_waiting(self, frame: CameraFrame) -> int:
        """How many frames like this one may wait."""
        if frame.jpeg is None:
            return math.ceil(self.queue_bytes / (_BYTES_PER_PIXEL * frame.luma().size))
        return math.ceil(self.queue_jpeg_bytes / len(frame.jpeg))


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveResult:
    """How live stitching ended."""

    film: Path
    is_whole: bool
    """Whether the mosaic is there; else the film has to be stitched."""
    waited_s: float
    """From the last frame to the mosaic, real time."""
    reason: str = ""


class LiveStitch:
    """Takes the frames of one scan while in `with`; `end` when the last one has come.

    Nothing that goes wrong here harms the scan: the film is there, and can be stitched later. A
    scan that fails after its last frame leaves no mosaic.
    """

    def __init__(
        self,
        film: Path,
        out: Path,
        recording: Recording,
        settings: RunSettings,
        live: LiveSettings,
    ) -> None:
        self._film, self._out = film, out
        self._recording, self._settings = recording, settings
        self._queue: queue.Queue[CameraFrame | float | None] = queue.Queue()
        self._live = live
        self._first_s: float | None = None
        self._last_s = self._done_s = 0.0
        self._is_given_up = self._is_ended = self._is_lost = False

    def __enter__(self) -> Self:
        self._helper = ThreadPoolExecutor(1, "live stitch")
        self._work: Future[None] = self._helper.submit(self._stitch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_given_up = True
        self._queue.put(None)
        self._helper.shutdown()
        if kind is not None and self._done_s:
            remove_stitched(self._out)

    def take(self, frame: CameraFrame) -> None:
        """Take the next frame of the film; times count from the first, as in the film."""
        if self._is_given_up:
            return
        if self._first_s is None:
            self._first_s = frame.time_s
        if self._has_room(self._live.most_waiting(frame)):
            self._queue.put(replace(frame, time_s=frame.time_s - self._first_s))
        else:
            self._is_given_up = True
        self._last_s = time.monotonic()

    def set_off(self, time_s: float) -> None:
        """Take from the stage when it set off on the lane just filmed, on the film's clock."""
        if not self._is_given_up:
            self._queue.put(time_s)

    def end(self) -> None:
        """Hear that the last frame has come: what is left can be done at once."""
        if not self._is_ended:
            self._is_lost = self._is_given_up or self._work.done()
            self._is_ended = True
            self._queue.put(None)

    def finish(self) -> LiveResult:
        """Wait for the mosaic."""
        self.end()
        if self._is_lost:
            reason = self._failure() or "the computer could not keep up with the camera"
            return LiveResult(film=self._film, is_whole=False, waited_s=0.0, reason=reason)
        error = self._work.exception()
        self._is_given_up = True
        return LiveResult(
            film=self._film,
            is_whole=error is None,
            waited_s=self._done_s - self._last_s,
            reason="" if error is None else str(error),
        )

    def _failure(self) -> str:
        error = self._work.exception() if self._work.done() else None
        return "" if error is None else str(error)

    def _has_room(self, most: int) -> bool:
        """Wait a little for room in the queue; False if there is none, or nobody takes any more."""
        begun_s = time.monotonic()
        while not self._work.done():
            if self._queue.qsize() < most:
                return True
            if time.monotonic() - begun_s > self._live.patience_s:
                return False
            time.sleep(_LOOK_S)
        return False

    def _stitch(self) -> None:
        # A lane that is filmed again after a pause is no second scan.
        settings = replace(self._settings.stitch, ends_at_second_scan=False)
        with SlideStitcher(self._film, self._out, self._recording, settings) as slide:
            while (what := self._queue.get()) is not None:
                if self._is_given_up:
                    return
                if isinstance(what, float):
                    slide.set_off(what)
                else:
                    slide.push(what)
            if not self._is_given_up:
                slide.finish()
                self._done_s = time.monotonic()
