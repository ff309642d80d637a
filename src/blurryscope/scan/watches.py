"""Who looks at the frames while a scan runs: the film, the live picture, focus and lost frames."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.clock import Clock
from blurryscope.devices.contracts import CameraFrame
from blurryscope.devices.jpeg import JpegFilm, is_whole, to_jpeg
from blurryscope.scan.appearance_fit import sharpness, tissue_fraction
from blurryscope.scan.filming import Taker

_LOOK_EVERY = 5
"""Frames between two looks at the focus."""
_TISSUE = 0.3
_LEAST_LOOKS = 8
"""Before the focus is judged: in focus, too, single looks at other tissue differ fourfold."""
_BASELINE_LANES = 5
_BLURRED = 0.5
"""Of the usual fineness: beyond a depth of field from the focus it halves."""
_MOST_LOST = 0.02


class Recorder:
    """Films while it is on, and hands what it films to others, counted from 0."""

    def __init__(self, film: JpegFilm, takers: Sequence[Taker]) -> None:
        self.is_on = False
        self.frame_count = 0
        self.lost_count = 0
        self.first_s: float | None = None
        """When the exposure of the film's first frame began, on the clock of stage and camera."""
        self.unfilmed: CameraFrame | None = None
        """The newest that came while it was off."""
        self._film = film
        self._takers = tuple(takers)

    def take(self, frame: CameraFrame) -> None:
        """Take the next frame of the camera; one that came in half counts as lost."""
        if not self.is_on:
            self.unfilmed = frame
            return
        if frame.jpeg is not None and not is_whole(frame.jpeg):
            self.lost_count += 1 + frame.lost_count
            return
        if self.first_s is None:
            self.first_s = frame.time_s
        counted = replace(frame, index=self.frame_count)
        self._film.write(counted)
        self.frame_count += 1
        self.lost_count += frame.lost_count
        for taker in self._takers:
            taker(counted)


class LivePicture:
    """Keeps the newest frame in a file, for whoever wants to look."""

    def __init__(self, path: Path, clock: Clock, interval_s: float = 0.2) -> None:
        self._path, self._clock, self._interval_s = path, clock, interval_s
        self._due_s = 0.0

    def take(self, frame: CameraFrame) -> None:
        if frame.time_s < self._due_s:
            return
        self._due_s = frame.time_s + self._interval_s
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_bytes(frame.jpeg if frame.jpeg is not None else to_jpeg(frame.rgb()))
        partial.replace(self._path)


@dataclass(slots=True)
class FocusWatch:
    """Compares how fine the tissue of a lane is with the first lanes. Safe to ask meanwhile."""

    flat: NDArray[np.float32]
    glass: float
    """What empty glass gives, grey levels."""
    is_portrait: bool
    _fineness: list[float] = field(default_factory=list)
    _lanes: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, frame: CameraFrame) -> None:
        if frame.index % _LOOK_EVERY:
            return
        luma = frame.luma()
        if tissue_fraction(luma, self.flat * self.glass) < _TISSUE:
            return
        value = fineness(luma, self.flat, along_rows=self.is_portrait)
        with self._lock:
            self._fineness.append(value)

    def end_lane(self) -> str | None:
        """Close a lane; words if it is much less sharp than the first ones, None if all is well.

        A lane that shows little tissue is judged together with those that follow.
        """
        with self._lock:
            if len(self._fineness) < _LEAST_LOOKS:
                return None
            seen, self._fineness = self._fineness, []
        now = float(np.median(seen))
        self._lanes.append(now)
        usual = float(np.median(self._lanes[:_BASELINE_LANES]))
        if now < _BLURRED * usual:
            return f"out of focus: {now / usual:.0%} of the usual fineness"
        return None


def fineness(luma: NDArray[np.uint8], flat: NDArray[np.float32], *, along_rows: bool) -> float:
    """How fine tissue is across the scan, whatever its stain: fine slopes against coarse ones."""
    fine = sharpness(luma, flat, along_rows=along_rows)
    size = (luma.shape[1] // 8, luma.shape[0] // 8)
    shrunk = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
    even = np.asarray(cv2.resize(flat, size, interpolation=cv2.INTER_AREA), np.float32)
    coarse = sharpness(shrunk, even, along_rows=along_rows)
    return max(fine, 0.0) / max(coarse, 1e-9)


def lost_words(lost_count: int, frame_count: int) -> str | None:
    """Words where too many frames of a lane were lost."""
    share = lost_count / max(lost_count + frame_count, 1)
    return None if share <= _MOST_LOST else f"{lost_count} frames lost, {share:.0%} of the lane"
