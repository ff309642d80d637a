"""Who looks at the frames while a scan runs: the film, the live picture, focus and lost frames."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.clock import Clock
from blurryscope.basics.percent import percent
from blurryscope.devices.contracts import Camera, CameraFrame, CameraSettings
from blurryscope.devices.errors import CameraFrozenError
from blurryscope.devices.jpeg import JpegFilm, is_whole, to_jpeg
from blurryscope.scan.appearance_fit import crispness, tissue_fraction
from blurryscope.scan.filming import Taker
from blurryscope.scan.glimpse import show

_LOOK_EVERY = 5
"""Frames between two looks at the focus."""
_TISSUE = 0.3
_LEAST_LOOKS = 8
"""Before the focus is judged: single looks differ more than lanes."""
_BASELINE_LANES = 5
_BLURRED = 0.5
"""Of the usual crispness: it halves 10 µm off the focus; lanes in focus differ by a fifth, single
cores of other stain by a half."""
_EDGE_UM = 2.9
"""Slopes over this way are judged: wider than the lens and the camera's coding blur, narrower than
what 10 µm off the focus leaves."""
_LEAST_LAG_PX = 2
"""Noise and colours of single pixels are in narrower slopes."""
_MOST_LOST, _FEWEST_LOST = 0.02, 2
_PATIENCE_S = 2.5
"""Without a frame; the camera itself gives up after two seconds."""


class Recorder:
    """Films while it is on, and hands what it films to others, counted from 0."""

    def __init__(self, film: JpegFilm, takers: Sequence[Taker]) -> None:
        self.is_on = False
        self.frame_count = 0
        self.lost_count = 0
        self.came_count = 0
        """Whole frames that the camera brought, filmed or not."""
        self.first_s: float | None = None
        """When the exposure of the film's first frame began, on the clock of stage and camera."""
        self.last_s: float | None = None
        """When the exposure of its newest frame began."""
        self.unfilmed: CameraFrame | None = None
        """The newest whole one that came while it was off."""
        self._film = film
        self._takers = tuple(takers)

    def take(self, frame: CameraFrame) -> None:
        """Take the next frame of the camera; one that came in half counts as lost."""
        if frame.jpeg is not None and not is_whole(frame.jpeg):
            self.lost_count += 1 + frame.lost_count if self.is_on else 0
            return
        self.came_count += 1
        if not self.is_on:
            self.unfilmed = frame
            return
        if self.first_s is None:
            self.first_s = frame.time_s
        self.last_s = frame.time_s
        counted = replace(frame, index=self.frame_count)
        self._film.write(counted)
        self.frame_count += 1
        self.lost_count += frame.lost_count
        for taker in self._takers:
            taker(counted)

    def keep(self) -> None:
        """Put on the disk what is in the film, as far as it was written."""
        self._film.keep()


class LivePicture:
    """Keeps the newest frame in a file, for whoever wants to look."""

    def __init__(self, path: Path, clock: Clock, interval_s: float = 0.2) -> None:
        self._path, self._clock, self._interval_s = path, clock, interval_s
        self._due_s = 0.0

    def take(self, frame: CameraFrame) -> None:
        if frame.time_s < self._due_s:
            return
        self._due_s = frame.time_s + self._interval_s
        show(self._path, frame.jpeg if frame.jpeg is not None else to_jpeg(frame.rgb()))


@dataclass(slots=True)
class FrozenWatch:
    """Sees that frames come as long as the camera films: it may fall silent without an error."""

    camera: str
    """Its name, for the message."""
    _came_count: int | None = None
    _since_s: float = 0.0
    """When so many had come first."""

    def look(self, recorder: Recorder | None, now_s: float) -> None:
        """Raise `CameraFrozenError` where none has come for too long, whatever holds them up.

        Without a `recorder` nothing is expected.
        """
        count = None if recorder is None else recorder.came_count
        if count is None or count != self._came_count:
            self._came_count, self._since_s = count, now_s
        elif now_s - self._since_s > _PATIENCE_S:
            raise CameraFrozenError(
                self.camera,
                f"has brought no frame for {now_s - self._since_s:.0f} s",
                "Check the camera and what else the computer does, and run the command again",
            )


@dataclass(slots=True)
class SettingsWatch:
    """Sees that a camera keeps what was locked: cheap ones forget it as they begin to film."""

    camera: Camera
    _kept: CameraSettings = field(init=False)

    def __post_init__(self) -> None:
        self._kept = self.camera.settings

    def end_lane(self) -> str | None:
        """Words if exposure, gain or white balance is another one than before; else None."""
        before, self._kept = self._kept, self.camera.settings
        changed = [
            f"{name} from {getattr(before, name)} to {getattr(self._kept, name)}"
            for name in ("exposure_s", "gain", "white_balance_k")
            if getattr(before, name) != getattr(self._kept, name)
        ]
        return f"the camera changed by itself {', '.join(changed)}" if changed else None


@dataclass(slots=True)
class FocusWatch:
    """Compares how crisp the tissue of a lane is with the first lanes. Safe to ask meanwhile."""

    flat: NDArray[np.float32]
    glass: float
    """What empty glass gives, grey levels."""
    is_portrait: bool
    pixel_size_um: float
    _looks: list[float] = field(default_factory=list)
    _lanes: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, frame: CameraFrame) -> None:
        if frame.index % _LOOK_EVERY:
            return
        luma = frame.luma()
        if tissue_fraction(luma, self.flat * self.glass) < _TISSUE:
            return
        lag_px = max(round(_EDGE_UM / self.pixel_size_um), _LEAST_LAG_PX)
        value = crispness(luma, self.flat, lag_px, along_rows=self.is_portrait)
        with self._lock:
            self._looks.append(value)

    def end_lane(self) -> str | None:
        """Close a lane; words if it is much less crisp than the first ones, None if all is well.

        A lane that shows little tissue is judged together with those that follow.
        """
        with self._lock:
            if len(self._looks) < _LEAST_LOOKS:
                return None
            seen, self._looks = self._looks, []
        now = float(np.median(seen))
        before = self._lanes[:_BASELINE_LANES]
        self._lanes.append(now)
        if before and now < _BLURRED * (usual := float(np.median(before))):
            return f"out of focus: {percent(now / usual)} of the usual crispness"
        return None


def lost_words(lost_count: int, frame_count: int) -> str | None:
    """Words where too many frames of a lane were lost; a single one is no news in a short lane."""
    share = lost_count / max(lost_count + frame_count, 1)
    is_bearable = lost_count < _FEWEST_LOST or share <= _MOST_LOST
    return None if is_bearable else f"{lost_count} frames lost, {percent(share)} of the lane"
