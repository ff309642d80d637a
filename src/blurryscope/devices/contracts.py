"""What every stage and every camera does, real or simulated; all above knows only this."""

import math
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.video import Frame
from blurryscope.basics.image import Rgb


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePoint:
    """A place of the stage, from its home: x is the fast axis (lanes), z the focus."""

    x_um: float
    y_um: float
    z_um: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.x_um, self.y_um, self.z_um))):
            raise ValueError(f"a place must be finite, got {self}")

    def distance_um(self, other: "StagePoint") -> float:
        """How far `other` is, straight through space."""
        ours = (self.x_um, self.y_um, self.z_um)
        return math.dist(ours, (other.x_um, other.y_um, other.z_um))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLimits:
    """Where the stage may go and how fast; both corners belong to it."""

    lowest: StagePoint
    highest: StagePoint
    speed_um_per_s: float
    """Of the fastest move along x."""
    acceleration_um_per_s2: float
    """Along x; decides the over-travel at the ends of a lane."""

    def __post_init__(self) -> None:
        low, high = self.lowest, self.highest
        if low.x_um >= high.x_um or low.y_um >= high.y_um or low.z_um > high.z_um:
            raise ValueError(f"lowest must lie below highest, got {low} and {high}")
        if self.speed_um_per_s <= 0 or self.acceleration_um_per_s2 <= 0:
            raise ValueError("speed_um_per_s and acceleration_um_per_s2 must be positive")

    def contain(self, point: StagePoint, slack_um: float = 0.0) -> bool:
        """Whether the stage may go there; `slack_um` for places that were rounded."""
        low, high = self.lowest, self.highest
        return (
            low.x_um - slack_um <= point.x_um <= high.x_um + slack_um
            and low.y_um - slack_um <= point.y_um <= high.y_um + slack_um
            and low.z_um - slack_um <= point.z_um <= high.z_um + slack_um
        )


class StageMode(StrEnum):
    """What the stage is up to."""

    UNHOMED = "unhomed"
    """Stands, does not know where it is, and refuses to move."""
    HOMING = "homing"
    RESTING = "resting"
    """Stands where it was sent, and is ready."""
    MOVING = "moving"
    HELD = "held"
    """Stands in good order, or slows down to it; `resume` goes on, `stop` forgets the move."""
    ALARMED = "alarmed"
    """A limit switch, a failed homing or a reset on the way: only `home` helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """One answer of the stage."""

    mode: StageMode
    position: StagePoint
    """Where the controller believes to be; worth nothing unless homed."""
    is_homed: bool
    time_s: float
    """When the answer came, on the clock that the stage was given."""
    boot_id: str | None = None
    """Another id means that the controller restarted since. None: the controller has none."""
    note: str = ""
    """What the controller last said beyond its answers: the watchdog, an alarm, a switch."""

    @property
    def is_moving(self) -> bool:
        return self.mode in {StageMode.MOVING, StageMode.HOMING}


class Stage(Protocol):
    """Moves the slide. Opens in `with`, which changes nothing but may find it unhomed.

    Leaving the `with` stops whatever moves. Every method may raise `DeviceGoneError`,
    `DeviceSilentError` or `GarbledLinkError`; after a `StageRestartedError` or `LimitHitError`
    only `home` helps. All methods may be called from any thread; `stop` and `hold` do not wait
    for the others.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @property
    def name(self) -> str:
        """What the user knows it by, with its firmware's version where it tells."""
        ...

    @property
    def limits(self) -> StageLimits:
        """Where it may go, as read back from the controller."""
        ...

    def status(self) -> StageStatus:
        """Ask now. Never raises because of the stage's mode; that is in the answer."""
        ...

    def home(self) -> StageStatus:
        """Find the switches, from any mode, and wait for it; `HomingFailedError` if there are none.

        Also takes back an alarm and a restart: afterwards the boot id is the new one.
        """
        ...

    def move_to(self, target: StagePoint, speed_um_per_s: float | None = None) -> None:
        """Start a straight move and return; None is as fast as the limits allow.

        A move that is started while another runs follows it. `NotHomedError`,
        `OutsideLimitsError` and `StageHeldError` (resume or stop first) leave the stage where
        it is.
        """
        ...

    def wait_until_rest(self) -> StageStatus:
        """Wait for the end of all moves; at once if none runs.

        Raises `StageHeldError` when it stands before it is there, `LimitHitError`,
        `StageStalledError` (told to move, does not; it is stopped then), `StageRestartedError`,
        or `StageAstrayError` when it rests elsewhere.
        """
        ...

    def hold(self) -> None:
        """Slow down in good order and keep the rest of the move; no waiting, no error at rest."""
        ...

    def resume(self) -> None:
        """Go on with what `hold` interrupted; nothing if nothing was.

        After its watchdog the stage has forgotten the move: `StageHeldError`, `stop` frees it.
        """
        ...

    def stop(self) -> None:
        """Slow down in good order, forget all moves, and wait until it stands; a ramp's time.

        The position stays known. Also takes back a hold and the watchdog's stop.
        """
        ...


class Lamp(Protocol):
    """The light under the slide, where the stage's controller switches it."""

    def light(self, level_fraction: float) -> None:
        """From 0, dark, to 1; after all moves that were started before."""
        ...

    def mark(self, dark_s: float) -> None:
        """Dark for a moment, then as before, as a mark in the film; after all moves before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """What a camera is asked for, and what it says it has; None asks for nothing, or is unknown.

    Asking for an exposure, gain or white balance locks it: its automatic control is switched off.
    """

    columns: int | None = None
    rows: int | None = None
    frame_rate_hz: float | None = None
    exposure_s: float | None = None
    gain: float | None = None
    """In the camera's own units, for cheap cameras have no others."""
    white_balance_k: float | None = None
    """Colour temperature in kelvin."""

    def __post_init__(self) -> None:
        for name in ("columns", "rows", "frame_rate_hz", "exposure_s", "white_balance_k"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFrame:
    """One picture of a camera that films now; a `Frame`, so the stitcher takes it as it is."""

    index: int
    """Counts from 0 in order of arrival since the stream began."""
    time_s: float
    """When its exposure began, as near as the camera tells, on the camera's clock (monotonic)."""
    picture: Frame
    jpeg: bytes | None = None
    """As it left the camera, to be filmed without coding it again; None if it was no JPEG."""
    lost_count: int = 0
    """How many frames are known to be missing between the one before and this one."""

    def luma(self) -> NDArray[np.uint8]:
        return self.picture.luma()

    def rgb(self) -> Rgb:
        return self.picture.rgb()

    def small_rgb(self, size_px: tuple[int, int]) -> Rgb:
        return self.picture.small_rgb(size_px)


class Camera(Protocol):
    """Films. Opens in `with`; may raise `DeviceGoneError` at any time."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @property
    def name(self) -> str:
        """What the user knows it by."""
        ...

    @property
    def settings(self) -> CameraSettings:
        """As read back from the camera just now; columns and rows are always known."""
        ...

    def configure(self, wanted: CameraSettings) -> CameraSettings:
        """Set and lock what is not None, read it back, and give what the camera says it has.

        `SettingsRefusedError` names the first that did not stick.
        """
        ...

    def frames(self) -> Generator[CameraFrame, None, None]:
        """Film from now on, one frame after the other; closing the iterator ends it.

        A frame waits for whoever is slow, up to what the camera buffers; the rest is lost and
        counted. `CameraFrozenError` after a time without new pictures. Ends by itself only
        where the camera is a file.
        """
        ...

    def grab(self) -> CameraFrame:
        """One frame whose exposure began after the call, for standing still. Not while filming."""
        ...
