"""A film as a camera: what was filmed once comes again, at its pace or as fast as it is read."""

import math
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Self

from blurryscope.artifacts.video import Video
from blurryscope.basics.clock import Clock, SystemClock
from blurryscope.devices.contracts import CameraFrame, CameraSettings
from blurryscope.devices.errors import DeviceGoneError, SettingsRefusedError


class FilmCamera:
    """Gives the frames of a film as if they were taken now.

    Parameters
    ----------
    path
        MP4, AVI, MKV or MOV.
    clock
        Its time is the frames' time.
    is_paced
        False does not wait between frames.
    """

    def __init__(self, path: Path, *, clock: Clock | None = None, is_paced: bool = True) -> None:
        self.path = path
        self._clock = clock or SystemClock()
        self._is_paced = is_paced
        self._video: Video | None = None
        self._settings = CameraSettings()
        self._grabbing: Generator[CameraFrame, None, None] | None = None

    def __enter__(self) -> Self:
        with Video(self.path) as video:
            info = video.info
        self._settings = CameraSettings(
            columns=info.width_px, rows=info.height_px, frame_rate_hz=info.frame_rate_hz
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        grabbing, self._grabbing = self._grabbing, None
        if grabbing is not None:
            grabbing.close()

    @property
    def name(self) -> str:
        return f"film {self.path.name}"

    @property
    def settings(self) -> CameraSettings:
        return self._settings

    def configure(self, wanted: CameraSettings) -> CameraSettings:
        for name in wanted.__slots__:
            asked, has = getattr(wanted, name), getattr(self._settings, name)
            if asked is not None and (has is None or not math.isclose(asked, has, rel_tol=1e-3)):
                told = "is not known of it" if has is None else f"is {has}"
                raise SettingsRefusedError(
                    self.path,
                    f"is a film and cannot be set: {name} {told}, {asked} was asked for",
                    "Leave the setting out",
                )
        return self._settings

    def frames(self) -> Generator[CameraFrame, None, None]:
        began_s = self._clock.monotonic_s()
        with Video(self.path) as video:
            first_s: float | None = None
            for picture in video:
                first_s = picture.time_s if first_s is None else first_s
                time_s = began_s + picture.time_s - first_s
                if self._is_paced:
                    self._clock.sleep(time_s - self._clock.monotonic_s())
                yield CameraFrame(index=picture.index, time_s=time_s, picture=picture)

    def grab(self) -> CameraFrame:
        """The next frame of the film; one that has ended is a `DeviceGoneError`."""
        if self._grabbing is None:
            self._grabbing = self.frames()
        for frame in self._grabbing:
            return frame
        raise DeviceGoneError(self.path, "has no more frames", "Open the film again")
