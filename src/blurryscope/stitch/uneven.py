"""Where the stage jerked: frames placed anew, together with how fast it went as they were read.

A frame is read out line by line, in up to half of the time to the next one. Where the stage sticks,
lets go or slows down for the turn, it does not go at the lane's usual speed, and may change that
while a frame is read out; a speed guessed from the steps between frames is then wrong by so much
that the links near a frame's rim lie off by ten pixels. Here the speeds in both halves of the
read-out are unknowns beside the places, for all frames near a jerk, and the links tell them.

The step to the next frame is what these speeds make of the time between. From half to half the
speed changes in as few and as small jumps as the links allow (total variation; Rudin, Osher and
Fatemi 1992): it stays even where nothing contradicts, and what changes at once is not smeared out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from blurryscope.stitch.expectations import Expectations, PriorSystem
from blurryscope.stitch.links import Links
from blurryscope.stitch.normal_matrix import NormalMatrix
from blurryscope.stitch.solve import (
    Solution,
    judged,
    keeps_course,
    link_certainty,
    link_residuals,
    link_weights,
    steps_held,
)
from blurryscope.stitch.trajectory import Steps, Trajectory, steps_of, uneven_frames

_ROUNDS = 8
_FIRST_DOUBT_PX, _LAST_DOUBT_PX = 30.0, 0.2
"""What a place may be off by at first, and what is left to doubt in the last round."""
_LEAST_CORRELATION = 0.5
"""Of exact links; those of the first look count for less."""
_NEAR = 2
"""Frames on either side of an uneven one whose speeds are asked for too."""
_USUAL_SIGMA = 0.3
"""Of full speed; only keeps a speed that no link tells from running away."""
_JUMP_SCALE = 0.025
"""Of full speed; for a jump of this size some link or step may be off by a few of its sigmas."""
_FIRST_ROUNDED, _LAST_ROUNDED = 3.0, 0.3
"""Of that scale: smaller jumps count by their squares, in the first round and in the last."""
_UNSEEN = 0.5
"""Of the time from frame to frame that links do not reach: rims are seen too, and each line for as
long as it is exposed."""
_SEEN_PX = 0.5
"""What full speed makes of the read-out, at least, for speeds to matter."""
_ALIKE_SIGMA = 1e-3
"""Of full speed; a repeated frame shows the same read-out again."""


def with_uneven_speeds(solution: Solution, links: Links, expected: Expectations) -> Solution:
    """Place the frames near a jerk anew along x, and find their speeds.

    Parameters
    ----------
    solution
        Places that are right to some ten pixels. Pinned frames keep their places and speeds.
    links
        Measured pairs of points; both frames must be in the trajectory.

    Returns
    -------
    The solution with the `halves` of its trajectory; as it was where the stage went evenly, and
    where no link would tell: frames exposed at once.
    """
    start = solution.trajectory
    kept = links.only(keeps_course(start, links, link_residuals(start, links)))
    # Nothing is learnt of frames over glass: they stay, and with them the cores on either side.
    is_pinned = _are_to_stay(start, kept, expected)
    expected = replace(expected, is_pinned=is_pinned)
    is_asked = _asked(start, is_pinned)
    if not is_asked.any() or not _tell_speeds(start, kept):
        return solution
    system = _System(start, kept, expected, is_asked)
    doubts_px = np.geomspace(_FIRST_DOUBT_PX, _LAST_DOUBT_PX, _ROUNDS)
    rounded = np.geomspace(_FIRST_ROUNDED, _LAST_ROUNDED, _ROUNDS)
    for doubt_px, part in zip(doubts_px.tolist(), rounded.tolist(), strict=True):
        system.improve(doubt_px, part)
    found = judged(system.trajectory(), links, expected)
    return replace(found, camera_sigma=solution.camera_sigma)


def _tell_speeds(start: Trajectory, links: Links) -> bool:
    """Whether frames are read out so slowly that speeds matter where there are links.

    Read out across the scan, neighbours of a lane show each spot at the same time of their
    read-outs: they tell how much faster one went than the other, from an even frame on.
    """
    full_px_per_s = float(np.abs(steps_of(start).usual[:, 1]).max())
    return _reach_s(start, links) * full_px_per_s >= _SEEN_PX


def _reach_s(start: Trajectory, links: Links) -> float:
    """For how long of a frame's read-out there are links; a few false ones lie anywhere."""
    points_px = np.concatenate([links.point_earlier, links.point_later])
    low_s, high_s = np.quantile(start.camera.read_out_s(points_px), (0.02, 0.98))
    return float(high_s - low_s)


def _are_to_stay(start: Trajectory, links: Links, expected: Expectations) -> NDArray[np.bool_]:
    """(n,) frames that no exact link holds, and those that are pinned."""
    exact = links.only(links.correlation >= _LEAST_CORRELATION)
    is_free = np.isin(start.frames, np.union1d(exact.earlier, exact.later))
    if expected.is_pinned is not None:
        is_free &= ~expected.is_pinned
    return ~is_free


def _asked(start: Trajectory, is_pinned: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) frames in or near a jerk whose speeds are asked for."""
    is_uneven = uneven_frames(start)
    is_asked = is_uneven.copy()
    for apart in range(1, _NEAR + 1):
        is_same_lane = start.lanes[apart:] == start.lanes[:-apart]
        is_asked[apart:] |= is_uneven[:-apart] & is_same_lane
        is_asked[:-apart] |= is_uneven[apart:] & is_same_lane
    return is_asked & ~is_pinned


def _place(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Columns of the frames' places; each is followed by those of its two speeds."""
    return 3 * frames


def _speed(frames: NDArray[np.int64], half: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Columns of the frames' speeds in the first (0) or second half (1) of their read-out."""
    return 3 * frames + 1 + half


@dataclass(frozen=True, slots=True, kw_only=True)
class _Equations:
    """Of one kind, as rows over all places and speeds."""

    columns: NDArray[np.int64]
    """(rows, entries)."""
    values: NDArray[np.float64]
    """(rows, entries)."""
    targets: NDArray[np.float64]
    """(rows,)."""

    def matrix(self, count: int) -> scipy.sparse.csr_array:
        rows, entries = self.columns.shape
        starts = np.arange(rows + 1) * entries
        parts = (self.values.ravel(), self.columns.ravel(), starts)
        return scipy.sparse.csr_array(parts, (rows, count))


class _System:
    """Links, and what is expected of places and of speeds, all along x; px and px/s."""

    def __init__(
        self,
        start: Trajectory,
        links: Links,
        expected: Expectations,
        is_asked: NDArray[np.bool_],
    ) -> None:
        self._start, self._links, self._expected = start, links, expected
        self._is_asked = is_asked
        told = steps_of(start)
        self._values = _values(start, told, is_asked)
        asked = np.flatnonzero(is_asked)
        near = np.flatnonzero((is_asked[:-1] | is_asked[1:]) & (np.diff(start.lanes) == 0))
        repeats, self._stepping = near[told.is_repeat[near]], near[told.is_sane[near]]
        lasts_s = np.diff(start.times_s)[self._stepping]
        # A speed that changed between two frames did so anywhere in what is not seen between them.
        unseen_s = _UNSEEN * np.maximum(lasts_s - _reach_s(start, links), 0)
        self._change_sigma_s = unseen_s / np.sqrt(12)
        full = np.abs(told.usual[:, 1])
        self._certainty = link_certainty(links, expected)[:, 1]
        self._jump_scale = _JUMP_SCALE * full[np.concatenate([asked, near])]
        self._alike_weights = (_ALIKE_SIGMA * full[np.tile(repeats, 2)]) ** -2
        self._usual_weights = (_USUAL_SIGMA * full[np.tile(asked, 2)]) ** -2
        self._priors = PriorSystem(start, expected, 1, steps_held(start, links))
        self._priors.follow(start.positions[:, 1])
        self._priors.reweigh(start.positions[:, 1])
        kinds = [
            _of_links(start, links),
            _of_jumps(asked, near),
            _of_repeats(repeats),
            _of_usual_speeds(asked, told.usual[:, 1]),
            _of_steps(self._stepping, lasts_s),
        ]
        self._counts = np.cumsum([len(kind.targets) for kind in kinds])[:-1]
        columns = _below_each_other(self._priors, kinds, len(self._values)).tocsc()
        self._everything = columns.tocsr()
        self._targets = np.concatenate([self._priors.target, *(kind.targets for kind in kinds)])
        is_unknown = np.ones(len(self._values), np.bool_)
        is_unknown[1::3] = is_unknown[2::3] = is_asked
        self._unknown = np.flatnonzero(is_unknown)
        self._matrix = scipy.sparse.csr_array(columns[:, self._unknown])
        known = columns[:, np.flatnonzero(~is_unknown)] @ self._values[~is_unknown]
        self._asked_for = self._targets - known
        self._normal = NormalMatrix(self._matrix)

    def improve(self, doubt_px: float, rounded: float) -> None:
        """One round: the best places and speeds for weights by what is wrong now."""
        wrong = self._everything @ self._values - self._targets
        weights = self._weights(wrong[len(self._priors.target) :], doubt_px, rounded)
        right_side = self._matrix.T @ (weights * self._asked_for)
        self._values[self._unknown] = self._normal.factors(weights).solve(right_side)
        self._priors.reweigh(self._values[::3])

    def trajectory(self) -> Trajectory:
        """The start, with the places and speeds found."""
        positions = self._start.positions.copy()
        positions[:, 1] = self._values[::3]
        halves = np.where(
            self._is_asked[:, None], self._values.reshape(-1, 3)[:, 1:], self._start.known_halves
        )
        return replace(self._start, positions=positions, halves=halves)

    def _weights(
        self, wrong: NDArray[np.float64], doubt_px: float, rounded: float
    ) -> NDArray[np.float64]:
        links, jumps, _, _, _ = np.split(wrong, self._counts)
        least = rounded * self._jump_scale
        speeds = self._values.reshape(-1, 3)
        jump = speeds[self._stepping, 2] - speeds[self._stepping + 1, 1]
        step_sigma_px = np.hypot(self._expected.step_sigma_px[1], jump * self._change_sigma_s)
        along = np.stack([np.zeros(len(links)), links], axis=1)
        trusted = link_weights(along, self._links, self._expected, doubt_px)
        return np.concatenate(
            [
                self._priors.weights,
                trusted * self._certainty,
                1 / (self._jump_scale * np.maximum(np.abs(jumps), least)),
                self._alike_weights,
                self._usual_weights,
                step_sigma_px**-2,
            ]
        )


def _values(start: Trajectory, told: Steps, is_asked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(3 n,) of each frame its place and its two speeds: known, or first told by its steps."""
    speeds = np.repeat(start.velocities[:, 1:], 2, axis=1)
    speeds = np.where(np.isnan(start.known_halves), speeds, start.known_halves)
    rates = np.where(told.is_sane, told.rates[:, 1], np.nan)
    of_steps = np.stack([np.append(np.nan, rates), np.append(rates, np.nan)], axis=1)
    speeds = np.where(is_asked[:, None] & np.isfinite(of_steps), of_steps, speeds)
    return np.concatenate([start.positions[:, 1:], speeds], axis=1).ravel()


def _below_each_other(
    priors: PriorSystem, kinds: Sequence[_Equations], count: int
) -> scipy.sparse.csr_array:
    """What is expected of places, then equations of all kinds, as rows over all `count` values."""
    rows = [_spread(priors.matrix), *(kind.matrix(count) for kind in kinds)]
    return scipy.sparse.csr_array(scipy.sparse.vstack(rows))


def _spread(of_places: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """Rows over places alone, as rows over all."""
    rows, count = of_places.shape
    parts = (of_places.data, _place(of_places.indices), of_places.indptr)
    return scipy.sparse.csr_array(parts, (rows, 3 * count))


def _of_links(start: Trajectory, links: Links) -> _Equations:
    """Both points of a link lie at the same place."""
    camera = start.camera
    first, second = start.rows_of(links.earlier), start.rows_of(links.later)
    first_s, second_s = camera.read_out_s(links.point_earlier), camera.read_out_s(links.point_later)
    ones = np.ones(len(links))
    return _Equations(
        columns=np.stack(
            [
                _place(first),
                _place(second),
                _speed(first, (first_s > 0).astype(np.int64)),
                _speed(second, (second_s > 0).astype(np.int64)),
            ],
            axis=1,
        ),
        values=np.stack([ones, -ones, first_s, -second_s], axis=1),
        targets=-((links.point_earlier - links.point_later) @ camera.turn.T)[:, 1],
    )


def _of_steps(rows: NDArray[np.int64], lasts_s: NDArray[np.float64]) -> _Equations:
    """The stage goes from frame to frame as fast as it went in the halves on either side."""
    ones, half_s = np.ones(len(rows)), lasts_s / 2
    return _Equations(
        columns=np.stack(
            [_place(rows), _place(rows + 1), _speed(rows, 1), _speed(rows + 1, 0)], axis=1
        ),
        values=np.stack([-ones, ones, -half_s, -half_s], axis=1),
        targets=np.zeros(len(rows)),
    )


def _of_jumps(asked: NDArray[np.int64], near: NDArray[np.int64]) -> _Equations:
    """The speed stays even from half to half: within frames, and from frame to frame."""
    return _alike(
        np.concatenate([_speed(asked, 0), _speed(near, 1)]),
        np.concatenate([_speed(asked, 1), _speed(near + 1, 0)]),
    )


def _of_repeats(repeats: NDArray[np.int64]) -> _Equations:
    """A frame that repeats the one before shows both halves of its read-out again."""
    return _alike(
        np.concatenate([_speed(repeats, 0), _speed(repeats, 1)]),
        np.concatenate([_speed(repeats + 1, 0), _speed(repeats + 1, 1)]),
    )


def _of_usual_speeds(asked: NDArray[np.int64], usual_px_per_s: NDArray[np.float64]) -> _Equations:
    """Both halves have about the usual speed of the lane, (n,) by frame."""
    columns = np.concatenate([_speed(asked, 0), _speed(asked, 1)])
    return _given(columns, usual_px_per_s[np.tile(asked, 2)])


def _alike(first: NDArray[np.int64], second: NDArray[np.int64]) -> _Equations:
    """Two columns hold the same."""
    return _Equations(
        columns=np.stack([first, second], axis=1),
        values=np.tile([1.0, -1.0], (len(first), 1)),
        targets=np.zeros(len(first)),
    )


def _given(columns: NDArray[np.int64], targets: NDArray[np.float64]) -> _Equations:
    """Columns hold given values."""
    return _Equations(columns=columns[:, None], values=np.ones((len(columns), 1)), targets=targets)
