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
    halves: NDArray[np.float64] | None = None
    """(n, 2) speeds along x, px/s, in the first and in the second half of the read-out, where they
    were found; NaN elsewhere."""

    @cached_property
    def known_halves(self) -> NDArray[np.float64]:
        """As `halves`, also where none are known."""
        if self.halves is None:
            return np.full((len(self.frames), 2), np.nan)
        return self.halves

    @cached_property
    def velocities(self) -> NDArray[np.float64]:
        """(n, 2) velocities (y, x) in px/s while the frame was read out.

        Frame times jitter by more than an even stage does, so the lane's usual velocity is taken
        wherever the neighbours roughly agree with it; elsewhere (ramps, jerks) the neighbours' own,
        until speeds are found.
        """
        velocities = _velocities(self)
        if self.halves is not None:
            found = self.halves.mean(axis=1)
            velocities[:, 1] = np.where(np.isnan(found), velocities[:, 1], found)
        return velocities

    def velocities_at(
        self, rows: NDArray[np.int64], points_px: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(k, 2) velocities (y, x) from mid read-out to when points of frames are read out.

        `rows` are those of the frames in the arrays, (k,); points (k, 2), (row, col) from the
        frames' centres.
        """
        velocities = self.velocities[rows]
        if self.halves is not None:
            is_second = self.camera.read_out_s(points_px) > 0
            found = self.halves[rows, is_second.astype(np.int64)]
            velocities[:, 1] = np.where(np.isnan(found), velocities[:, 1], found)
        return velocities

    @cached_property
    def matrices(self) -> NDArray[np.float64]:
        """(n, 2, 2) from frame offsets to mosaic offsets."""
        return self.camera.frame_matrices(self.velocities)

    def rows_in(self, lane: int) -> NDArray[np.int64]:
        """Rows of the frames of one lane in the arrays."""
        return np.flatnonzero(self.lanes == lane)

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
            halves=None if self.halves is None else self.halves[chosen],
        )

    def between_lanes(self, first: int, last: int | None = None) -> "Trajectory":
        """The frames of the lanes from `first` to `last`, both included; to the end without one."""
        chosen = self.lanes >= first
        if last is not None:
            chosen &= self.lanes <= last
        return self.only(chosen)

    def followed_by(self, after: "Trajectory") -> "Trajectory":
        """These frames, then those of lanes filmed later, by the same camera."""
        return replace(
            self,
            frames=np.concatenate([self.frames, after.frames]),
            lanes=np.concatenate([self.lanes, after.lanes]),
            times_s=np.concatenate([self.times_s, after.times_s]),
            positions=np.concatenate([self.positions, after.positions]),
            halves=np.concatenate([self.known_halves, after.known_halves]),
        )

    def moved_to(self, part: "Trajectory", first_lane: int) -> "Trajectory":
        """Frames of lanes from `first_lane` on lie as in `part`; all others where they lay.

        What `part` has of other lanes does not count.
        """
        positions, halves = self.positions.copy(), self.known_halves.copy()
        is_free = part.lanes >= first_lane
        rows = self.rows_of(part.frames[is_free])
        positions[rows] = part.positions[is_free]
        halves[rows] = part.known_halves[is_free]
        return replace(self, positions=positions, halves=halves)


def lane_rows(trajectory: Trajectory) -> list[NDArray[np.int64]]:
    """Rows of the frames of each lane in the arrays, lane after lane."""
    edges = np.flatnonzero(np.diff(trajectory.lanes)) + 1
    return np.split(np.arange(len(trajectory.lanes)), edges)


def lane_heights(trajectory: Trajectory) -> NDArray[np.float64]:
    """(lanes,) median y of the frames of each lane, mosaic pixels."""
    return np.array(
        [float(np.median(trajectory.positions[rows, 0])) for rows in lane_rows(trajectory)]
    )


def usual_interval_s(times_s: NDArray[np.float64]) -> float:
    """Time between frames, whatever was dropped or repeated."""
    return float(np.median(np.diff(times_s)))


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
_SHORTEST_STEP = 0.75
"""After a repeated frame, where the usual step seems half as fast."""
_EVEN_SPEED_FRACTION = 0.08
"""Speeds this near to the lane's usual one are taken for it."""
_EVEN_CHANGE, _SUDDEN_CHANGE = 0.03, 0.06
"""Of full speed, from step to step: up to the first a stage goes on evenly, more than frame times
jitter; beyond twice the second its speed changed at once. Between them the one passes into the
other, so that small errors of the places change little."""
_LEAST_CHANGE = 1e-3
_UNEVEN = 1e-3
"""Of the usual speed, by which others differ at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the steps from frame to frame tell of the speed."""

    rates: NDArray[np.float64]
    """(n - 1, 2) px/s, NaN from lane to lane and to a repeated frame."""
    usual: NDArray[np.float64]
    """(n, 2) usual velocity of each frame's lane, px/s."""
    is_end: NDArray[np.bool_]
    """(n,) first and last frames of lanes."""
    is_repeat: NDArray[np.bool_]
    """(n - 1,) steps to a frame that only repeats the one before."""
    is_sane: NDArray[np.bool_]
    """(n - 1,) steps that a stage can make in the time told."""


def steps_of(trajectory: Trajectory) -> Steps:
    """Tell how fast the stage went from frame to frame; all lanes at once, as solves ask often.

    A step that is too long for the stage comes from a lost frame and says nothing of the speed, as
    does the way from one lane to the next, and as does one that is too short after a repeated
    frame: films mostly count on as if that had been a frame more.
    """
    lasted = np.diff(trajectory.times_s)
    is_repeat = (lasted < 1e-6) & (np.diff(trajectory.lanes) == 0)
    rates = np.diff(trajectory.positions, axis=0) / np.maximum(lasted, 1e-6)[:, None]
    rates[is_repeat | (np.diff(trajectory.lanes) != 0)] = np.nan
    usual, is_end = _usual_of_lanes(trajectory, rates)
    along = usual[:-1, 1]
    share = np.divide(rates[:, 1], along, out=np.zeros_like(along), where=along != 0)
    follows_repeat = np.concatenate([[False], is_repeat[:-1]])
    is_sane = np.isfinite(rates[:, 1]) & (share < _LONGEST_STEP)
    is_sane &= ~follows_repeat | (share > _SHORTEST_STEP)
    return Steps(rates=rates, usual=usual, is_end=is_end, is_repeat=is_repeat, is_sane=is_sane)


def uneven_frames(trajectory: Trajectory) -> NDArray[np.bool_]:
    """(n,) frames that did not go at the usual speed of their lane: in ramps, and near jerks."""
    usual = steps_of(trajectory).usual[:, 1]
    off = np.abs(trajectory.velocities[:, 1] - usual)
    return np.asarray(off > _UNEVEN * np.abs(usual))


def _velocities(trajectory: Trajectory) -> NDArray[np.float64]:
    """(n, 2) velocities of the frames, px/s. A repeated one moves as what it repeats."""
    steps = steps_of(trajectory)
    usual, is_sane = steps.usual, steps.is_sane
    before, after = np.concatenate([[False], is_sane]), np.concatenate([is_sane, [False]])
    full_speed = np.abs(usual[:, 1])
    own = _at_frames(np.where(is_sane[:, None], steps.rates, np.nan), np.maximum(full_speed, 1e-6))
    is_whole = (before & after) | ((before | after) & steps.is_end)
    is_even = np.abs(own[:, 1] - usual[:, 1]) < _EVEN_SPEED_FRACTION * full_speed
    # Half of the evidence is enough to tell a jerk, not to tell a standstill from a repeat.
    is_slow = (before | after) & (is_whole | (np.abs(own[:, 1]) > 0.3 * full_speed))
    velocities = np.where((is_slow & ~is_even)[:, None], own, usual)
    is_own = np.concatenate([[True], ~steps.is_repeat])
    return velocities[np.maximum.accumulate(np.where(is_own, np.arange(len(is_own)), 0))]


def _usual_of_lanes(
    trajectory: Trajectory, rates: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each frame's lane's usual velocity, (n, 2), and whether it is the lane's first or last."""
    usual = np.zeros((len(rates) + 1, 2))
    is_end = np.zeros(len(usual), np.bool_)
    for rows in lane_rows(trajectory):
        first, last = int(rows[0]), int(rows[-1])
        is_end[first] = is_end[last] = True
        known = rates[first:last]
        known = known[np.isfinite(known[:, 1])]
        if len(known):
            usual[first : last + 1] = _usual_velocity(known)
    return usual, is_end


def _at_frames(rates: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2) velocities at frames from the n - 1 rates between them; 0 where no rate is known.

    Where the speed changes at once, as where a stage sticks, a frame moves with the side that goes
    on evenly: half of both is the speed of neither. In a ramp both sides change about alike, and
    count alike.

    Parameters
    ----------
    rates
        (n - 1, 2) px/s, NaN where the step says nothing.
    usual
        (n,) full speed, px/s, above 0.
    """
    none, unknown = np.full((1, 2), np.nan), np.full(2, np.nan)
    left, right = np.concatenate([none, rates]), np.concatenate([rates, none])
    changes = np.abs(np.diff(rates[:, 1]))
    uneven_left = np.concatenate([unknown, changes])[: len(left)]
    uneven_right = np.concatenate([changes, unknown])[-len(left) :]
    here = np.abs(right[:, 1] - left[:, 1])
    leaning = _lean(uneven_right / usual, here / usual, uneven_left / usual)
    leaning -= _lean(uneven_left / usual, here / usual, uneven_right / usual)
    from_left = np.where(np.isfinite(left[:, 1]), (1.0 - leaning) / 2, 0.0)
    from_left = np.where(np.isfinite(right[:, 1]), from_left, 1.0)[:, None]
    told = _known_or_0(left) * from_left + _known_or_0(right) * (1.0 - from_left)
    return np.asarray(told, np.float64)


def _lean(
    this_side: NDArray[np.float64], here: NDArray[np.float64], other_side: NDArray[np.float64]
) -> NDArray[np.float64]:
    """0 to 1, how far a frame moves with this side alone, by how the speed changes around it.

    Changes are fractions of full speed; unknown ones (NaN) tell nothing. One as large at the frame
    as beside it is a ramp.
    """
    is_even = np.clip(2.0 - this_side / _EVEN_CHANGE, 0.0, 1.0)
    is_sudden = np.clip(other_side / _SUDDEN_CHANGE - 1.0, 0.0, 1.0)
    unlike = np.log2(np.maximum(here, _LEAST_CHANGE) / np.maximum(other_side, _LEAST_CHANGE))
    is_no_ramp = np.clip(np.abs(unlike), 0.0, 1.0)
    return _known_or_0(is_even * is_sudden * is_no_ramp)


def _known_or_0(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """As `np.nan_to_num` of numbers that end; a third of the time."""
    return np.where(np.isnan(values), 0.0, values)
