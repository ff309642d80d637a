"""A small picture of the slide that grows while it is scanned, for whoever stands beside it.

Each frame is laid where the stage said that it was, without the stretch of the rolling shutter:
coarse, early, and independent of the stitcher. What stays grey was not filmed.
"""

import threading
from collections import deque
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.devices.contracts import CameraFrame, StageStatus
from blurryscope.devices.jpeg import to_jpeg
from blurryscope.scan.drive import Track
from blurryscope.scan.glimpse import show
from blurryscope.scan.plan import ScanPlan

_LONG_SIDE_PX = 1200
_NOT_FILMED = 160
_HERE = (200, 30, 30)
_LOOK_S = 0.01
"""Before a frame, to see how fast the stage went."""
_WAITING_FRAMES = 300
"""Frames whose place is not told yet; ten seconds of them, should the stage be silent."""


class Overview:
    """Lays frames on the plan's area and writes the picture once a second.

    `take` may be called from another thread than `watch`.

    Parameters
    ----------
    path
        A JPEG; one that is there from a scan that broke off is gone on with.
    flat
        The field over empty glass, (row, col), mean 1.
    """

    def __init__(
        self, path: Path, plan: ScanPlan, flat: NDArray[np.float32], interval_s: float = 1.0
    ) -> None:
        self._path, self._interval_s = path, interval_s
        covered, field = plan.covered, plan.field
        self._um_per_px = max(covered.width_um, covered.height_um) / _LONG_SIDE_PX
        self._corner_um = (covered.left_um, covered.top_um)
        rows = max(round(covered.height_um / self._um_per_px), 1)
        columns = max(round(covered.width_um / self._um_per_px), 1)
        self._canvas = _begun_before(path, (rows, columns))
        shrink = field.pixel_size_um / self._um_per_px
        self._thumb_px = (max(round(field.columns * shrink), 1), max(round(field.rows * shrink), 1))
        self._quarter_turns = round(field.turn_deg / 90.0)
        self._stretch_s_per_um = field.readout_ratio / plan.motion.speed_um_per_s
        readout_s = abs(self._stretch_s_per_um) * field.along_um
        self._middle_s = (field.exposure_s + readout_s) / 2
        self._light = cv2.resize(flat, self._thumb_px, interpolation=cv2.INTER_AREA)[..., None]
        self._track = Track()
        self._waiting: deque[tuple[float, Rgb]] = deque(maxlen=_WAITING_FRAMES)
        self._lock = threading.Lock()
        self._due_s = 0.0

    def take(self, frame: CameraFrame) -> None:
        """Take the next frame; it waits until its place is told."""
        thumb = cv2.resize(frame.rgb(), self._thumb_px, interpolation=cv2.INTER_AREA)
        even = to_uint8(np.asarray(thumb / self._light))
        with self._lock:
            # A camera turned by 90 degrees has the slide's x running up its rows.
            upright = np.rot90(even, -self._quarter_turns)
            self._waiting.append((frame.time_s + self._middle_s, upright))

    def watch(self, status: StageStatus) -> None:
        """Take an answer of the stage, lay what was filmed before it, and write now and then."""
        self._track.watch(status)
        for time_s, thumb in self._taken_before(status.time_s):
            place = self._track.position_at(time_s)
            before = self._track.position_at(time_s - _LOOK_S)
            if place is not None:
                speed = 0.0 if before is None else (place[0] - before[0]) / _LOOK_S
                self._lay(self._unstretched(thumb, speed), self._place_px(place))
        if status.time_s >= self._due_s:
            self._due_s = status.time_s + self._interval_s
            shown = self._canvas.copy()
            here = self._place_px((status.position.x_um, status.position.y_um))
            height, width = self._turned_px()
            corner = (here[0] - width // 2, here[1] - height // 2)
            cv2.rectangle(shown, (*corner, width, height), _HERE, 2)
            show(self._path, to_jpeg(shown))

    def finish(self) -> None:
        """Write it as it is now, without the mark."""
        show(self._path, to_jpeg(self._canvas))

    def _taken_before(self, time_s: float) -> list[tuple[float, Rgb]]:
        with self._lock:
            ready = []
            while self._waiting and self._waiting[0][0] < time_s:
                ready.append(self._waiting.popleft())
            return ready

    def _place_px(self, place_um: tuple[float, float]) -> tuple[int, int]:
        """The pixel (x, y) under the optical axis."""
        x, y = (
            round((at - corner) / self._um_per_px)
            for at, corner in zip(place_um, self._corner_um, strict=True)
        )
        return x, y

    def _unstretched(self, thumb: Rgb, speed_um_per_s: float) -> Rgb:
        """A frame as long as what it shows: the rolling shutter stretches and compresses lanes."""
        rows, columns = thumb.shape[:2]
        shown = max(round(columns * (1 - self._stretch_s_per_um * speed_um_per_s)), 1)
        return np.asarray(cv2.resize(thumb, (shown, rows), interpolation=cv2.INTER_AREA), np.uint8)

    def _turned_px(self) -> tuple[int, int]:
        """Rows and columns of a frame as it lies on the slide."""
        columns, rows = self._thumb_px
        return (columns, rows) if self._quarter_turns % 2 else (rows, columns)

    def _lay(self, thumb: Rgb, middle: tuple[int, int]) -> None:
        rows, columns = thumb.shape[:2]
        top, left = middle[1] - rows // 2, middle[0] - columns // 2
        first = (max(-top, 0), max(-left, 0))
        into = self._canvas[max(top, 0) : max(top + rows, 0), max(left, 0) : max(left + columns, 0)]
        part = thumb[first[0] : first[0] + into.shape[0], first[1] : first[1] + into.shape[1]]
        into[: part.shape[0], : part.shape[1]] = part


def _begun_before(path: Path, size_px: tuple[int, int]) -> Rgb:
    """What an earlier part of the scan has painted, or an empty sheet."""
    coded = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    before = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB) if len(coded) else None
    if before is not None and before.shape[:2] == size_px:
        return np.asarray(before, np.uint8)
    return np.full((*size_px, 3), _NOT_FILMED, np.uint8)
