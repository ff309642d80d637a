"""The camera of the simulated rig: films the slide where the stage really is, as JPEGs, in time."""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np

from blurryscope.basics.clock import Clock
from blurryscope.devices.contracts import CameraFrame, CameraSettings
from blurryscope.devices.errors import CameraFrozenError, DeviceGoneError, SettingsRefusedError
from blurryscope.devices.jpeg import JpegPicture, to_jpeg
from blurryscope.simulator.camera import Camera, LitSlide, MovingStage
from blurryscope.simulator.camera import CameraSettings as Mounting
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.stage import Floats

_NAME = "simulated camera"
_EXPOSURE_STEPS_PER_S = 10_000
"""UVC cameras count their exposure in tenths of a millisecond."""
_PATIENCE_S = 2.0
"""After so long without a new picture a camera is frozen."""
_BUFFERED_S = 0.5
_AHEAD_S = 0.1
"""How far a fast clock may run ahead of whoever looks at the frames."""


_SIGMA_OF_DEFOCUS = 0.13
"""Of a spot by its distance from the focus: a cone of numerical aperture 0.25, a quarter of its
width."""


def _in_focus(time_s: float) -> float:  # noqa: ARG001 - as any other way to tell
    """Of a slide whose height makes no difference."""
    return 0.0


def _forget(time_s: float) -> None:
    """Nobody asks when pictures were taken."""


@dataclass(slots=True)
class CameraFaults:
    """What is wrong with the camera just now; tests switch these."""

    is_frozen: bool = False
    is_gone: bool = False
    keeps_exposure: bool = True
    """False: it says yes to an exposure, and takes another."""


class SimulatedCamera:
    """A `Camera` over the simulated slide.

    Parameters
    ----------
    mounting
        How it is mounted, its shutter and its faults.
    slide, stage
        What it looks at, and where that is.
    light_at
        How bright the lamp is at a time, 0 to 1; also brings the stage's way up to that time.
    out_of_focus_um
        How far off its focus the slide is at a time, µm.
    note_began
        Is told when the exposure of each picture began, whatever a film makes of that.
    seed
        Of its noise and faults.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        mounting: Mounting,
        slide: LitSlide,
        stage: MovingStage,
        light_at: Callable[[float], float],
        out_of_focus_um: Callable[[float], float] = _in_focus,
        note_began: Callable[[float], None] = _forget,
        clock: Clock,
        seed: int = 0,
        jpeg_quality: int = 92,
    ) -> None:
        self.faults = CameraFaults()
        self._mounting = mounting
        self._slide, self._stage, self._light_at = slide, stage, light_at
        self._out_of_focus_um = out_of_focus_um
        self._note_began = note_began
        self._clock = clock
        self._seed = seed
        self._jpeg_quality = jpeg_quality
        self._settings = CameraSettings(
            columns=mounting.columns,
            rows=mounting.rows,
            frame_rate_hz=mounting.frame_rate_hz,
            exposure_s=mounting.exposure_s,
            gain=1.0,
            white_balance_k=4600.0,
        )
        self._is_exposure_locked = self._is_colour_locked = False
        self._camera: Camera | None = None
        self._opened_s = 0.0
        self._stream_count = 0

    def __enter__(self) -> Self:
        self._refuse_gone()
        self._opened_s = self._clock.monotonic_s()
        self._camera = self._mounted()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._camera = None

    @property
    def name(self) -> str:
        return _NAME

    @property
    def settings(self) -> CameraSettings:
        self._refuse_gone()
        return self._settings

    def configure(self, wanted: CameraSettings) -> CameraSettings:
        self._refuse_gone()
        for name in ("columns", "rows", "frame_rate_hz"):
            value = getattr(wanted, name)
            if value is not None and value != getattr(self._settings, name):
                raise self._refused(name, value, getattr(self._settings, name))
        self._set_exposure(wanted)
        if wanted.white_balance_k is not None:
            if not 2800 <= wanted.white_balance_k <= 6500:
                raise self._refused("white_balance_k", wanted.white_balance_k, "2800 to 6500")
            self._is_colour_locked = True
            self._settings = replace(self._settings, white_balance_k=wanted.white_balance_k)
        self._camera = self._mounted()
        return self._settings

    def frames(self) -> Generator[CameraFrame, None, None]:
        self._stream_count += 1
        # Frames come at the beat that the camera has had since it was opened.
        rng = np.random.default_rng((self._seed, self._stream_count))
        interval_s = 1.0 / self._mounting.frame_rate_hz
        since_open_s = self._clock.monotonic_s() - self._opened_s
        beat = math.ceil(since_open_s / interval_s)
        index, lost_count = 0, 0
        try:
            while True:
                start_s = self._opened_s + beat * interval_s + self._jitter_s(rng)
                beat += 1
                if not self._wait_for_frame(start_s) or self._is_lost(rng):
                    lost_count += 1
                    continue
                frame = self._taken(index, start_s, lost_count, rng)
                index, lost_count = index + 1, 0
                yield frame
                if rng.random() < self._mounting.repeat_fraction:
                    # The old picture in the place of the next.
                    beat += 1
                    self._wait_for_frame(start_s + interval_s)
                    yield replace(frame, index=index, time_s=start_s + interval_s, lost_count=0)
                    index += 1
        finally:
            if isinstance(self._clock, FastClock):
                self._clock.let_go(self)

    def grab(self) -> CameraFrame:
        rng = np.random.default_rng((self._seed, self._stream_count, 1))
        interval_s = 1.0 / self._mounting.frame_rate_hz
        asked_s = self._clock.monotonic_s()
        start_s = self._opened_s + (math.floor((asked_s - self._opened_s) / interval_s) + 1) * (
            interval_s
        )
        self._stream_count += 1
        try:
            self._wait_for_frame(start_s)
            return self._taken(0, start_s, 0, rng)
        finally:
            if isinstance(self._clock, FastClock):
                self._clock.let_go(self)

    def _wait_for_frame(self, start_s: float) -> bool:
        """Wait until it is exposed and read out; False when it came too long ago to be kept."""
        end_s = start_s + self._mounting.readout_s + self._mounting.exposure_s
        if isinstance(self._clock, FastClock):
            self._clock.hold_at(self, end_s + _AHEAD_S)
        now_s = self._clock.monotonic_s()
        if now_s < end_s:
            self._clock.sleep(end_s - now_s)
        self._refuse_gone()
        if self.faults.is_frozen:
            self._give_up()
        return now_s <= end_s + _BUFFERED_S

    def _give_up(self) -> None:
        if isinstance(self._clock, FastClock):
            self._clock.let_go(self)
        self._clock.sleep(_PATIENCE_S)
        self._refuse_gone()
        raise CameraFrozenError(
            _NAME,
            f"has sent no picture for {_PATIENCE_S:.0f} s",
            "Unplug the camera, plug it in again, and begin the lane again",
        )

    def _taken(
        self, index: int, start_s: float, lost_count: int, rng: np.random.Generator
    ) -> CameraFrame:
        if self._camera is None:
            raise DeviceGoneError(_NAME, "is not open", "Open the camera in `with`")
        self._note_began(start_s)
        middle_s = start_s + self._mounting.middle_s
        brightness = self._light_at(middle_s)
        off_um = abs(self._out_of_focus_um(middle_s))
        sigma_px = _SIGMA_OF_DEFOCUS * off_um / self._mounting.pixel_size_um
        pixels = self._camera.frame(start_s - self._opened_s, rng, sigma_px)
        if brightness < 1:
            pixels = np.asarray(np.rint(pixels.astype(np.float32) * brightness), np.uint8)
        jpeg = to_jpeg(pixels, self._jpeg_quality)
        picture = JpegPicture(index, start_s, jpeg)
        return CameraFrame(
            index=index, time_s=start_s, picture=picture, jpeg=jpeg, lost_count=lost_count
        )

    def _jitter_s(self, rng: np.random.Generator) -> float:
        limit_s = 0.45 / self._mounting.frame_rate_hz
        return float(np.clip(rng.normal(0.0, self._mounting.timing_jitter_s), -limit_s, limit_s))

    def _is_lost(self, rng: np.random.Generator) -> bool:
        return bool(rng.random() < self._mounting.drop_fraction)

    def _set_exposure(self, wanted: CameraSettings) -> None:
        if wanted.exposure_s is not None:
            kept_s = round(wanted.exposure_s * _EXPOSURE_STEPS_PER_S) / _EXPOSURE_STEPS_PER_S
            if not self.faults.keeps_exposure:
                kept_s = self._settings.exposure_s or kept_s
            is_kept = math.isclose(kept_s, wanted.exposure_s, abs_tol=1 / _EXPOSURE_STEPS_PER_S)
            fits = kept_s + self._mounting.readout_s <= 2 / self._mounting.frame_rate_hz
            if not is_kept or not fits or kept_s <= 0:
                raise self._refused("exposure_s", wanted.exposure_s, self._settings.exposure_s)
            self._is_exposure_locked = True
            self._settings = replace(self._settings, exposure_s=kept_s)
        if wanted.gain is not None:
            if not 0 < wanted.gain <= 16:
                raise self._refused("gain", wanted.gain, "0 to 16")
            self._settings = replace(self._settings, gain=wanted.gain)

    def _mounted(self) -> Camera:
        """The camera as it is set now; the same sensor, the same dirt."""
        exposure_s = self._settings.exposure_s or self._mounting.exposure_s
        factor = exposure_s / self._mounting.exposure_s * (self._settings.gain or 1.0)
        red, green, blue = (value * factor for value in self._mounting.white)
        mounting = replace(self._mounting, exposure_s=exposure_s, white=(red, green, blue))
        if self._is_exposure_locked:
            mounting = replace(mounting, exposure_jumps_per_minute=0.0)
        if self._is_colour_locked:
            mounting = replace(mounting, white_balance_jumps_per_minute=0.0)
        rng = np.random.default_rng((self._seed, 0))
        since_open = _SinceOpened(self._stage, self._opened_s)
        return Camera(mounting, self._slide, since_open, rng)

    def _refused(self, name: str, wanted: object, has: object) -> SettingsRefusedError:
        return SettingsRefusedError(
            _NAME, f"does not take {name} = {wanted}, it has {has}", "Ask for what it has"
        )

    def _refuse_gone(self) -> None:
        if self.faults.is_gone:
            raise DeviceGoneError(
                _NAME, "is gone", "Plug the USB cable in again, and begin the lane again"
            )


@dataclass(frozen=True, slots=True)
class _SinceOpened:
    """The stage on the camera's own time, which begins when it is opened."""

    stage: MovingStage
    opened_s: float

    @property
    def duration_s(self) -> float:
        return self.stage.duration_s

    def position_um(self, time_s: Floats) -> tuple[Floats, Floats]:
        return self.stage.position_um(np.asarray(time_s + self.opened_s))
