"""Where every frame lay: one robust least-squares problem over all links of the slide.

Unknown are the field centres of all frames in lanes and two small corrections of the camera (angle
and read-out). Links between frames are measurements; an even speed along each lane, lanes that
neither wander nor drift, equal lane pitch and common turning points are expectations that count
only where nothing was measured. Outliers lose their weight (Cauchy, reweighted).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.expectations import Expectations, PriorSystem, cauchy
from blurryscope.stitch.links import PERFECT_CORRELATION, Links
from blurryscope.stitch.normal_matrix import NormalMatrix
from blurryscope.stitch.trajectory import Trajectory, lane_rows, steps_of, uneven_frames


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

    @property
    def is_kept(self) -> NDArray[np.bool_]:
        """(links,) those that the rest does not contradict."""
        return self.weights > _KEPT


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
    is_held = steps_held(start, links)
    priors = [PriorSystem(start, expected, axis, is_held) for axis in (0, 1)]
    system = _LinkSystem(start, links, expected, priors)
    weights = np.ones(len(links))
    residuals = np.zeros((len(links), 2))
    doubts_px = np.geomspace(_FIRST_DOUBT_PX, _LAST_DOUBT_PX, rounds)
    for round_number in range(rounds):
        # Wrong links turn the whole slide, so they have to have lost their weight first.
        is_camera_free = fit_camera and round_number >= _ROUNDS_WITHOUT_CAMERA
        trajectory = system.solved(trajectory, weights, is_camera_free)
        residuals = link_residuals(trajectory, links)
        # Expectations give way first, links only when most others contradict them.
        doubt_px = float(doubts_px[round_number])
        weights = link_weights(residuals, links, expected, doubt_px)
        if doubt_px < _COURSE_DOUBT_PX:
            weights *= keeps_course(trajectory, links, residuals)
        for axis, prior in enumerate(priors):
            prior.follow(trajectory.positions[:, axis])
            prior.reweigh(trajectory.positions[:, axis])
    camera_sigma = np.full(3, np.nan)
    if fit_camera and len(links):
        camera_sigma = system.camera_sigma(trajectory, weights, residuals)
    return Solution(
        trajectory=trajectory,
        residuals=residuals,
        weights=weights,
        camera_sigma=camera_sigma,
    )


def judged(trajectory: Trajectory, links: Links, expected: Expectations) -> Solution:
    """Tell how well links agree with a trajectory, which stays as it is."""
    residuals = link_residuals(trajectory, links)
    weights = link_weights(residuals, links, expected, 0.0)
    weights *= keeps_course(trajectory, links, residuals)
    return Solution(trajectory=trajectory, residuals=residuals, weights=weights)


def steps_held(trajectory: Trajectory, links: Links) -> NDArray[np.bool_]:
    """Whether a link holds each frame to the next, (n - 1,)."""
    ends = np.stack([trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)])
    first = ends.min(axis=0)[np.abs(np.diff(ends, axis=0)[0]) == 1]
    return np.isin(np.arange(len(trajectory.frames) - 1), first)


def link_certainty(links: Links, expected: Expectations) -> NDArray[np.float64]:
    """(links, 2) inverse variance of each link along (y, x), 1/px^2, by its correlation."""
    return np.asarray(_trust(links)[:, None] / np.array(expected.link_sigma_px) ** 2)


def link_weights(
    residuals: NDArray[np.float64], links: Links, expected: Expectations, doubt_px: float
) -> NDArray[np.float64]:
    """(links,) from 0 to 1, what residuals, (links, 2) as (y, x), leave to links; px, as the doubt.

    A patch that was found in a wrong place is wrong both ways, however near that lies along one.
    """
    scale = np.maximum(np.array(expected.link_sigma_px) * 3, doubt_px)
    apart = np.hypot(*(residuals / scale).T)
    return cauchy(apart, 1 / np.sqrt(_trust(links)))


def keeps_course(
    trajectory: Trajectory, links: Links, residuals: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(links,) which links agree with lanes that go straight on.

    A frame that one false link holds alone lies wherever that has it, and the link seems right. But
    no stage leaps across its lane from frame to frame, neither and back nor for good.
    """
    off_px = np.zeros(len(trajectory.frames))
    for rows in lane_rows(trajectory):
        y_px = trajectory.positions[rows, 0]
        off_px[rows] = y_px - median_filter(y_px, _COURSE_FRAMES, mode="nearest")
    first, second = trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)
    leap_px = residuals[:, 0] - off_px[first] + off_px[second]
    aside_px = _steps_aside(trajectory, first, second, residuals)
    return np.asarray(np.maximum(np.abs(leap_px), np.abs(aside_px)) < _LEAP_PX)


def _steps_aside(
    trajectory: Trajectory,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    residuals: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(links,) px by which links within a lane lead aside from where most of that lane lead.

    Of links from lane to lane 0.
    """
    way_px = trajectory.positions[second] - trajectory.positions[first] + residuals
    lanes, other = trajectory.lanes[first], trajectory.lanes[second]
    aside_px = np.zeros(len(way_px))
    for lane in np.unique(lanes[lanes == other]).tolist():
        within = (lanes == lane) & (other == lane)
        dy, dx = way_px[within].T
        is_far = np.abs(dx) > _FAR_PX
        slope = float(np.median(dy[is_far] / dx[is_far])) if is_far.any() else 0.0
        aside_px[within] = dy - slope * dx
    return aside_px


_KEPT = 0.5
"""Weight from which a link counts as one that was not rejected."""
_COURSE_FRAMES = 11
"""Around a frame, whose middle height is that of the lane there."""
_LEAP_PX = 4.0
"""Of 50,000 true links of 24 films one in a thousand seems to leave its lane by this much, of those
that are 4 px wrong across the lane 95 of 100. Of the 63 links of five films that led aside by this
much within their lane all were more than 2 px wrong across it."""
_FAR_PX = 20.0
"""Links that lead so far tell how a lane slants."""
_COURSE_DOUBT_PX = 15.0
"""What places may be off by while lanes are not known well enough to tell."""
_ROUNDS_WITHOUT_CAMERA = 6
_CAMERA_HOLD = np.array([1e2, 1e4, 1e5])
"""Inverse of how far one round may move the angle (rad) and the read-out (s per row, column)
without any evidence. Read-out along columns is unusual, so it is held ten times as tightly."""
_FIRST_DOUBT_PX = 400.0
_LAST_DOUBT_PX = 0.2
"""What the first guess may be off by, and what is left to doubt in the last round."""
_PATCHES_PER_PAIR = 4
_GUESSED_SPEED = 0.1
"""Of full speed, by which what steps make of it near a jerk may be wrong."""


class _LinkSystem:
    """The links as rows of the least-squares problem, one set for each axis.

    The unknown positions of the two axes only meet in the camera's three corrections, which are
    eliminated (Schur complement), so that each round factorises two small sparse matrices, and two
    more where the camera is fitted.
    """

    def __init__(
        self,
        start: Trajectory,
        links: Links,
        expected: Expectations,
        priors: Sequence[PriorSystem],
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
        self._certainty = link_certainty(links, expected)
        self._read_out_s_per_row = expected.read_out_s_per_row

    def solved(
        self,
        trajectory: Trajectory,
        weights: NDArray[np.float64],
        is_camera_free: bool,
    ) -> Trajectory:
        """One round: the best positions, and camera, for these weights of the links."""
        camera = trajectory.camera
        axes = self._axes(trajectory, weights[:, None] * self._certainty)
        correction = np.zeros(3, np.float64)
        if is_camera_free:
            telling = self._axes(trajectory, weights[:, None] * self._camera_certainty(trajectory))
            correction[:] = np.linalg.solve(*self._camera_equations(telling, camera))
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
        telling = self._axes(trajectory, weights[:, None] * self._camera_certainty(trajectory))
        inner, _ = self._camera_equations(telling, trajectory.camera)
        spread = float(np.average((residuals**2 * self._certainty).mean(axis=1), weights=weights))
        # Patches of one pair of frames share their errors, so they do not count one by one.
        return np.asarray(np.sqrt(np.diag(np.linalg.inv(inner)) * spread * _PATCHES_PER_PAIR))

    def _camera_certainty(self, trajectory: Trajectory) -> NDArray[np.float64]:
        """(links, 2) as `link_certainty`, of what links tell of the camera; 1/px^2.

        Near a jerk the speed is guessed from the steps and mostly too high, which passes for a
        longer read-out: points far from mid read-out tell little there.
        """
        camera, links = trajectory.camera, self._links
        usual = np.abs(steps_of(trajectory).usual[:, 1])
        doubt = np.where(uneven_frames(trajectory), _GUESSED_SPEED * usual, 0.0)
        first_px = doubt[self._first] * camera.read_out_s(links.point_earlier)
        second_px = doubt[self._second] * camera.read_out_s(links.point_later)
        certainty = self._certainty.copy()
        certainty[:, 1] /= 1 + certainty[:, 1] * (first_px**2 + second_px**2)
        return certainty

    def _camera_equations(
        self, axes: Sequence["_Axis"], camera: CameraModel
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For the change of the angle (rad) and of the read-out (s per row, s per column)."""
        # Tiny weights keep the camera where it is when the links say nothing of it.
        inner, outer = np.diag(_CAMERA_HOLD**2), np.zeros(3)
        if self._read_out_s_per_row is not None:
            # Two or three thin overlaps can also be explained by lanes that shear the other way.
            known, sigma = self._read_out_s_per_row
            inner[1, 1] += sigma**-2
            outer[1] += (known - camera.readout_s_per_row) / sigma**2
        for axis in axes:
            more_inner, more_outer = axis.camera_equations()
            inner, outer = inner + more_inner, outer + more_outer
        return inner, outer

    def _axes(self, trajectory: Trajectory, weights: NDArray[np.float64]) -> list["_Axis"]:
        """The normal equations of both axes; `weights` are those of the links, (links, 2)."""
        camera, links = trajectory.camera, self._links
        first = trajectory.velocities_at(self._first, links.point_earlier)
        second = trajectory.velocities_at(self._second, links.point_later)
        # Way of the stage per second of read-out per (row, column): (links, axis, 2).
        way = (
            first[:, :, None] * links.point_earlier[:, None, :]
            - second[:, :, None] * links.point_later[:, None, :]
        )
        offsets = links.point_earlier - links.point_later
        readout = np.array([camera.readout_s_per_row, camera.readout_s_per_column])
        constant = offsets @ camera.turn.T + way @ readout
        by_camera = np.concatenate([(offsets @ camera.turn_rate.T)[:, :, None], way], axis=2)
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


def link_residuals(trajectory: Trajectory, links: Links) -> NDArray[np.float64]:
    """How far apart the two points of each link lie in the mosaic, (links, 2) as (y, x) px."""
    first, second = trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)
    apart = trajectory.positions[first] + _offsets(trajectory, first, links.point_earlier)
    apart -= trajectory.positions[second] + _offsets(trajectory, second, links.point_later)
    return np.asarray(apart, np.float64)


def _offsets(
    trajectory: Trajectory, rows: NDArray[np.int64], points_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(k, 2) where points of frames lie from the centres of their fields, mosaic pixels."""
    camera = trajectory.camera
    way = trajectory.velocities_at(rows, points_px) * camera.read_out_s(points_px)[:, None]
    return np.asarray(points_px @ camera.turn.T + way)


def _trust(links: Links) -> NDArray[np.float64]:
    """Weight of a link by its correlation r: r^2 / (1 - r^2), of a perfect link 1.

    Links of the rims of cores correlate worse than of their middles, and their steps are too short.
    """
    squared = np.minimum(links.correlation, PERFECT_CORRELATION) ** 2
    signal_to_noise = squared / (1 - squared)
    perfect = PERFECT_CORRELATION**2 / (1 - PERFECT_CORRELATION**2)
    return np.asarray(np.maximum(signal_to_noise / perfect, 1e-3))
