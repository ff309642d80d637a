"""Where every frame lay: one robust least-squares problem over all links of the slide.

Unknown are the field centres of all frames in lanes and two small corrections of the camera (angle
and read-out). Links between frames are measurements; an even speed along each lane, lanes that
neither wander nor drift, equal lane pitch and common turning points are expectations that count
only where nothing was measured. Outliers lose their weight (Cauchy, reweighted).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

from blurryscope.stitch.links import Links
from blurryscope.stitch.normal_matrix import NormalMatrix
from blurryscope.stitch.trajectory import Trajectory, lane_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What is expected of the motion before anything is measured; standard deviations in pixels."""

    along_px: NDArray[np.float64]
    """(n,) x that even motion would give each frame, up to a constant per lane."""
    is_ramp: NDArray[np.bool_]
    """(n,) whether the stage may be gaining or losing speed."""
    pitch_px: float
    turn_sigma_px: float
    """How well the ends of neighbouring lanes meet at the same x."""
    ends_px: NDArray[np.float64] | None = None
    """(lanes, 2) x of each lane's `cruise_ends`, where the turns are known; else neighbouring lanes
    are only expected to meet."""
    keeps_speed: bool = False
    """Whether the stage keeps its speed over a whole lane, so that errors of its steps, which come
    from the frame times, do not add up."""
    is_pinned: NDArray[np.bool_] | None = None
    """(n,) frames that stay where they are."""
    step_sigma_px: tuple[float, float] = (0.6, 3.0)
    """(y, x) of one frame's step; the x part is what jitter of the frame times makes of it."""
    ramp_sigma_px: float = 40.0
    pitch_sigma_px: float = 4.0
    link_sigma_px: tuple[float, float] = (0.35, 0.6)
    """(y, x) of a perfect link; motion blur makes x the less certain one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A trajectory, and how well the links agree with it."""

    trajectory: Trajectory
    residuals: NDArray[np.float64]
    """(links, 2), (y, x) in pixels."""
    weights: NDArray[np.float64]
    """0 to 1: what outlier rejection left of each link."""
    camera_sigma: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.nan))
    """Standard deviations of the camera's angle (rad) and read-out (s per row, s per column), if
    they were fitted; from how well the links agree with each other."""


def solve(
    start: Trajectory, links: Links, expected: Expectations, *, rounds: int = 12, fit_camera: bool
) -> Solution:
    """Find the trajectory that explains the links best.

    Parameters
    ----------
    start
        First guess; its frames, lanes and times are kept.
    links
        Measured pairs of points; both frames must be in the trajectory.
    fit_camera
        Whether to correct the camera too; needs lanes in both directions that are linked.
    """
    trajectory = start
    priors = [_PriorSystem(start, expected, axis) for axis in (0, 1)]
    system = _LinkSystem(start, links, expected, priors)
    weights = np.ones((len(links), 2))
    residuals = np.zeros((len(links), 2))
    doubts_px = np.geomspace(_FIRST_DOUBT_PX, _LAST_DOUBT_PX, rounds)
    for round_number in range(rounds):
        # Wrong links turn the whole slide, so they have to have lost their weight first.
        is_camera_free = fit_camera and round_number >= _ROUNDS_WITHOUT_CAMERA
        trajectory = system.solved(trajectory, weights, is_camera_free)
        residuals = link_residuals(trajectory, links)
        # Expectations give way first, links only when most others contradict them.
        weights = _link_weights(residuals, links, expected, float(doubts_px[round_number]))
        for axis, prior in enumerate(priors):
            prior.reweigh(trajectory.positions[:, axis])
    camera_sigma = np.full(3, np.nan)
    if fit_camera and len(links):
        camera_sigma = system.camera_sigma(trajectory, weights, residuals)
    return Solution(
        trajectory=trajectory,
        residuals=residuals,
        weights=weights.min(axis=1),
        camera_sigma=camera_sigma,
    )


def judged(trajectory: Trajectory, links: Links, expected: Expectations) -> Solution:
    """Tell how well links agree with a trajectory, which stays as it is."""
    residuals = link_residuals(trajectory, links)
    weights = _link_weights(residuals, links, expected, 0.0)
    return Solution(trajectory=trajectory, residuals=residuals, weights=weights.min(axis=1))


def _link_weights(
    residuals: NDArray[np.float64], links: Links, expected: Expectations, doubt_px: float
) -> NDArray[np.float64]:
    scale = np.maximum(np.array(expected.link_sigma_px) * 3, doubt_px)
    return _cauchy(residuals, scale / np.sqrt(_trust(links))[:, None])


_ROUNDS_WITHOUT_CAMERA = 6
_CAMERA_HOLD = np.array([1e2, 1e4, 1e5])
"""Inverse of how far one round may move the angle (rad) and the read-out (s per row, column)
without any evidence. Read-out along columns is unusual, so it is held ten times as tightly."""
_FIRST_DOUBT_PX = 400.0
_LAST_DOUBT_PX = 0.2
"""What the first guess may be off by, and what is left to doubt in the last round."""
_PIN_SIGMA_PX = 0.01
_LONG_WAYS = (4, 16, 64)
"""Frames over which a stage that keeps its speed is held to it."""
_PERFECT_CORRELATION = 0.97
"""Links that correlate better than this are no more exact."""
_PATCHES_PER_PAIR = 4
_AXIS_SIGMA_RAD = 1e-6
"""A definition rather than a measurement."""


class _LinkSystem:
    """The links as rows of the least-squares problem, one set for each axis.

    The unknown positions of the two axes only meet in the camera's three corrections, which are
    eliminated (Schur complement), so that each round factorises two small sparse matrices.
    """

    def __init__(
        self,
        start: Trajectory,
        links: Links,
        expected: Expectations,
        priors: Sequence["_PriorSystem"],
    ) -> None:
        self._links = links
        self._first, self._second = start.rows_of(links.earlier), start.rows_of(links.later)
        rows = np.arange(len(links))
        block = scipy.sparse.csr_array(
            (
                np.concatenate([np.ones(len(links)), -np.ones(len(links))]),
                (np.concatenate([rows, rows]), np.concatenate([self._first, self._second])),
            ),
            (len(links), len(start.frames)),
        )
        self._pull = block.T.tocsr()
        self._normals = [
            NormalMatrix(scipy.sparse.csr_array(scipy.sparse.vstack([block, prior.matrix])))
            for prior in priors
        ]
        self._priors = priors
        sigma = np.array(expected.link_sigma_px)
        self._certainty = _trust(links)[:, None] / sigma**2

    def solved(
        self,
        trajectory: Trajectory,
        weights: NDArray[np.float64],
        is_camera_free: bool,
    ) -> Trajectory:
        """One round: the best positions, and camera, for these weights of the links."""
        camera = trajectory.camera
        axes = self._axes(trajectory, weights)
        correction = np.zeros(3, np.float64)
        if is_camera_free:
            correction[:] = np.linalg.solve(*_camera_equations(axes))
        positions = np.stack([part.positions(correction) for part in axes], axis=1)
        angle, per_row, per_column = correction
        camera = replace(
            camera,
            scan_angle_rad=camera.scan_angle_rad + float(np.clip(angle, -0.02, 0.02)),
            readout_s_per_row=camera.readout_s_per_row + float(per_row),
            readout_s_per_column=camera.readout_s_per_column + float(per_column),
        )
        return replace(trajectory, positions=positions, camera=camera)

    def camera_sigma(
        self,
        trajectory: Trajectory,
        weights: NDArray[np.float64],
        residuals: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """How certain the camera is, (3,): links agree as well as their residuals say."""
        inner, _ = _camera_equations(self._axes(trajectory, weights))
        spread = float(np.average(residuals**2 * self._certainty, weights=weights))
        # Patches of one pair of frames share their errors, so they do not count one by one.
        return np.asarray(np.sqrt(np.diag(np.linalg.inv(inner)) * spread * _PATCHES_PER_PAIR))

    def _axes(self, trajectory: Trajectory, weights: NDArray[np.float64]) -> list["_Axis"]:
        camera, links = trajectory.camera, self._links
        velocities = trajectory.velocities
        # Way of the stage per second of read-out per (row, column): (links, axis, 2).
        way = (
            velocities[self._first][:, :, None] * links.point_earlier[:, None, :]
            - velocities[self._second][:, :, None] * links.point_later[:, None, :]
        )
        offsets = links.point_earlier - links.point_later
        readout = np.array([camera.readout_s_per_row, camera.readout_s_per_column])
        constant = offsets @ camera.turn.T + way @ readout
        by_camera = np.concatenate([(offsets @ camera.turn_rate.T)[:, :, None], way], axis=2)
        weights = weights * self._certainty
        return [
            _Axis(
                normal.factors(np.concatenate([weights[:, axis], prior.weights])),
                self._pull,
                weights[:, axis],
                constant[:, axis],
                by_camera[:, axis],
                prior.right_side(),
            )
            for axis, (normal, prior) in enumerate(zip(self._normals, self._priors, strict=True))
        ]


class _Axis:
    """Normal equations of one axis, N x + F c = b, for positions x and the camera's change c."""

    def __init__(
        self,
        factors: scipy.sparse.linalg.SuperLU,
        pull: scipy.sparse.csr_array,
        weights: NDArray[np.float64],
        constant: NDArray[np.float64],
        by_camera: NDArray[np.float64],
        expected: NDArray[np.float64],
    ) -> None:
        self._factors = factors
        self._free = factors.solve(expected - pull @ (weights * constant))
        self._pull = pull
        self._weights, self._constant, self._by_camera = weights, constant, by_camera

    @cached_property
    def _border(self) -> NDArray[np.float64]:
        """F, (frames, 3); rounds that leave the camera as it is need none."""
        return np.asarray(self._pull @ (self._weights[:, None] * self._by_camera))

    def camera_equations(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What is left for the camera, (3, 3) and (3,), once the positions are eliminated."""
        weighted = self._by_camera.T * self._weights
        inner = weighted @ self._by_camera - self._border.T @ self._factors.solve(self._border)
        outer = -weighted @ self._constant - self._border.T @ self._free
        return inner, outer

    def positions(self, correction: NDArray[np.float64]) -> NDArray[np.float64]:
        if not correction.any():
            return np.asarray(self._free)
        return np.asarray(self._free - self._factors.solve(self._border @ correction))


def _camera_equations(
    axes: Sequence[_Axis],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For the change of the angle (rad) and of the read-out (s per row, s per column)."""
    # Tiny weights keep the camera where it is when the links say nothing of it.
    inner, outer = np.diag(_CAMERA_HOLD**2), np.zeros(3)
    for axis in axes:
        more_inner, more_outer = axis.camera_equations()
        inner, outer = inner + more_inner, outer + more_outer
    return inner, outer


def link_residuals(trajectory: Trajectory, links: Links) -> NDArray[np.float64]:
    """How far apart the two points of each link lie in the mosaic, (links, 2) as (y, x) px."""
    first, second = trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)
    matrices = trajectory.matrices
    place_first = np.einsum("nij,nj->ni", matrices[first], links.point_earlier)
    place_second = np.einsum("nij,nj->ni", matrices[second], links.point_later)
    apart = trajectory.positions[first] + place_first - trajectory.positions[second] - place_second
    return np.asarray(apart, np.float64)


def _trust(links: Links) -> NDArray[np.float64]:
    """Weight of a link by its correlation r: r^2 / (1 - r^2), of a perfect link 1.

    Links of the rims of cores correlate worse than of their middles, and their steps are too short.
    """
    squared = np.minimum(links.correlation, _PERFECT_CORRELATION) ** 2
    signal_to_noise = squared / (1 - squared)
    perfect = _PERFECT_CORRELATION**2 / (1 - _PERFECT_CORRELATION**2)
    return np.asarray(np.maximum(signal_to_noise / perfect, 1e-3))


def _cauchy(residuals: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + (residuals / scale) ** 2))


class _PriorSystem:
    """The expectations of one axis as weighted rows of the least-squares problem."""

    def __init__(self, start: Trajectory, expected: Expectations, axis: int) -> None:
        self._expected = expected
        self._parts: list[_Rows] = []
        if axis == 0:
            self._add_for_y(start)
        else:
            self._add_for_x(start)
        if expected.is_pinned is not None:
            pinned = np.flatnonzero(expected.is_pinned)
            targets = start.positions[pinned, axis]
            self._add(pinned[:, None], np.ones(1), targets, _PIN_SIGMA_PX, is_firm=True)
        self.matrix = _stacked(self._parts, len(start.frames))
        self._transposed = self.matrix.T.tocsr()
        self._target = np.concatenate([part.targets for part in self._parts])
        self._sigma = np.concatenate([part.sigmas for part in self._parts])
        self._are_firm = np.concatenate([np.full(len(p.targets), p.is_firm) for p in self._parts])
        self.weights = 1 / self._sigma**2

    def right_side(self) -> NDArray[np.float64]:
        """Of the normal equations."""
        return np.asarray(self._transposed @ (self.weights * self._target))

    def reweigh(self, positions: NDArray[np.float64]) -> None:
        residual = self.matrix @ positions - self._target
        kept = np.where(self._are_firm, 1.0, _cauchy(residual, self._sigma * 2))
        self.weights = kept / self._sigma**2

    def _add_for_y(self, start: Trajectory) -> None:
        rows, frames = _frames_between(start)
        self._add_ways(rows, rows + 1, 0.0, self._expected.step_sigma_px[0] * frames)
        for upper, lower in pairwise(lane_rows(start)):
            means = np.repeat([-1.0 / len(upper), 1.0 / len(lower)], [len(upper), len(lower)])
            both = np.concatenate([upper, lower])[None]
            self._add(both, means, self._expected.pitch_px, self._expected.pitch_sigma_px)
        self._add(np.zeros((1, 1), np.int64), np.ones(1), start.positions[0, 0], 1.0)
        if self._expected.is_pinned is None:
            self._add_axis(start)

    def _add_axis(self, start: Trajectory) -> None:
        """The mosaic's x axis is the lanes' mean direction: else the whole slide may turn."""
        ends = np.array([(rows[-1], rows[0]) for rows in lane_rows(start) if len(rows) > 1])
        if not len(ends):
            return
        ways = start.positions[ends[:, 0], 1] - start.positions[ends[:, 1], 1]
        length = float(np.abs(ways).sum())
        if length == 0:
            return
        shares = np.stack([np.sign(ways), -np.sign(ways)], axis=1) / length
        self._add(ends.reshape(1, -1), shares.ravel(), 0.0, _AXIS_SIGMA_RAD, is_firm=True)

    def _add_for_x(self, start: Trajectory) -> None:
        expected = self._expected
        rows, frames = _frames_between(start)
        in_ramp = expected.is_ramp[rows] | expected.is_ramp[rows + 1]
        sigma = np.where(in_ramp, expected.ramp_sigma_px, expected.step_sigma_px[1])
        ways = expected.along_px[rows + 1] - expected.along_px[rows]
        self._add_ways(rows, rows + 1, ways, sigma * frames)
        if expected.keeps_speed:
            self._add_long_ways(start)
        lanes = lane_rows(start)
        if expected.ends_px is None:
            first, last = (np.array([rows[end] for rows in lanes]) for end in (0, -1))
            self._add_ways(last[:-1], first[1:], 0.0, expected.turn_sigma_px)
            self._add(np.zeros((1, 1), np.int64), np.ones(1), start.positions[0, 1], 1.0)
        else:
            # Turns tell where a lane lies, not how long it is: where the stage rests longer than is
            # known, both ends are expected too far out, and glass between cores would give way.
            middles_px = expected.ends_px.mean(axis=1)
            ends = np.array([cruise_ends(rows, expected.is_ramp) for rows in lanes])
            self._add(ends, np.full(2, 0.5), middles_px, expected.turn_sigma_px / np.sqrt(2))

    def _add_long_ways(self, start: Trajectory) -> None:
        """Steps expected one by one let short ones add up; ways from frame to frame do not."""
        along_px, is_ramp = self._expected.along_px, self._expected.is_ramp
        sigma = self._expected.step_sigma_px[1] * np.sqrt(2)
        for rows in lane_rows(start):
            cruising = rows[~is_ramp[rows]]
            for count in _LONG_WAYS:
                first, last = cruising[:-count], cruising[count:]
                self._add_ways(first, last, along_px[last] - along_px[first], sigma)

    def _add_ways(
        self,
        first: NDArray[np.int64],
        last: NDArray[np.int64],
        ways_px: "_Values",
        sigmas_px: "_Values",
    ) -> None:
        """Expect these ways from one frame to another, (rows,)."""
        self._add(np.stack([first, last], axis=1), np.array([-1.0, 1.0]), ways_px, sigmas_px)

    def _add(
        self,
        columns: NDArray[np.int64],
        values: NDArray[np.float64],
        targets: "_Values",
        sigmas: "_Values",
        *,
        is_firm: bool = False,
    ) -> None:
        """Add expectations; firm ones are definitions, which no measurement can contradict."""
        count = len(columns)
        self._parts.append(
            _Rows(
                columns=columns,
                values=values,
                targets=np.broadcast_to(np.asarray(targets, np.float64), count),
                sigmas=np.broadcast_to(np.asarray(sigmas, np.float64), count),
                is_firm=is_firm,
            )
        )


def cruise_ends(rows: NDArray[np.int64], is_ramp: NDArray[np.bool_]) -> list[int]:
    """The first and last of a lane's rows that no ramp is near; of a lane of ramps, just those.

    What is expected of the place of a lane must hold frames that the others are tied to: the first
    and last of all would tear off in the ramps, where steps are little known.
    """
    cruising = rows[~is_ramp[rows]]
    known = cruising if len(cruising) > 1 else rows
    return [int(known[0]), int(known[-1])]


_Values = float | NDArray[np.float64]
"""One for each row, or one for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Expectations of one kind, as rows of the least-squares problem."""

    columns: NDArray[np.int64]
    """(rows, entries)."""
    values: NDArray[np.float64]
    """(entries,), alike in all rows."""
    targets: NDArray[np.float64]
    """(rows,)."""
    sigmas: NDArray[np.float64]
    """(rows,)."""
    is_firm: bool


def _stacked(parts: Sequence[_Rows], column_count: int) -> scipy.sparse.csr_array:
    """The rows of all parts, one below the other."""
    lengths = np.concatenate([np.full(*part.columns.shape) for part in parts])
    values = np.concatenate([np.tile(part.values, len(part.columns)) for part in parts])
    columns = np.concatenate([part.columns.ravel() for part in parts])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return scipy.sparse.csr_array((values, columns, starts), (len(lengths), column_count))


def _frames_between(start: Trajectory) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows that are followed by one of the same lane, and the time to it in usual intervals."""
    lasts_s = np.diff(start.times_s)
    usual_s = float(np.median(lasts_s))
    rows = np.flatnonzero(np.diff(start.lanes) == 0)
    return rows, np.maximum(lasts_s[rows] / usual_s, 0.05)
