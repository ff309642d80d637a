"""A USB camera without one: a film in the place of the device, knobs in memory."""

from dataclasses import dataclass, field
from pathlib import Path

import av

from blurryscope.devices.contracts import CameraSettings
from blurryscope.devices.uvc_camera import UvcCamera
from blurryscope.devices.v4l2_controls import (
    AUTO_GAIN,
    AUTO_WHITE_BALANCE,
    EXPOSURE,
    EXPOSURE_MAY_SLOW_DOWN,
    EXPOSURE_MODE,
    GAIN,
    WHITE_BALANCE_K,
)
from blurryscope.testing import FakeClock


@dataclass
class Knobs:
    """Controls as a cheap camera has them; `stuck` ones say yes and stay as they are."""

    values: dict[int, int] = field(
        default_factory=lambda: {
            EXPOSURE_MODE: 3,
            EXPOSURE: 156,
            EXPOSURE_MAY_SLOW_DOWN: 1,
            AUTO_GAIN: 1,
            GAIN: 32,
            AUTO_WHITE_BALANCE: 1,
            WHITE_BALANCE_K: 4600,
        }
    )
    stuck: frozenset[int] = frozenset()

    def get(self, control: int) -> int | None:
        return self.values.get(control)

    def set(self, control: int, value: int) -> bool:
        if control in self.values and control not in self.stuck:
            self.values[control] = value
        return control in self.values


def usb_camera(film: Path, knobs: Knobs | None = None) -> UvcCamera:
    """The driver, opening `film` whenever it opens its device; its clock counts as the film."""
    return UvcCamera(
        "/dev/video0",
        CameraSettings(columns=128, rows=96, frame_rate_hz=30.0),
        clock=FakeClock(),
        controls=knobs or Knobs(),
        open_stream=lambda _, settings: av.open(str(film)),  # noqa: ARG005 - a film has its own size
    )
