"""Whether the stage goes where its controller counts: it has no scale, but the film shows it."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.errors import InputError
from blurryscope.devices.contracts import CameraFrame
from blurryscope.devices.errors import StageError, StageStalledError
from blurryscope.scan.appearance_fit import tissue_fraction
from blurryscope.scan.plan import Lane, Motion

_LOOK_EVERY = 2
_SHRINK = 4
_TISSUE, _SOME_TISSUE = 0.3, 0.02
_TELLING = 3.0
"""Grey levels, deviation of detail in a picture shrunk so far; glass and its dust have less."""
_SHADING_PX = 8.0
_STANDS = 0.8
"""Correlation with an earlier frame at the same place: at rest 0.95, in a lane below 0.25."""
_FEWEST_LOOKS = 4
_STANDS_S, _STANDS_UM = 0.25, 100.0
"""What the controller counts on while the picture stands. When a lane began is known to 0.1 s."""
REMEDY = (
    "Check motor, screw, coupling and the slide's clamp, and give the same command again: it homes "
    "and scans this repeat anew. What was filmed is kept"
)


class StageLostError(StageError):
    """The stage is not where its controller counts: motor, screw or coupling did not follow."""


def lost_error(stage: str, words: str) -> StageLostError:
    """Say that the landmark lies elsewhere when all lanes are filmed; `words` tell how far."""
    return StageLostError(
        stage,
        f"the stage lost its way by {words} in this repeat, or the slide was moved: what the film "
        "shows lies elsewhere than was counted",
        REMEDY,
    )


def bare_error(folder: Path) -> InputError:
    """Say that a whole scan has seen no tissue: nothing then tells whether the stage moved."""
    return InputError(
        folder,
        "no lane shows anything but glass: the area holds no tissue, or the carriage does not "
        "follow its motor",
        "Check area, slide, motor and coupling, and give the same command again: it homes and "
        "scans this repeat anew",
    )


def stalled_error(stage: str, lane: int, stood_s: float) -> StageStalledError:
    """Say that the picture stood in a lane, counted from 0 as everywhere, for so long."""
    return StageStalledError(
        stage,
        f"counts on in lane {lane}, and the picture stands for {stood_s:.1f} s: the carriage "
        "does not follow",
        REMEDY,
    )


def put_aside(folder: Path) -> Path:
    """Move a scan that cannot be trusted out of the way, beside where it lay; gives where."""
    number, target = 1, folder.with_name(f"astray-{folder.name}")
    while target.exists():
        number += 1
        target = folder.with_name(f"astray-{folder.name}-{number}")
    folder.rename(target)
    return target


@dataclass(slots=True)
class StillWatch:
    """Looks for frames of tissue that show one place again and again. Safe to ask meanwhile."""

    flat: NDArray[np.float32]
    """The field over empty glass, (row, col), mean 1."""
    glass: float
    """What empty glass gives, grey levels."""
    has_seen_tissue: bool = False
    """In any frame so far, however little."""
    _runs: list["_Run"] = field(default_factory=list)
    _reference: NDArray[np.float32] | None = None
    _last_seen: NDArray[np.uint8] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, frame: CameraFrame) -> None:
        """Take the next frame of the film."""
        if frame.index % _LOOK_EVERY:
            return
        luma = _small_luma(frame)
        if self._last_seen is not None and np.array_equal(luma, self._last_seen):
            return  # the very same picture again, which is the camera's fault, not the stage's
        self._last_seen = luma
        size = (luma.shape[1], luma.shape[0])
        glass = self.glass * cv2.resize(self.flat, size, interpolation=cv2.INTER_AREA)
        even = np.clip(luma / glass * self.glass, 0, 255).astype(np.uint8)
        seen = _fine(even)
        tissue = tissue_fraction(even, self.glass)
        is_telling = seen.std() >= _TELLING and tissue >= _TISSUE
        self.has_seen_tissue |= tissue >= _SOME_TISSUE
        with self._lock:
            if not is_telling:
                self._reference = None
            elif self._reference is not None and _likeness(self._reference, seen) >= _STANDS:
                run = self._runs[-1]
                run.last_s, run.look_count = frame.time_s, run.look_count + 1
            else:
                self._reference = seen
                self._runs.append(_Run(frame.time_s, frame.time_s, 1))

    def end_lane(self, from_s: float, until_s: float, speed_um_per_s: float) -> float | None:
        """Close a lane; how long it stood where it was counted at full speed, None if it went."""
        with self._lock:
            # What is seen while it rests goes on to the next lane, which may stand there for good.
            runs, self._runs = self._runs, self._runs[-1:]
        stood_s = max(
            (
                min(run.last_s, until_s) - max(run.first_s, from_s)
                for run in runs
                if run.look_count >= _FEWEST_LOOKS
            ),
            default=0.0,
        )
        return stood_s if stood_s >= max(_STANDS_S, _STANDS_UM / speed_um_per_s) else None


@dataclass(slots=True)
class _Run:
    """Frames that show one place."""

    first_s: float
    last_s: float
    look_count: int


def cruise_s(set_off_s: float, lane: Lane, motion: Motion) -> tuple[float, float]:
    """When a stage that set off then is at full speed over what a lane has to show."""
    half_ramp_s = motion.speed_um_per_s / motion.acceleration_um_per_s2 / 2
    from_um, to_um = (
        abs(x_um - lane.start.x_um) for x_um in (lane.cruise_from_um, lane.cruise_to_um)
    )
    began_s = set_off_s + half_ramp_s
    return began_s + from_um / motion.speed_um_per_s, began_s + to_um / motion.speed_um_per_s


def _small_luma(frame: CameraFrame) -> NDArray[np.uint8]:
    """The frame shrunk, (row, col)."""
    if frame.jpeg is not None:
        coded = np.frombuffer(frame.jpeg, np.uint8)
        decoded = cv2.imdecode(coded, cv2.IMREAD_REDUCED_GRAYSCALE_4)
        if decoded is not None:
            return np.asarray(decoded, np.uint8)
    luma = frame.luma()
    size = (max(luma.shape[1] // _SHRINK, 1), max(luma.shape[0] // _SHRINK, 1))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def _fine(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What is finer than what neighbouring places of tissue have in common, grey levels."""
    wide = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), _SHADING_PX)
    return np.asarray(luma - wide, np.float32)


def _likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Correlation of two pictures laid on each other without a shift."""
    if one.shape != other.shape:
        return 0.0
    return float(cv2.matchTemplate(one, other, cv2.TM_CCOEFF_NORMED)[0, 0])
