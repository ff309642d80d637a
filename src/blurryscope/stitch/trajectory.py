"""The stage's way, frame by frame, and what follows from it: how fast it went, how frames lie."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.quantiles import quantiles
from blurryscope.stitch.camera import CameraModel


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """The stage's way over the frames that lie in lanes; all arrays have one row per such frame.

    The arrays are not to be changed.
    """

    frames: NDArray[np.int64]
    """Frame indices, increasing."""
    lanes: NDArray[np.int64]
    times_s: NDArray[np.float64]
    """When the picture was taken: for a repeated frame, the time of the one it repeats."""
    positions: NDArray[np.float64]
    """(n, 2) field centres (y, x), mosaic pixels."""
    camera: CameraModel

    @cached_property
    def velocities(self) -> NDArray[np.float64]:
        """(n, 2) velocities (y, x) in px/s while the frame was read out.

        Frame times jitter by more than an even stage does, so the lane's usual velocity is taken
        wherever the neighbours roughly agree with it; elsewhere (ramps, jerks) the neighbours' own.
        """
        velocities = np.empty_like(self.positions)
        for rows in lane_rows(self):
            velocities[rows] = _lane_velocities(self.times_s[rows], self.positions[rows])
        return velocities

    @cached_property
    def matrices(self) -> NDArray[np.float64]:
        """(n, 2, 2) from frame offsets to mosaic offsets."""
        return self.camera.frame_matrices(self.velocities)

    def rows_of(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of these frames in the arrays; every frame must be one of `self.frames`."""
        return np.searchsorted(self.frames, frames)

    def only(self, chosen: NDArray[np.bool_]) -> "Trajectory":
        """The frames where `chosen` is true."""
        return replace(
            self,
            frames=self.frames[chosen],
            lanes=self.lanes[chosen],
            times_s=self.times_s[chosen],
            positions=self.positions[chosen],
        )

    def followed_by(self, after: "Trajectory") -> "Trajectory":
        """These frames, then those of lanes filmed later, by the same camera."""
        return replace(
            self,
            frames=np.concatenate([self.frames, after.frames]),
            lanes=np.concatenate([self.lanes, after.lanes]),
            times_s=np.concatenate([self.times_s, after.times_s]),
            positions=np.concatenate([self.positions, after.positions]),
        )


def lane_rows(trajectory: Trajectory) -> list[NDArray[np.int64]]:
    edges = np.flatnonzero(np.diff(trajectory.lanes)) + 1
    return np.split(np.arange(len(trajectory.lanes)), edges)


def is_at_full_speed(speeds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of a lane's speeds, or steps, (n,) and none below 0, are those of a running stage."""
    return np.asarray(speeds >= _FULL_SPEED_FRACTION * quantiles(speeds[None], (0.75,))[0])


def _usual_velocity(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2,) of the frames at full speed; ramps and jerks may be half of a short lane."""
    speeds = np.abs(rates[:, 1])
    usual: NDArray[np.float64] = quantiles(rates[is_at_full_speed(speeds)].T, (0.5,))[0]
    return usual


_FULL_SPEED_FRACTION = 0.8
_LONGEST_STEP = 1.25
_EVEN_SPEED_FRACTION = 0.08
"""Speeds this near to the lane's usual one are taken for it."""


def _lane_velocities(
    times_s: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, 2) velocities of the frames of one lane, px/s.

    A step that is too long for the stage comes from a lost frame and says nothing of the speed.
    """
    steps = np.diff(positions, axis=0)
    lasted = np.diff(times_s)
    rates = steps / np.maximum(lasted, 1e-6)[:, None]
    rates[lasted < 1e-6] = np.nan
    known = rates[np.isfinite(rates[:, 1])]
    if not len(known):
        return np.zeros_like(positions)
    usual = _usual_velocity(known)
    share = rates[:, 1] / usual[1] if usual[1] else np.zeros(len(rates))
    is_sane = np.isfinite(share) & (share < _LONGEST_STEP)
    before = np.concatenate([[False], is_sane])
    after = np.concatenate([is_sane, [False]])
    sane = np.where(is_sane[:, None], rates, 0.0)
    empty = np.zeros((1, 2))
    total = np.concatenate([empty, sane]) + np.concatenate([sane, empty])
    own = total / np.maximum(before.astype(int) + after, 1)[:, None]
    is_whole = before & after
    is_whole[[0, -1]] = (before | after)[[0, -1]]
    is_even = np.abs(own[:, 1] - usual[1]) < _EVEN_SPEED_FRACTION * abs(usual[1])
    # Half of the evidence is enough to tell a jerk, not to tell a standstill from a repeat.
    is_slow = (before | after) & (is_whole | (np.abs(own[:, 1]) > 0.3 * abs(usual[1])))
    return np.where((is_slow & ~is_even)[:, None], own, usual)
