"""What can go wrong with a stage or a camera, said so that the reader knows what to do.

BlurryScopeError
└── DeviceError                     a stage or a camera
    ├── DeviceMissingError          not there, or not to be opened
    ├── DeviceGoneError             was there, and is unplugged or dead (ConnectionError)
    ├── DeviceSilentError           plugged in, but does not answer in time (TimeoutError)
    ├── GarbledLinkError            answers, but not in words that can be understood
    ├── SettingsRefusedError        does not take, or does not keep, what it was set to
    ├── StageError
    │   ├── NotHomedError           does not know where it is
    │   ├── OutsideLimitsError      sent where it must not go; it did not move (ValueError)
    │   ├── HomingFailedError       did not find its switches
    │   ├── LimitHitError           ran into a switch; does not know where it is
    │   ├── StageStalledError       was told to move and does not
    │   ├── StageRestartedError     restarted by itself; does not know where it is
    │   ├── StageHeldError          stands before its target: held by a person or its watchdog
    │   └── StageAstrayError        stands elsewhere than it was sent
    └── CameraError
        └── CameraFrozenError       sends no pictures, or the same one again and again
"""

from blurryscope.basics.errors import PlacedError


class DeviceError(PlacedError):
    """A stage or camera that cannot do what it was asked.

    `where` is the device as the user knows it: the port, the path, the name.
    """


class DeviceMissingError(DeviceError, FileNotFoundError):
    """A device that is not there, or that cannot be opened."""


class DeviceGoneError(DeviceError, ConnectionError):
    """A device that was there and is not any more: unplugged, switched off, broken."""


class DeviceSilentError(DeviceError, TimeoutError):
    """A device that is plugged in and does not answer in time."""


class GarbledLinkError(DeviceError):
    """Bytes arrive, but they make no sense, even when the question is repeated."""


class SettingsRefusedError(DeviceError):
    """A setting that is not taken or not kept, or a device set otherwise than its profile says."""


class StageError(DeviceError):
    """The stage; `position_is_known` says whether a new homing is needed first."""

    position_is_known = False


class NotHomedError(StageError):
    """A move was asked for before homing; nothing moved."""


class OutsideLimitsError(StageError, ValueError):
    """A move that would leave the limits was asked for; nothing moved."""

    position_is_known = True


class HomingFailedError(StageError):
    """A switch was not found, or did not let go."""


class LimitHitError(StageError):
    """The stage ran into a limit switch and stopped at once; steps were lost."""


class StageStalledError(StageError):
    """The controller says that it moves, and nothing does."""


class StageRestartedError(StageError):
    """The controller restarted: its boot id is another one, and its position is worth nothing."""


class StageHeldError(StageError):
    """The stage stopped in good order before it was there: feed hold, stop, or its watchdog."""

    position_is_known = True


class StageAstrayError(StageError):
    """The stage rests where it was not sent: a command was damaged on its way."""

    position_is_known = True


class CameraError(DeviceError):
    """The camera is there, and its pictures are no good."""


class CameraFrozenError(CameraError, TimeoutError):
    """No new picture in time, or the same picture again and again."""
