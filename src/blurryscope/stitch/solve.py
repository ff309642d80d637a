"""Where every frame lay: one robust least-squares problem over all links of the slide.

Unknown are the field centres of all frames in lanes and two small corrections of the camera (angle
and read-out). Links between frames are measurements; an even speed along each lane, lanes that
neither wander nor drift, equal lane pitch and common turning points are expectations that count
only where nothing was measured. Outliers lose their weight (Cauchy, reweighted).
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.links import Links


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """The stage's way over the frames that lie in lanes; all arrays have one row per such frame."""

    frames: NDArray[np.int64]
    """Frame indices, increasing."""
    lanes: NDArray[np.int64]
    times_s: NDArray[np.float64]
    """When the picture was taken: for a repeated frame, the time of the one it repeats."""
    positions: NDArray[np.float64]
    """(n, 2) field centres (y, x), mosaic pixels."""
    camera: CameraModel

    def velocities(self) -> NDArray[np.float64]:
        """(n, 2) velocities (y, x) in px/s while the frame was read out.

        Frame times jitter by more than an even stage does, so the lane's usual velocity is taken
        wherever the neighbours roughly agree with it; elsewhere (ramps, jerks) the neighbours' own.
        """
        velocities = np.empty_like(self.positions)
        for rows in lane_rows(self):
            velocities[rows] = _lane_velocities(self.times_s[rows], self.positions[rows])
        return velocities

    def matrices(self) -> NDArray[np.float64]:
        """(n, 2, 2) from frame offsets to mosaic offsets."""
        return self.camera.frame_matrices(self.velocities())

    def rows_of(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of these frames in the arrays; every frame must be one of `self.frames`."""
        return np.searchsorted(self.frames, frames)


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
    """(lanes, 2) x at which each lane begins and ends, where that is known; else neighbouring
    lanes are only expected to meet."""
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
    weights = np.ones((len(links), 2))
    residuals = np.zeros((len(links), 2))
    prior = _PriorSystem(start, expected)
    for round_number in range(rounds):
        # Wrong links turn the whole slide, so they have to have lost their weight first.
        camera_columns = fit_camera and round_number >= _ROUNDS_WITHOUT_CAMERA
        trajectory, residuals = _one_round(
            trajectory, links, expected, prior, weights, camera_columns
        )
        # Expectations give way first, links only when most others contradict them.
        scale = np.maximum(
            np.array(expected.link_sigma_px) * 3, _FIRST_DOUBT_PX * 0.5**round_number
        )
        weights = _cauchy(residuals, scale / np.sqrt(_trust(links))[:, None])
        prior.reweigh(trajectory.positions)
    return Solution(trajectory=trajectory, residuals=residuals, weights=weights.min(axis=1))


_ROUNDS_WITHOUT_CAMERA = 6
_CAMERA_HOLD = np.array([1e2, 1e4, 1e5])
"""Inverse of how far one round may move the angle (rad) and the read-out (s per row, column)
without any evidence. Read-out along columns is unusual, so it is held ten times as tightly."""
_FIRST_DOUBT_PX = 400.0
_AXIS_SIGMA_RAD = 1e-6
"""A definition rather than a measurement."""


def _one_round(
    trajectory: Trajectory,
    links: Links,
    expected: Expectations,
    prior: "_PriorSystem",
    weights: NDArray[np.float64],
    fit_camera: bool,
) -> tuple[Trajectory, NDArray[np.float64]]:
    count = len(trajectory.frames)
    camera = trajectory.camera
    first, second = trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)
    rows = np.arange(len(links))
    block = scipy.sparse.csr_array(
        (
            np.concatenate([np.ones(len(links)), -np.ones(len(links))]),
            (np.concatenate([rows, rows]), np.concatenate([first, second])),
        ),
        (len(links), count),
    )
    velocities = trajectory.velocities()
    # Way of the stage per second of read-out per (row, column): (links, axis, 2).
    way = (
        velocities[first][:, :, None] * links.point_earlier[:, None, :]
        - velocities[second][:, :, None] * links.point_later[:, None, :]
    )
    readout = np.array([camera.readout_s_per_row, camera.readout_s_per_column])
    offsets = links.point_earlier - links.point_later
    constant = offsets @ camera.turn.T + way @ readout
    scale = np.sqrt(weights * _trust(links)[:, None]) / np.array(expected.link_sigma_px)
    parts, targets = [], []
    by_angle = offsets @ camera.turn_rate.T
    for axis in (0, 1):
        weigh = scipy.sparse.diags_array(scale[:, axis])
        columns = [None, None, None]
        columns[axis] = weigh @ block
        if fit_camera:
            columns[2] = scipy.sparse.csr_array(
                np.column_stack([by_angle[:, axis], way[:, axis]]) * scale[:, axis, None]
            )
        parts.append(columns)
        targets.append(-scale[:, axis] * constant[:, axis])
    system = prior.rows(fit_camera)
    matrix = scipy.sparse.vstack(
        [_assembled(columns, count, fit_camera, len(links)) for columns in parts] + [system[0]]
    ).tocsr()
    target = np.concatenate([*targets, system[1]])
    normal = (matrix.T @ matrix).tocsc()
    solved = scipy.sparse.linalg.spsolve(normal, matrix.T @ target)
    positions = np.stack([solved[:count], solved[count : 2 * count]], 1)
    if fit_camera:
        angle, per_row, per_column = solved[2 * count :]
        camera = replace(
            camera,
            scan_angle_rad=camera.scan_angle_rad + float(np.clip(angle, -0.02, 0.02)),
            readout_s_per_row=camera.readout_s_per_row + float(per_row),
            readout_s_per_column=camera.readout_s_per_column + float(per_column),
        )
    updated = replace(trajectory, positions=positions, camera=camera)
    return updated, link_residuals(updated, links)


def _assembled(
    columns: list[scipy.sparse.csr_array | None], count: int, fit_camera: bool, rows: int
) -> scipy.sparse.csr_array:
    zero = scipy.sparse.csr_array((rows, count))
    blocks = [columns[0] if columns[0] is not None else zero,
              columns[1] if columns[1] is not None else zero]  # fmt: skip
    if fit_camera:
        blocks.append(columns[2])
    return scipy.sparse.hstack(blocks).tocsr()


def link_residuals(trajectory: Trajectory, links: Links) -> NDArray[np.float64]:
    """How far apart the two points of each link lie in the mosaic, (links, 2) as (y, x) px."""
    first, second = trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)
    matrices = trajectory.matrices()
    place_first = np.einsum("nij,nj->ni", matrices[first], links.point_earlier)
    place_second = np.einsum("nij,nj->ni", matrices[second], links.point_later)
    apart = trajectory.positions[first] + place_first - trajectory.positions[second] - place_second
    return np.asarray(apart, np.float64)


def _trust(links: Links) -> NDArray[np.float64]:
    """Weight of a link by its correlation r: r^2 / (1 - r^2), capped at r = 0.9."""
    squared = np.minimum(links.correlation, 0.9) ** 2
    return np.asarray(np.maximum(squared / (1 - squared) / (0.81 / 0.19), 1e-3))


def _cauchy(residuals: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + (residuals / scale) ** 2))


class _PriorSystem:
    """The expectations as weighted rows of the least-squares problem."""

    def __init__(self, start: Trajectory, expected: Expectations) -> None:
        self._count = len(start.frames)
        self._expected = expected
        self._triplets: list[tuple[int, int, float]] = []
        self._targets: list[float] = []
        self._sigmas: list[float] = []
        self._add_steps(start)
        self._add_pitch(start)
        self._add_axis(start)
        self._add_row([(0, 1.0)], float(start.positions[0, 0]), 1.0)
        if expected.ends_px is None:
            self._add_meetings(start)
            self._add_row([(self._count, 1.0)], float(start.positions[0, 1]), 1.0)
        else:
            self._add_ends(start, expected.ends_px)
        rows, columns, values = zip(*self._triplets, strict=True)
        self._matrix = scipy.sparse.csr_array(
            (values, (rows, columns)), (len(self._targets), 2 * self._count)
        )
        self._target = np.array(self._targets)
        self._sigma = np.array(self._sigmas)
        self._weight = np.ones(len(self._targets))

    def rows(self, fit_camera: bool) -> tuple[scipy.sparse.csr_array, NDArray[np.float64]]:
        scale = np.sqrt(self._weight) / self._sigma
        matrix = scipy.sparse.diags_array(scale) @ self._matrix
        if fit_camera:
            # Tiny weights keep the camera where it is when the links say nothing of it.
            empty = scipy.sparse.csr_array((matrix.shape[0], len(_CAMERA_HOLD)))
            hold = scipy.sparse.hstack(
                [
                    scipy.sparse.csr_array((len(_CAMERA_HOLD), 2 * self._count)),
                    scipy.sparse.diags_array(_CAMERA_HOLD),
                ]
            )
            stacked = scipy.sparse.vstack([scipy.sparse.hstack([matrix, empty]), hold])
            return stacked.tocsr(), np.concatenate(
                [scale * self._target, np.zeros(len(_CAMERA_HOLD))]
            )
        return matrix.tocsr(), scale * self._target

    def reweigh(self, positions: NDArray[np.float64]) -> None:
        residual = self._matrix @ positions.T.reshape(-1) - self._target
        self._weight = _cauchy(residual, self._sigma * 2)

    def _add_steps(self, start: Trajectory) -> None:
        expected = self._expected
        usual_s = float(np.median(np.diff(start.times_s)))
        for row in np.flatnonzero(np.diff(start.lanes) == 0).tolist():
            frames = max((start.times_s[row + 1] - start.times_s[row]) / usual_s, 0.05)
            in_ramp = expected.is_ramp[row] or expected.is_ramp[row + 1]
            sigma_x = expected.ramp_sigma_px if in_ramp else expected.step_sigma_px[1]
            self._add_row([(row, -1.0), (row + 1, 1.0)], 0.0, expected.step_sigma_px[0] * frames)
            self._add_row(
                [(self._count + row, -1.0), (self._count + row + 1, 1.0)],
                float(expected.along_px[row + 1] - expected.along_px[row]),
                sigma_x * frames,
            )

    def _add_pitch(self, start: Trajectory) -> None:
        for upper, lower in pairwise(lane_rows(start)):
            entries = [(int(r), -1.0 / len(upper)) for r in upper]
            entries += [(int(r), 1.0 / len(lower)) for r in lower]
            self._add_row(entries, self._expected.pitch_px, self._expected.pitch_sigma_px)

    def _add_axis(self, start: Trajectory) -> None:
        """The mosaic's x axis is the lanes' mean direction: else the whole slide may turn."""
        ends = [(rows[0], rows[-1]) for rows in lane_rows(start) if len(rows) > 1]
        ways = [start.positions[last, 1] - start.positions[first, 1] for first, last in ends]
        length = float(np.abs(ways).sum())
        if length == 0:
            return
        entries = []
        for (first, last), way in zip(ends, ways, strict=True):
            entries += [(int(last), np.sign(way) / length), (int(first), -np.sign(way) / length)]
        self._add_row(entries, 0.0, _AXIS_SIGMA_RAD)

    def _add_meetings(self, start: Trajectory) -> None:
        for upper, lower in pairwise(lane_rows(start)):
            self._add_row(
                [(self._count + int(upper[-1]), -1.0), (self._count + int(lower[0]), 1.0)],
                0.0,
                self._expected.turn_sigma_px,
            )

    def _add_ends(self, start: Trajectory, ends_px: NDArray[np.float64]) -> None:
        for rows, ends in zip(lane_rows(start), ends_px, strict=True):
            for row, end_px in ((rows[0], ends[0]), (rows[-1], ends[1])):
                entry = (self._count + int(row), 1.0)
                self._add_row([entry], float(end_px), self._expected.turn_sigma_px)

    def _add_row(self, entries: list[tuple[int, float]], target: float, sigma: float) -> None:
        number = len(self._targets)
        self._triplets += [(number, column, value) for column, value in entries]
        self._targets.append(target)
        self._sigmas.append(sigma)


def lane_rows(trajectory: Trajectory) -> list[NDArray[np.int64]]:
    edges = np.flatnonzero(np.diff(trajectory.lanes)) + 1
    return np.split(np.arange(len(trajectory.lanes)), edges)


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
    usual = np.median(known, axis=0)
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
