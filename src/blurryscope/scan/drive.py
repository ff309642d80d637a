"""One microscope, and the few ways in which a scan moves it."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from blurryscope.basics.clock import Clock
from blurryscope.devices.contracts import (
    Camera,
    CameraFrame,
    Stage,
    StageMode,
    StagePoint,
    StageStatus,
)

_POLL_S = 0.12
"""A GRBL controller answers five to ten questions a second without losing steps."""
_LAST_POLL_S = 0.03
"""Shortly before the end of a move, so that rests come out alike."""
SETTLE_S = 0.15
"""After a move: what carriage and table take to stop ringing."""
_POLLED_AS_UM_PER_S = 5000.0
_STANDS_S = 1.5
"""Without a micrometre of way, in mid-move: longer than any ramp."""
RUN_UP_UM, FOCUS_RUN_UP_UM = 150.0, 20.0
"""More than the play of any stage worth using."""


@dataclass(frozen=True, slots=True)
class Microscope:
    """A stage and a camera on one clock; real or simulated, nobody knows."""

    name: str
    stage: Stage
    camera: Camera
    clock: Clock


Watch = Callable[[StageStatus], None]


def unwatched(status: StageStatus) -> None:
    """For those who only want to arrive."""


def drive(
    scope: Microscope,
    target: StagePoint,
    speed_um_per_s: float | None = None,
    watch: Watch = unwatched,
) -> StageStatus:
    """Go to a place and wait until the stage rests there; `watch` sees where it is on the way.

    What `watch` raises ends the wait; the stage is then left to the caller. What
    `Stage.wait_until_rest` raises is raised here too.
    """
    scope.stage.move_to(target, speed_um_per_s)
    last_place, since_s = None, 0.0
    while True:
        status = scope.stage.status()
        watch(status)
        if status.position != last_place:
            last_place, since_s = status.position, status.time_s
        # The stage itself tells best why it rests, or does not move.
        if status.mode is not StageMode.MOVING or status.time_s - since_s > _STANDS_S:
            return scope.stage.wait_until_rest()
        left_s = status.position.distance_um(target) / (speed_um_per_s or _POLLED_AS_UM_PER_S)
        scope.clock.sleep(min(max(left_s, _LAST_POLL_S), _POLL_S))


def approach(
    scope: Microscope,
    target: StagePoint,
    run_up_um: float = RUN_UP_UM,
    watch: Watch = unwatched,
) -> StageStatus:
    """Go to a place so that every axis comes from below; along x from above if `run_up_um` < 0.

    Play in the screws then always lies on the same side.
    """
    low = scope.stage.limits.lowest
    before = StagePoint(
        x_um=target.x_um - run_up_um,
        y_um=max(target.y_um - abs(run_up_um), low.y_um),
        z_um=max(target.z_um - FOCUS_RUN_UP_UM, low.z_um),
    )
    drive(scope, before, watch=watch)
    return drive(scope, target, watch=watch)


def picture_at(
    scope: Microscope,
    target: StagePoint,
    run_up_um: float = RUN_UP_UM,
    watch: Watch = unwatched,
) -> CameraFrame:
    """Approach a place, let it settle, and take a picture."""
    approach(scope, target, run_up_um, watch)
    scope.clock.sleep(SETTLE_S)
    return scope.camera.grab()


class Track:
    """Where the stage was: its answers, straight lines between them."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._points: list[StagePoint] = []

    def watch(self, status: StageStatus) -> None:
        """Take an answer; for `drive`."""
        if not self._times_s or status.time_s > self._times_s[-1]:
            self._times_s.append(status.time_s)
            self._points.append(status.position)

    def position_at(self, time_s: float) -> tuple[float, float] | None:
        """Where it was, x and y in µm; None before the first answer and after the last."""
        later = bisect_right(self._times_s, time_s)
        if not 0 < later < len(self._times_s):
            return None
        start_s, end_s = self._times_s[later - 1], self._times_s[later]
        here, there = self._points[later - 1], self._points[later]
        share = (time_s - start_s) / (end_s - start_s)
        return (
            here.x_um + share * (there.x_um - here.x_um),
            here.y_um + share * (there.y_um - here.y_um),
        )
