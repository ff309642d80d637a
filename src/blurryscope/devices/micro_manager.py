"""Stages and cameras of Micro-Manager, through pymmcore-plus: for microscopes a lab already has."""

import contextlib
import math
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from blurryscope.artifacts.video import ArrayFrame
from blurryscope.basics.clock import Clock, SystemClock
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.devices.contracts import (
    CameraFrame,
    CameraSettings,
    StageLimits,
    StageMode,
    StagePoint,
    StageStatus,
)
from blurryscope.devices.errors import (
    CameraFrozenError,
    DeviceError,
    DeviceGoneError,
    DeviceMissingError,
    HomingFailedError,
    NotHomedError,
    SettingsRefusedError,
    StageAstrayError,
    StageError,
    StageHeldError,
    StageStalledError,
)
from blurryscope.devices.refusals import refuse_move

_ARRIVED_UM = 2.0
_LOOK_S = 0.02
_PATIENCE_S = 2.0
_HOMING_S = 180.0
"""Micro-Manager itself waits for five seconds only."""


def open_core(configuration: Path | None = None) -> Any:
    """Load Micro-Manager with a configuration file; None is its demonstration.

    Raises `DeviceMissingError` when pymmcore-plus or the file's devices are not there.
    """
    try:
        from pymmcore_plus import CMMCorePlus
    except ImportError as error:
        raise DeviceMissingError(
            "Micro-Manager", "is not installed here", "Install `blurryscope[micro-manager]`"
        ) from error
    core = CMMCorePlus()
    try:
        core.loadSystemConfiguration(*([str(configuration)] if configuration else []))
    except (RuntimeError, FileNotFoundError) as error:
        raise DeviceMissingError(
            configuration or "demonstration", f"cannot be loaded ({error})", "Check the file"
        ) from error
    return core


class MicroManagerStage:
    """The default XY and focus stage of a loaded core; see `Stage`.

    Micro-Manager has neither limits nor a common way to set a speed, so both are said here; it
    cannot queue moves, so `move_to` waits for the one before.

    Parameters
    ----------
    core
        From `open_core`.
    limits
        Where the stage may go, in its own coordinates.
    speed_property
        The property of the XY stage that sets its speed in mm/s; None leaves the speed alone, and
        `move_to` with a speed is then a `SettingsRefusedError`.
    """

    def __init__(
        self,
        core: Any,
        limits: StageLimits,
        *,
        speed_property: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._core = core
        self.limits = limits
        self._speed_property = speed_property
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._target: StagePoint | None = None
        self._is_homed = self._is_held = self._is_homing = False
        self._stop_count = 0

    def __enter__(self) -> Self:
        self._xy, self._z = self._core.getXYStageDevice(), self._core.getFocusDevice()
        if not self._xy:
            raise DeviceMissingError("Micro-Manager", "has no XY stage", "Name one as default")
        self._is_homed = self._is_held = False
        self._target = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(DeviceError, RuntimeError):
            self.stop()

    @property
    def name(self) -> str:
        return f"{self._core.getDeviceDescription(self._xy)} through Micro-Manager"

    def status(self) -> StageStatus:
        is_busy = self._is_busy()
        mode = StageMode.MOVING if is_busy else StageMode.RESTING
        if self._is_held and not is_busy:
            mode = StageMode.HELD
        return StageStatus(
            mode=mode if self._is_homed else StageMode.UNHOMED,
            position=self._position(),
            is_homed=self._is_homed,
            time_s=self._clock.monotonic_s(),
        )

    def home(self) -> StageStatus:
        with self._lock:
            self._is_homed, self._is_homing = False, True
            stops = self._stop_count
            try:
                self._core.home(self._xy)
                self._wait_for_home()
            except RuntimeError as error:
                raise self._homing_failed(str(error)) from error
            finally:
                self._is_homing = False
            if self._stop_count != stops:
                raise self._homing_failed("it was stopped")
            self._is_homed, self._is_held, self._target = True, False, None
        return self.status()

    def _wait_for_home(self) -> None:
        deadline_s = self._clock.monotonic_s() + _HOMING_S
        while self._core.deviceBusy(self._xy):
            if self._clock.monotonic_s() > deadline_s:
                self._stop_motors()
                raise self._homing_failed(f"it is not done after {_HOMING_S:.0f} s")
            self._clock.sleep(_LOOK_S)

    def _homing_failed(self, why: str) -> HomingFailedError:
        return HomingFailedError(
            self._xy, f"could not be homed ({why})", "Home it by its own program"
        )

    def move_to(self, target: StagePoint, speed_um_per_s: float | None = None) -> None:
        refuse_move(self._xy, self.limits, target, speed_um_per_s)
        if not self._is_homed:
            raise NotHomedError(self._xy, "was not homed and did not move", "Home the stage first")
        if self._is_held:
            raise self._held("is held")
        if self._target is not None:
            self.wait_until_rest()
        with self._lock:
            self._set_speed(speed_um_per_s)
            self._send(target)

    def wait_until_rest(self) -> StageStatus:
        stops = self._stop_count
        before, since_s = self._position(), self._clock.monotonic_s()
        while self._is_busy():
            position, now_s = self._position(), self._clock.monotonic_s()
            if position != before:
                before, since_s = position, now_s
            if now_s - since_s > _PATIENCE_S:
                self.stop()
                raise StageStalledError(self._xy, "is busy and stands", "Check its controller")
            self._clock.sleep(_LOOK_S)
        if self._stop_count != stops:
            raise self._held("was stopped")
        if self._is_held:
            raise self._held("was held")
        return self._arrived()

    def hold(self) -> None:
        if self._is_homing:
            self.stop()
        elif self._target is not None:
            self._is_held = True
            self._stop_motors()

    def resume(self) -> None:
        with self._lock:
            if self._is_held and self._target is not None:
                self._send(self._target)
            self._is_held = False

    def stop(self) -> None:
        self._stop_count += self._is_homing or self._target is not None
        self._stop_motors()
        with _gone_if_it_fails(self._xy):
            self._core.waitForDevice(self._xy)
        self._target, self._is_held = None, False

    def _stop_motors(self) -> None:
        with _gone_if_it_fails(self._xy):
            self._core.stop(self._xy)
        if self._z:
            with contextlib.suppress(RuntimeError):  # not every focus drive knows how to
                self._core.stop(self._z)

    def _arrived(self) -> StageStatus:
        target, self._target = self._target, None
        status = self.status()
        if target is not None and status.position.distance_um(target) > _ARRIVED_UM:
            raise StageAstrayError(
                self._xy, f"rests at {status.position} instead of {target}", "Check its controller"
            )
        return status

    def _send(self, target: StagePoint) -> None:
        try:
            if self._z:
                self._core.setPosition(target.z_um)
            self._core.setXYPosition(target.x_um, target.y_um)
        except RuntimeError as error:
            raise StageError(self._xy, f"did not move ({error})", "Check its controller") from error
        self._target = target

    def _set_speed(self, speed_um_per_s: float | None) -> None:
        if speed_um_per_s is None:
            return
        if self._speed_property is None:
            raise SettingsRefusedError(
                self._xy, "has no speed that can be set here", "Name its speed_property"
            )
        mm_per_s = speed_um_per_s / 1000
        try:
            self._core.setProperty(self._xy, self._speed_property, mm_per_s)
            has = float(self._core.getProperty(self._xy, self._speed_property))
        except (RuntimeError, ValueError) as error:
            raise SettingsRefusedError(
                self._xy,
                f"has no speed that can be set by {self._speed_property} ({error})",
                "Name the property that sets its speed in mm/s, or leave speed_property out",
            ) from error
        if not math.isclose(has, mm_per_s, rel_tol=0.01):
            raise SettingsRefusedError(
                self._xy, f"does not take a speed of {mm_per_s} mm/s, it has {has}", "Ask for that"
            )

    def _is_busy(self) -> bool:
        with _gone_if_it_fails(self._xy):
            devices = [self._xy, self._z] if self._z else [self._xy]
            return any(bool(self._core.deviceBusy(device)) for device in devices)

    def _position(self) -> StagePoint:
        with _gone_if_it_fails(self._xy):
            x, y = self._core.getXYPosition()
            z = self._core.getPosition() if self._z else 0.0
        return StagePoint(x_um=float(x), y_um=float(y), z_um=float(z))

    def _held(self, what: str) -> StageHeldError:
        remedy = "Resume, or stop and send it again"
        return StageHeldError(self._xy, f"{what} before it was there", remedy)


class MicroManagerCamera:
    """The default camera of a loaded core; see `Camera`. Colour, or grey shown as colour."""

    def __init__(self, core: Any, *, clock: Clock | None = None) -> None:
        self._core = core
        self._clock = clock or SystemClock()

    def __enter__(self) -> Self:
        self._device = self._core.getCameraDevice()
        if not self._device:
            raise DeviceMissingError("Micro-Manager", "has no camera", "Name one as default")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(RuntimeError):
            if self._core.isSequenceRunning():
                self._core.stopSequenceAcquisition()

    @property
    def name(self) -> str:
        return f"{self._device} through Micro-Manager"

    @property
    def settings(self) -> CameraSettings:
        with _gone_if_it_fails(self._device):
            return CameraSettings(
                columns=int(self._core.getImageWidth()),
                rows=int(self._core.getImageHeight()),
                exposure_s=float(self._core.getExposure()) / 1000,
            )

    def configure(self, wanted: CameraSettings) -> CameraSettings:
        if wanted.exposure_s is not None:
            with _gone_if_it_fails(self._device):
                self._core.setExposure(wanted.exposure_s * 1000)
        has = self.settings
        for name in wanted.__slots__:
            asked, is_at = getattr(wanted, name), getattr(has, name)
            if asked is not None and (is_at is None or not math.isclose(asked, is_at)):
                raise SettingsRefusedError(
                    self._device,
                    f"does not take {name} = {asked}, it has {is_at}",
                    "Set it in Micro-Manager's configuration, and leave it out here",
                )
        return has

    def frames(self) -> Generator[CameraFrame, None, None]:
        with _gone_if_it_fails(self._device):
            self._core.startContinuousSequenceAcquisition(0)
        began_s = self._clock.monotonic_s()
        first_ms: float | None = None
        number_before: int | None = None
        index = 0
        try:
            while True:
                pixels, notes = self._next()
                # The device's own count of time, laid on our clock at the first frame.
                elapsed_ms = float(notes.get("ElapsedTime-ms", 0.0))
                first_ms = elapsed_ms if first_ms is None else first_ms
                time_s = began_s + (elapsed_ms - first_ms) / 1000
                # A buffer that ran over is emptied: only the count of pictures tells.
                number = int(notes["ImageNumber"]) if "ImageNumber" in notes else None
                lost_count = _missing(number_before, number)
                yield self._frame(index, time_s, pixels, lost_count)
                index, number_before = index + 1, number
        finally:
            with contextlib.suppress(RuntimeError):  # it may be unplugged
                self._core.stopSequenceAcquisition()

    def grab(self) -> CameraFrame:
        time_s = self._clock.monotonic_s()
        with _gone_if_it_fails(self._device):
            pixels = self._core.snap()
        return self._frame(0, time_s, pixels)

    def _next(self) -> tuple[np.ndarray[Any, Any], dict[str, str]]:
        deadline_s = self._clock.monotonic_s() + _PATIENCE_S
        while not self._core.getRemainingImageCount():
            if self._clock.monotonic_s() > deadline_s:
                raise CameraFrozenError(
                    self._device, "sends no pictures", "Unplug the camera and plug it in again"
                )
            self._clock.sleep(0.002)
        with _gone_if_it_fails(self._device):
            pixels, notes = self._core.popNextImageAndMD()
        return pixels, dict(notes)

    def _frame(
        self, index: int, time_s: float, pixels: np.ndarray[Any, Any], lost_count: int = 0
    ) -> CameraFrame:
        with _gone_if_it_fails(self._device):
            brightest = 2 ** int(self._core.getImageBitDepth()) - 1
        picture = ArrayFrame(index, time_s, _as_rgb(pixels, brightest))
        return CameraFrame(index=index, time_s=time_s, picture=picture, lost_count=lost_count)


@contextlib.contextmanager
def _gone_if_it_fails(device: str) -> Iterator[None]:
    """Whatever goes wrong behind Micro-Manager's core is a RuntimeError there."""
    try:
        yield
    except RuntimeError as error:
        raise DeviceGoneError(
            device, f"does not answer ({error})", "Check its cable and its power"
        ) from error


def _missing(before: int | None, number: int | None) -> int:
    """How many pictures lie between two that were counted."""
    return 0 if before is None or number is None else max(number - before - 1, 0)


def _as_rgb(pixels: np.ndarray[Any, Any], brightest: int) -> Rgb:
    """Eight bits of three colours from whatever the camera has; 12 bits come in words of 16."""
    if pixels.dtype != np.uint8:
        pixels = to_uint8(pixels.astype(np.float64) * (255 / brightest))
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, :3], np.uint8)
