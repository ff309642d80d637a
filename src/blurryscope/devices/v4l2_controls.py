"""Exposure, gain and white balance of a USB camera on Linux: asked, set, and read back."""

import errno
import os
import struct
import sys
from pathlib import Path
from typing import Protocol

from blurryscope.devices.contracts import CameraSettings
from blurryscope.devices.errors import DeviceGoneError, DeviceMissingError, SettingsRefusedError

# Numbers of the kernel's interface, from linux/videodev2.h and linux/v4l2-controls.h.
_GET_CONTROL = 0xC008561B
_SET_CONTROL = 0xC008561C
AUTO_WHITE_BALANCE = 0x0098090C
AUTO_GAIN = 0x00980912
GAIN = 0x00980913
WHITE_BALANCE_K = 0x0098091A
EXPOSURE_MODE = 0x009A0901
EXPOSURE = 0x009A0902
"""In tenths of a millisecond."""
EXPOSURE_MAY_SLOW_DOWN = 0x009A0903
"""Whether automatic exposure may lower the frame rate."""
_MANUAL_EXPOSURE = 1
_SHUTTER_PRIORITY = 2
"""By hand too, as far as the time goes."""
_EXPOSURE_UNITS_PER_S = 10_000


class Controls(Protocol):
    """The knobs of a camera, by the kernel's numbers."""

    def get(self, control: int) -> int | None:
        """What a control is at; None when the camera has none."""
        ...

    def set(self, control: int, value: int) -> bool:
        """Turn it; False when the camera has none, or refuses."""
        ...


class V4l2Controls:
    """The controls of a device such as `/dev/video0`; opened for each call, for it is rare.

    On other systems than Linux there are none.
    """

    def __init__(self, device: Path) -> None:
        self._device = device

    def get(self, control: int) -> int | None:
        answer = self._call(_GET_CONTROL, struct.pack("Ii", control, 0))
        return None if answer is None else int(struct.unpack("Ii", answer)[1])

    def set(self, control: int, value: int) -> bool:
        return self._call(_SET_CONTROL, struct.pack("Ii", control, value)) is not None

    def _call(self, request: int, argument: bytes) -> bytes | None:
        if sys.platform != "linux":
            return None
        import fcntl

        try:
            handle = os.open(self._device, os.O_RDWR)
        except OSError as error:
            raise DeviceMissingError(
                self._device, f"cannot be opened ({error.strerror})", "Check the camera's cable"
            ) from error
        try:
            return fcntl.ioctl(handle, request, argument)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise DeviceGoneError(self._device, "is gone", "Plug the camera in") from error
            return None  # EINVAL, ERANGE, EBUSY: no such control, or not this value
        finally:
            os.close(handle)


def read_settings(controls: Controls) -> CameraSettings:
    """Exposure, gain and white balance as they are; None where there is no such control.

    Also None while the camera sets it by itself, for what is read then need not be what it does.
    """
    exposure, kelvin = controls.get(EXPOSURE), controls.get(WHITE_BALANCE_K)
    gain = controls.get(GAIN)
    if controls.get(EXPOSURE_MODE) not in {None, _MANUAL_EXPOSURE, _SHUTTER_PRIORITY}:
        exposure = None
    if controls.get(AUTO_GAIN):
        gain = None
    if controls.get(AUTO_WHITE_BALANCE):
        kelvin = None
    return CameraSettings(
        exposure_s=exposure / _EXPOSURE_UNITS_PER_S if exposure else None,
        gain=None if gain is None else float(gain),
        white_balance_k=float(kelvin) if kelvin else None,
    )


def lock_settings(device: object, controls: Controls, wanted: CameraSettings) -> None:
    """Switch automatics off and set what is wanted; read back, or `SettingsRefusedError`."""
    if wanted.exposure_s is not None:
        _turn(device, controls, "automatic exposure", EXPOSURE_MODE, _MANUAL_EXPOSURE)
        if controls.get(EXPOSURE_MAY_SLOW_DOWN) is not None:
            _turn(device, controls, "a constant frame rate", EXPOSURE_MAY_SLOW_DOWN, 0)
        steps = max(round(wanted.exposure_s * _EXPOSURE_UNITS_PER_S), 1)
        _turn(device, controls, "exposure_s", EXPOSURE, steps)
    if wanted.gain is not None:
        if controls.get(AUTO_GAIN) is not None:
            _turn(device, controls, "automatic gain", AUTO_GAIN, 0)
        _turn(device, controls, "gain", GAIN, round(wanted.gain))
    if wanted.white_balance_k is not None:
        _turn(device, controls, "automatic white balance", AUTO_WHITE_BALANCE, 0)
        kelvin = round(wanted.white_balance_k)
        _turn(device, controls, "white_balance_k", WHITE_BALANCE_K, kelvin)


def _turn(device: object, controls: Controls, name: str, control: int, value: int) -> None:
    """Set one control and make sure that it stays; cheap cameras round, or only say yes."""
    before = controls.get(control)
    if before is None:
        remedy = "Leave it out, and keep the light constant"
        if sys.platform != "linux":
            remedy = "Cameras are set on Linux only: set it by hand, and leave it out"
        raise SettingsRefusedError(device, f"has no control for {name}", remedy)
    is_taken = before == value or controls.set(control, value)
    after = controls.get(control)
    if not is_taken or after != value:
        raise SettingsRefusedError(
            device, f"does not keep {name}: {value} was set, {after} is read back", "Ask for that"
        )
