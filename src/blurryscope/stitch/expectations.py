"""What is expected of the stage's motion where nothing was measured, as rows for `solve`.

An even speed along each lane, lanes that neither wander nor drift, equal lane pitch and common
turning points: they give way where measurements contradict them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from blurryscope.stitch.steps_between import StepsBetween
from blurryscope.stitch.trajectory import Trajectory, lane_rows, usual_interval_s

_PIN_SIGMA_PX = 0.01
_LONG_WAYS = (4, 16, 64)
"""Frames over which a stage that keeps its speed is held to it."""
_TOLD_WAY_SIGMA_PX = 10.0
"""Links overrule it."""
_LEAST_INTERVALS = 0.05
"""Between a frame and one that repeats it, so that even that step has some certainty."""
_AXIS_SIGMA_RAD = 1e-6
"""A definition rather than a measurement."""


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
    read_out_s_per_row: tuple[float, float] | None = None
    """Of the camera, where more is known of it than links tell, and its standard deviation."""
    ways_px: Mapping[tuple[int, int], float] = field(default_factory=dict)
    """Along x from one frame to another, where more is known than by even motion; frames may be
    others than those at hand."""
    is_pinned: NDArray[np.bool_] | None = None
    """(n,) frames that stay where they are."""
    jerks_at_once: bool = False
    """Whether an even speed gives way as a whole between two frames that links hold. A stage jerks
    at one place; shared among all steps over glass its jerk passes for little at each of them, and
    the link that tells of it for wrong."""
    step_sigma_px: tuple[float, float] = (0.6, 3.0)
    """(y, x) of one frame's step; the x part is what jitter of the frame times makes of it."""
    ramp_sigma_px: float = 40.0
    pitch_sigma_px: float = 4.0
    link_sigma_px: tuple[float, float] = (0.35, 0.6)
    """(y, x) of a perfect link; motion blur makes x the less certain one."""


class PriorSystem:
    """The expectations of one axis as weighted rows of the least-squares problem.

    Parameters
    ----------
    is_held
        (n - 1,) whether a link holds each frame to the next.
    """

    def __init__(
        self, start: Trajectory, expected: Expectations, axis: int, is_held: NDArray[np.bool_]
    ) -> None:
        self._expected = expected
        self._parts: list[_Rows] = []
        self._gaps = np.zeros(0, np.int64)
        self._between: StepsBetween | None = None
        if axis == 0:
            self._add_for_y(start)
        else:
            self._add_for_x(start, is_held)
        if expected.is_pinned is not None:
            pinned = np.flatnonzero(expected.is_pinned)
            targets = start.positions[pinned, axis]
            self._add(pinned[:, None], np.ones(1), targets, _PIN_SIGMA_PX, is_firm=True)
        self.matrix = _stacked(self._parts, len(start.frames))
        self._transposed = self.matrix.T.tocsr()
        self.target = np.concatenate([part.targets for part in self._parts])
        self._sigma = np.concatenate([part.sigmas for part in self._parts])
        self._are_firm = np.concatenate([np.full(len(p.targets), p.is_firm) for p in self._parts])
        self.weights = 1 / self._sigma**2

    def right_side(self) -> NDArray[np.float64]:
        """Of the normal equations."""
        return np.asarray(self._transposed @ (self.weights * self.target))

    def follow(self, positions: NDArray[np.float64]) -> None:
        """Expect of a step that no link holds, between two that links hold, what those tell."""
        if self._between is not None:
            ways_px, sigmas_px = self._between.expected(positions)
            self.target[self._between.which] = ways_px
            self._sigma[self._between.which] = sigmas_px

    def reweigh(self, positions: NDArray[np.float64]) -> None:
        residual = self._of_gaps(self.matrix @ positions - self.target)
        doubt = 2 * np.sqrt(self._of_gaps(self._sigma**2))
        kept = np.where(self._are_firm, 1.0, cauchy(residual, doubt))
        self.weights = kept / self._sigma**2

    def _of_gaps(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same, (rows,), where each step over a gap has the sum of all of them."""
        steps = len(self._gaps)
        sums = np.bincount(self._gaps, values[:steps])
        return np.concatenate([sums[self._gaps], values[steps:]])

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

    def _add_for_x(self, start: Trajectory, is_held: NDArray[np.bool_]) -> None:
        expected = self._expected
        rows, frames = _frames_between(start)
        if expected.jerks_at_once:
            self._gaps = _gaps(rows, is_held[rows])
        in_ramp = expected.is_ramp[rows] | expected.is_ramp[rows + 1]
        sigma = np.where(in_ramp, expected.ramp_sigma_px, expected.step_sigma_px[1])
        ways = expected.along_px[rows + 1] - expected.along_px[rows]
        self._add_ways(rows, rows + 1, ways, sigma * frames)
        self._between = StepsBetween.among(
            rows, ways, sigma * frames, frames, is_held[rows], in_ramp
        )
        if expected.keeps_speed:
            self._add_long_ways(start)
        self._add_told_ways(start)
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

    def _add_told_ways(self, start: Trajectory) -> None:
        frames = np.array(list(self._expected.ways_px), np.int64).reshape(-1, 2)
        is_here = np.isin(frames, start.frames).all(axis=1)
        first, last = (start.rows_of(each) for each in frames[is_here].T)
        ways_px = np.array(list(self._expected.ways_px.values()), np.float64)[is_here]
        ends = np.stack([first, last], axis=1)
        self._add(ends, np.array([-1.0, 1.0]), ways_px, _TOLD_WAY_SIGMA_PX, is_firm=True)

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
    intervals = np.diff(start.times_s) / usual_interval_s(start.times_s)
    rows = np.flatnonzero(np.diff(start.lanes) == 0)
    return rows, np.maximum(intervals[rows], _LEAST_INTERVALS)


def _gaps(rows: NDArray[np.int64], is_held: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Which gap each step belongs to, counted from 0, (steps,); a held one is alone in its own."""
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = is_held[1:] | is_held[:-1] | (np.diff(rows) > 1)
    return np.cumsum(begins) - 1


def cauchy(residuals: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights, 0 to 1, that residuals of about this scale leave to an equation."""
    return np.asarray(1 / (1 + (residuals / scale) ** 2))
