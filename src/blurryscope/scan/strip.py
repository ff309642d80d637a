"""One strip forth and back at scan speed: read-out, scale, rotation and the true frame rate."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.errors import InputError
from blurryscope.devices.contracts import CameraFrame
from blurryscope.scan.bench import REMEDY
from blurryscope.scan.calibration import StripCheck
from blurryscope.scan.displacement import (
    LEAST_TEMPLATE_PX,
    Displacement,
    Search,
    detail,
    find_displacement,
)
from blurryscope.scan.drive import Microscope, Track, drive
from blurryscope.scan.filming import Filming
from blurryscope.scan.optical_fit import (
    FrameClock,
    PixelFit,
    SpeedFit,
    StripFit,
    fit_frame_clock,
    fit_speed,
    fit_strip,
)
from blurryscope.scan.plan import ScanPlan

_MOST_RATIO = 0.45
"""Read-out ratios beyond this leave frames nothing in common."""
_USUAL_RATIO = 0.25
"""Of a cheap camera with a rolling shutter at the paper's speed."""
_JITTER_REACH_PX = (12, 24)
"""Across and along: what a step may be off the usual one; less where a frame is too small."""
_LEAST_REACH_PX = 6
_ROWS = (0.0, 0.25, -0.25)
"""Fields across: where the strip is filmed, so that one core's edge or a jerk does not decide."""
Detail = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Strip:
    """What a strip told, and how well."""

    fit: StripFit
    check: StripCheck


def measure_strip(
    scope: Microscope,
    plan: ScanPlan,
    cross: PixelFit,
    flat: NDArray[np.float32],
    ends_um: tuple[float, float],
    y_um: float,
) -> Strip:
    """Film from one x to the other and back at the plan's speed, and take the motion apart.

    An `InputError` where too few steps of the content can be followed.
    """
    speed_um_per_s = plan.motion.speed_um_per_s
    film = _Film(flat)
    for share in _ROWS:
        for ways_um in (ends_um, ends_um[::-1]):
            _film_pass(scope, plan, film, ways_um, y_um + share * plan.field.across_um)
    speeds = []
    for way in (1, -1):
        moves = film.cruise(way, ends_um)
        if moves:
            _refuse_small_frames(moves, cross, way * speed_um_per_s)
        speed = _speed_of(moves, cross, way * speed_um_per_s)
        if speed is None:
            raise InputError(
                "the strip", f"too few of its {len(moves)} steps can be followed", REMEDY
            )
        speeds.append(speed)
    clock = film.clock()
    fit = fit_strip(speeds[0], speeds[1], speed_um_per_s)
    return Strip(fit, _check(fit, clock, speed_um_per_s))


def _check(fit: StripFit, clock: FrameClock, speed_um_per_s: float) -> StripCheck:
    return StripCheck(
        speed_um_per_s=speed_um_per_s,
        readout_ratio=fit.readout_ratio,
        row_time_s=fit.row_time_s,
        frame_rate_hz=clock.frame_rate_hz,
        jitter_s=clock.jitter_s,
        lost_count=clock.lost_count,
        spread_fraction=fit.spread_fraction,
        count=fit.count,
    )


def _film_pass(
    scope: Microscope, plan: ScanPlan, film: "_Film", ends_um: tuple[float, float], y_um: float
) -> None:
    begin_um, stop_um = ends_um
    way = 1 if stop_um > begin_um else -1
    beyond_um = way * plan.over_travel_um
    drive(scope, plan.place(begin_um - beyond_um, y_um))
    film.begin(way)
    with Filming(scope.camera, [film.take]) as filming:
        filming.wait_for_first()
        drive(
            scope,
            plan.place(stop_um + beyond_um, y_um),
            plan.motion.speed_um_per_s,
            film.track.watch,
        )


@dataclass(frozen=True, slots=True)
class _Move:
    """Two frames, one after the other."""

    seconds: float
    before: Detail
    after: Detail


class _Film:
    """The frames of the passes; only their detail is kept."""

    def __init__(self, flat: NDArray[np.float32]) -> None:
        self.track = Track()
        self._flat = flat
        self._way = 1
        self._passes: dict[int, list[list[tuple[float, Detail]]]] = {1: [], -1: []}

    def begin(self, way: int) -> None:
        self._way = way
        self._passes[way].append([])

    def take(self, frame: CameraFrame) -> None:
        self._passes[self._way][-1].append((frame.time_s, detail(frame.luma(), self._flat)))

    def cruise(self, way: int, ends_um: tuple[float, float]) -> list[_Move]:
        """Pairs of frames that were both taken between the ends, at full speed."""
        low_um, high_um = ends_um
        return [
            _Move(later_s - earlier_s, before, after)
            for frames in self._passes[way]
            for (earlier_s, before), (later_s, after) in pairwise(frames)
            if all(low_um <= x_um <= high_um for x_um in self._x_um(earlier_s, later_s))
        ]

    def _x_um(self, *times_s: float) -> Iterator[float]:
        for time_s in times_s:
            place = self.track.position_at(time_s)
            yield np.inf if place is None else place[0]

    def clock(self) -> FrameClock:
        """From the longest pass: between the passes the camera was not filming."""
        longest = max((p for passes in self._passes.values() for p in passes), key=len)
        return fit_frame_clock([time_s for time_s, _ in longest])


def _speed_of(moves: list[_Move], cross: PixelFit, speed_um_per_s: float) -> SpeedFit | None:
    """Follow the content: first wherever the read-out may put it, then where it usually is."""
    first = [
        found for move in moves if (found := _follow(move, _anywhere(move, cross, speed_um_per_s)))
    ]
    if len(first) < 4:
        return None
    usual_x, usual_y = (
        float(value) for value in np.median(first, axis=0)[1:] / np.median(first, axis=0)[0]
    )
    exact = [found for move in moves if (found := _follow(move, _near(move, usual_x, usual_y)))]
    return fit_speed(exact)


def _near(move: _Move, x_px_per_s: float, y_px_per_s: float) -> Search:
    """Where content is that moves about as usual."""
    x_px, y_px = x_px_per_s * move.seconds, y_px_per_s * move.seconds
    rows, columns = move.before.shape
    across, along = _JITTER_REACH_PX
    reach_x, reach_y = (across, along) if abs(y_px) > abs(x_px) else (along, across)
    return Search(
        x_px=x_px,
        y_px=y_px,
        reach_x_px=min(reach_x, _room_px(columns, x_px)),
        reach_y_px=min(reach_y, _room_px(rows, y_px)),
    )


def _room_px(size_px: int, shift_px: float) -> int:
    """How far from an expected displacement two frames can be compared."""
    return max(size_px - LEAST_TEMPLATE_PX - abs(round(shift_px)), _LEAST_REACH_PX)


def _refuse_small_frames(moves: list[_Move], cross: PixelFit, speed_um_per_s: float) -> None:
    """Raise an `InputError` where frames are too small to share a patch at that speed."""
    seconds = float(np.median([move.seconds for move in moves]))
    shifts_px = cross.displacement_px(speed_um_per_s * seconds, 0.0)
    for size_px, shift_px in zip(moves[0].before.shape[::-1], shifts_px, strict=True):
        least_px = LEAST_TEMPLATE_PX + _LEAST_REACH_PX
        if size_px - abs(shift_px) / (1 - _USUAL_RATIO) < least_px:
            raise InputError(
                "the strip",
                f"at {abs(speed_um_per_s):.0f} µm/s the picture moves on by {abs(shift_px):.0f} of "
                f"{size_px} px from frame to frame, more where the rolling shutter stretches: too "
                f"little is left to follow it ({least_px} px at least)",
                "Choose a camera mode with more pixels or more frames a second, or a slower speed "
                "in the plan",
            )


def _follow(move: _Move, search: Search) -> tuple[float, float, float] | None:
    found: Displacement | None = find_displacement(move.before, move.after, search)
    return None if found is None else (move.seconds, found.x_px, found.y_px)


def _anywhere(move: _Move, cross: PixelFit, speed_um_per_s: float) -> Search:
    """Where content may be that a rolling shutter stretches or compresses along the columns."""
    x_px, y_px = cross.displacement_px(speed_um_per_s * move.seconds, 0.0)
    room_px = move.before.shape[0] - LEAST_TEMPLATE_PX - 4
    nearest, farthest = abs(y_px) / (1 + _MOST_RATIO), abs(y_px) / (1 - _MOST_RATIO)
    farthest = max(min(farthest, room_px), nearest)
    middle = float(np.copysign((nearest + farthest) / 2, y_px))
    reach = max(round((farthest - nearest) / 2), _JITTER_REACH_PX[0])
    return Search(x_px=x_px, y_px=middle, reach_x_px=2 * _JITTER_REACH_PX[0], reach_y_px=reach)
