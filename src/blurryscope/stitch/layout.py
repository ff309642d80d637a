"""A first layout of the slide: every lane from its own steps, every lane beside the one before."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.camera import CameraModel, is_readout_along
from blurryscope.stitch.expectations import Expectations
from blurryscope.stitch.links import Link, Links, gathered
from blurryscope.stitch.solve import solve
from blurryscope.stitch.steps import (
    Motion,
    UsualSteps,
    lanes_apart,
    seen_steps,
    step_links,
    usual_interval_s,
    usual_steps,
)
from blurryscope.stitch.strips import (
    OffsetSurface,
    Scoring,
    Strip,
    StripSpectra,
    compare_near,
    compare_spectra,
    lay_strip,
    padded_shape,
    rows_between,
    spectra_of,
)
from blurryscope.stitch.trajectory import Trajectory

_LEAST_SCORE = 30.0
"""Log-likelihood gain that makes an agreement of two lanes more than chance: over the some 20,000
offsets that are tried, blank lanes reach about log(20,000) = 10, and rims of unlike cores 25. Two
lanes that truly share tissue rarely stay below 40; those that do are joined by their frames."""
_LEAST_LEAD = 10.0
"""By which an agreement must beat all those too far away for pieces of the lane to be found there,
or it is none: rims of bubbles and long edges agree wherever they cross the rows that both lanes
share. On 17 simulated scans a false one led by 3, and of 220 true ones all but one by 14 and more.
"""
_LEAST_RUN_SCORE = 10.0
"""The same for pieces of lanes: over some 1,000 offsets chance reaches about log(1,000) = 7."""
_RUN_ROWS = 6.0
"""How far a piece may lie above or below where it is thought to, pixels of the detail pictures."""
_RUN_STEPS = 4.0
"""How far a piece may lie along the lane from where it is thought to, in steps of the stage: that
is what two jerks over one stretch of glass come to."""
_RUN_SIGMA_STEPS = 1.0
"""And how far it usually does, which counts against what is farther."""
_TISSUE_DETAIL = 0.01
"""Standard deviation of absorbance of a frame that shows enough to be linked alone."""
_LOOSE_TURN_PX = 500.0
"""Lanes are not timed yet, so their ends say little; this only keeps blank lanes in place."""
_PITCH_TOLERANCE = 0.06
_LEAST_TOLERANCE_PX = 3.0
"""How far the distance of two lanes may be from the usual one: a fraction of it, or so many pixels
of the detail pictures."""
_FARTHEST_PITCH = 0.2
"""And where nothing agrees there: a stage whose steps across stray by 12 µm is 15 % of a pitch off
with one lane in three hundred."""
_BEGIN_SIGMA_STEPS = 5.0
"""How far from where the last lane ended the next may begin, in steps of the stage: over glass the
ends of lanes are known by their rhythm only. Rows of equal cores look alike a few cores on."""
_READ_OUT_ROWS = 4.0
"""How far the distance of two lanes may seem to change with the read-out that is assumed, pixels
of the detail pictures."""
_READ_OUT_SIGMA = 0.15
"""Of the time between frames: how far the read-out of a frame may be from how lanes shear. Seven
tries on simulated scans with a read-out across the lanes were 0.01 to 0.11 off."""
_CORES = 2
"""Threads that try read-outs; while the first lanes are laid out nothing else is to be done."""
_STRIP_NOISE = 0.003
_CELL_PX = 24.0
"""Pixels of a strip that carry one independent value, about a blur length times a nucleus."""


DetailOf = Callable[[int], Grey]
"""Gives the detail picture of a frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLayout:
    """Where the frames lie to within a few pixels, and what that rests on."""

    motion: Motion
    """With the directions of the lanes as they run along x of the mosaic."""
    usual: UsualSteps
    trajectory: Trajectory
    pitch_px: float
    links: Links
    is_linked: NDArray[np.bool_]
    """Of each pair of neighbouring lanes: whether their overlap shows the same tissue."""
    read_out_s_per_row: tuple[float, float] | None
    """As lanes shear, where rows lie along them, and its standard deviation."""


def lay_out(motion: Motion, detail_of: DetailOf, reduction: int) -> FirstLayout | None:
    """Lay the lanes out; None when no two can be told to overlap, or one direction is never seen.

    `reduction` is how much smaller the detail pictures are than the camera's frames.
    """
    usual = usual_steps(motion)
    if usual is None:
        return None
    apart = lanes_apart(motion, usual, usual.camera()[0])
    surfaces = _compare_neighbours(apart, detail_of, reduction)
    pitch, score = _common_pitch(surfaces, apart, motion, reduction)
    if score < _LEAST_SCORE:
        return None
    if pitch < 0:
        motion = _turned_half(motion)
        usual = usual.turned()
        apart = lanes_apart(motion, usual, usual.camera()[0])
        surfaces = [surface.turned() for surface in surfaces]
        pitch, _ = _common_pitch(surfaces, apart, motion, reduction)
    read_out = None
    if not is_readout_along(_scan_direction(apart.camera)):
        read_out = _read_out_across(apart, motion, surfaces, pitch, detail_of, reduction)
        seen_s, _ = read_out
        apart = lanes_apart(motion, usual, replace(apart.camera, readout_s_per_row=seen_s))
        surfaces = _compare_neighbours(apart, detail_of, reduction)
        pitch, _ = _common_pitch(surfaces, apart, motion, reduction)
    beside, linked = _lanes_beside(apart, surfaces, pitch, reduction)
    expected = loose_expectations(motion, usual, apart, pitch * reduction, reduction)
    pieces = run_links(beside, motion, usual, detail_of, reduction)
    links = gathered([*step_links(motion, usual), *pieces])
    solution = solve(beside, links, expected, fit_camera=False)
    return FirstLayout(
        motion=motion,
        usual=usual,
        trajectory=solution.trajectory,
        pitch_px=pitch * reduction,
        links=links,
        is_linked=linked,
        read_out_s_per_row=read_out,
    )


def _turned_half(motion: Motion) -> Motion:
    lanes = [replace(lane, direction=-lane.direction) for lane in motion.lanes]
    return replace(motion, lanes=lanes)


def _scan_direction(camera: CameraModel) -> NDArray[np.float64]:
    """Unit vector (row, col) in the frame of a stage move along +x."""
    return np.array([np.sin(camera.scan_angle_rad), np.cos(camera.scan_angle_rad)])


def loose_expectations(
    motion: Motion, usual: UsualSteps, apart: Trajectory, pitch_px: float, reduction: int
) -> Expectations:
    """What can be expected before the turns of the stage are known."""
    directions = np.array([lane.direction for lane in motion.lanes])[apart.lanes]
    return Expectations(
        along_px=directions * usual.camera()[1] * apart.times_s,
        is_ramp=np.zeros(len(apart.frames), np.bool_),
        pitch_px=pitch_px,
        turn_sigma_px=_LOOSE_TURN_PX,
        link_sigma_px=(0.3 * reduction, 0.5 * reduction),
    )


@dataclass(frozen=True, slots=True)
class _StripLayer:
    """Lays strips of a trajectory's frames."""

    trajectory: Trajectory
    detail_of: DetailOf
    reduction: int

    def strip(
        self, rows: NDArray[np.int64], between: tuple[float, float] = (-np.inf, np.inf)
    ) -> Strip:
        """Lay the frames in these rows of the trajectory; `between` as in `lay_strip`."""
        return lay_strip(
            [self.detail_of(int(frame)) for frame in self.trajectory.frames[rows]],
            self.trajectory.positions[rows] / self.reduction,
            self.trajectory.matrices[rows],
            between,
        )

    def lane(self, number: int, between: tuple[float, float] = (-np.inf, np.inf)) -> Strip:
        """Lay the frames of a lane."""
        return self.strip(_lane_rows(self.trajectory, number), between)


def _lane_rows(trajectory: Trajectory, number: int) -> NDArray[np.int64]:
    return np.flatnonzero(trajectory.lanes == number)


def _compare(first: Strip, second: Strip) -> OffsetSurface:
    padded = padded_shape([first.detail.shape, second.detail.shape])
    return _compare_spectra(spectra_of(first, padded), spectra_of(second, padded))


def _compare_spectra(first: StripSpectra, second: StripSpectra) -> OffsetSurface:
    return compare_spectra(first, second, _scoring(first.strip))


def _scoring(first: Strip) -> Scoring:
    least_rows = max(len(first.detail) // 25, 3)
    return Scoring(noise_sigma=_STRIP_NOISE, cell_px=_CELL_PX, least_rows=least_rows)


def _compare_neighbours(
    trajectory: Trajectory, detail_of: DetailOf, reduction: int
) -> list[OffsetSurface]:
    layer = _StripLayer(trajectory, detail_of, reduction)
    strips = [layer.lane(number) for number in range(int(trajectory.lanes.max()) + 1)]
    padded = padded_shape([strip.detail.shape for strip in strips])
    transformed = (spectra_of(strip, padded) for strip in strips)
    return [_compare_spectra(upper, lower) for upper, lower in pairwise(transformed)]


def _common_pitch(
    surfaces: Sequence[OffsetSurface], trajectory: Trajectory, motion: Motion, reduction: int
) -> tuple[float, float]:
    """Find the dy that all neighbours agree on: pixels of the detail pictures, and its score.

    Negative: the lanes step towards -y, so the mosaic has to be turned by 180 degrees.
    """
    across = np.abs(trajectory.camera.turn) @ np.array(motion.frame_shape)
    reach = int(across[0] / reduction)
    total = np.zeros(2 * reach + 1)
    for surface in surfaces:
        best = surface.score.max(axis=1)
        inside = np.abs(surface.dy_px) <= reach
        profile = np.zeros_like(total)
        np.maximum.at(profile, surface.dy_px[inside] + reach, best[inside])
        total += profile
    # Lanes that overlap by more than 70 % or not at all are no zigzag.
    dy = np.arange(-reach, reach + 1)
    total[np.abs(dy) < 0.3 * reach] = 0
    smooth = np.convolve(total, [0.5, 1.0, 0.5], mode="same")
    best_row = int(np.argmax(smooth))
    return float(dy[best_row]), float(total[best_row])


def _read_out_across(
    trajectory: Trajectory,
    motion: Motion,
    surfaces: Sequence[OffsetSurface],
    pitch: float,
    detail_of: DetailOf,
    reduction: int,
) -> tuple[float, float]:
    """Find the read-out time per row, when rows lie along the lanes, by how lanes shear.

    Also its standard deviation.

    Lanes of opposite direction shear in opposite ways, so that their overlap agrees over its whole
    height only when the shear is undone.
    """
    found = [surface.best(pitch, 4) for surface in surfaces]
    richest = sorted(range(len(found)), key=lambda n: -found[n][3])[:4]
    rows_count = detail_of(int(trajectory.frames[0])).shape[0] * reduction
    limit_s = usual_interval_s(trajectory.times_s) / rows_count
    details = {
        int(frame): detail_of(int(frame))
        for number in richest
        for frame in trajectory.frames[np.isin(trajectory.lanes, (number, number + 1))]
    }

    # Rows lie along the lanes, so read-out moves nothing out of the rows that two lanes share, and
    # moves the two against each other by less than a step.
    half = float((np.abs(trajectory.camera.turn) @ np.array(motion.frame_shape))[0]) / reduction / 2
    step = float(np.median(np.abs(np.diff(trajectory.positions[:, 1])))) / reduction
    farthest = step + _READ_OUT_ROWS

    def agreement(readout_s: float) -> float:
        tried = replace(trajectory, camera=replace(trajectory.camera, readout_s_per_row=readout_s))
        layer = _StripLayer(tried, details.__getitem__, reduction)
        total = 0.0
        for number in richest:
            dy, dx, _, _ = found[number]
            upper = layer.lane(number, (dy - half - _READ_OUT_ROWS, np.inf))
            lower = layer.lane(number + 1, (-np.inf, half - dy + _READ_OUT_ROWS))
            surface = compare_near(
                upper, lower, _scoring(upper), around=(dy, dx), reach=(_READ_OUT_ROWS, farthest)
            )
            total += surface.best(dy, _READ_OUT_ROWS)[3]
        return total

    with ThreadPoolExecutor(_CORES, "read-out") as helpers:
        coarse = np.linspace(-1, 1, 11) * limit_s
        best = float(coarse[int(np.argmax(list(helpers.map(agreement, coarse.tolist()))))])
        fine = best + np.linspace(-0.15, 0.15, 7) * limit_s
        scores = np.array(list(helpers.map(agreement, fine.tolist())))
    found_s = float(np.average(fine, weights=np.maximum(scores - 0.9 * scores.max(), 0)))
    return found_s, _READ_OUT_SIGMA * limit_s


def _lanes_beside(
    apart: Trajectory, surfaces: Sequence[OffsetSurface], pitch: float, reduction: int
) -> tuple[Trajectory, NDArray[np.bool_]]:
    """Put each lane beside the one before, by their overlap where it shows tissue."""
    positions = apart.positions.copy()
    offset = np.zeros(2)
    linked = np.zeros(len(surfaces), np.bool_)
    step_px = _step_px(apart) / reduction
    for number, surface in enumerate(surfaces, start=1):
        found = _offset_near(surface, (pitch, 0.0), pitch, step_px)
        linked[number - 1] = found is not None
        step = np.array([pitch, 0.0]) if found is None else found
        offset = offset + step * reduction
        positions[_lane_rows(apart, number)] += offset
    return replace(apart, positions=positions), linked


def _step_px(trajectory: Trajectory) -> float:
    """Of the stage, from frame to frame."""
    # The median keeps clear of lost frames, and of the ways from one lane to the next.
    return float(np.median(np.abs(np.diff(trajectory.positions[:, 1]))))


def _offset_near(
    surface: OffsetSurface, around: tuple[float, float], pitch: float, step_px: float
) -> NDArray[np.float64] | None:
    """(dy, dx) in pixels of the detail pictures; None if the lanes show nothing in common.

    Nor may they agree as well elsewhere. `around`, (dy, dx), is where they are thought to lie.
    """
    around_dy, around_dx = around
    surface = surface.expecting(around_dx, _BEGIN_SIGMA_STEPS * step_px)
    for tolerance in (_PITCH_TOLERANCE, _FARTHEST_PITCH):
        tolerance_px = max(tolerance * pitch, _LEAST_TOLERANCE_PX)
        dy, dx, _, score = surface.best(around_dy, tolerance_px)
        # At the border of what is looked at, the best place lies beyond it.
        if score < _LEAST_SCORE or abs(dy - around_dy) > tolerance_px - 1:
            continue
        rival = surface.rival(around_dy, tolerance_px, dx, _RUN_STEPS * step_px)
        return np.array([dy, dx]) if score - rival >= _LEAST_LEAD else None
    return None


def lane_beside(
    placed: Trajectory, lane: Trajectory, pitch_px: float, detail_of: DetailOf, reduction: int
) -> tuple[Trajectory, bool]:
    """Put one more lane beside the last of those that are placed.

    Returns the lane, moved, and whether the overlap of the two shows the same tissue. If it does
    not, the lane lies one pitch below and begins at the x where the last one ended.
    """
    last = np.flatnonzero(placed.lanes == placed.lanes[-1])
    lane = _level(lane)
    upper = _StripLayer(placed, detail_of, reduction).strip(last)
    lower = _StripLayer(lane, detail_of, reduction).strip(np.arange(len(lane.frames)))
    origin = np.array([float(np.median(placed.positions[last, 0])), 0.0])
    offset_y = (pitch_px + origin[0]) / reduction
    # Only the rows that both can show are worth comparing.
    reach = _FARTHEST_PITCH * pitch_px / reduction + _LEAST_TOLERANCE_PX
    upper = rows_between(upper, lower.origin[0] + offset_y - reach, np.inf)
    lower = rows_between(lower, -np.inf, upper.bottom - offset_y + reach)
    begin = np.array([pitch_px, placed.positions[-1, 1] - lane.positions[0, 1]])
    found = _offset_near(
        _compare(upper, lower),
        (offset_y, float(begin[1]) / reduction),
        pitch_px / reduction,
        _step_px(placed) / reduction,
    )
    if found is not None:
        return replace(lane, positions=lane.positions + found * reduction), True
    return replace(lane, positions=lane.positions + origin + begin), False


def _level(lane: Trajectory) -> Trajectory:
    """A lane along x, around y = 0: short as they are, its steps add up to a slant."""
    y_px, x_px = lane.positions.T
    apart_px = x_px - x_px.mean()
    slope = float(apart_px @ y_px) / max(float(apart_px @ apart_px), 1e-9)
    return replace(lane, positions=np.stack([y_px - y_px.mean() - slope * apart_px, x_px], axis=1))


def _runs(
    trajectory: Trajectory, number: int, steps: set[int], detail_of: DetailOf
) -> list[NDArray[np.int64]]:
    """Rows of the frames of one lane that hang together by seen steps.

    A single frame counts where it shows tissue: between a lost frame and blank glass nothing else
    holds it.
    """
    rows = _lane_rows(trajectory, number)
    breaks = [
        place + 1
        for place, frame in enumerate(trajectory.frames[rows][:-1])
        if int(frame) not in steps
    ]
    return [
        run
        for run in np.split(rows, breaks)
        if len(run) > 1 or _most_detail(detail_of(int(trajectory.frames[run[0]]))) > _TISSUE_DETAIL
    ]


def _most_detail(detail: Grey) -> float:
    """Largest standard deviation of any of 16 parts: a rim may fill a corner of the field only."""
    rows, columns = (side // 4 for side in detail.shape)
    parts = detail[: 4 * rows, : 4 * columns].reshape(4, rows, 4, columns)
    return float(parts.std(axis=(1, 3)).max())


def run_links(
    beside: Trajectory, motion: Motion, usual: UsualSteps, detail_of: DetailOf, reduction: int
) -> list[Link]:
    """Link the lanes piece by piece: a jerk over blank glass shifts only what comes after it.

    `beside` must be right to a few steps.
    """
    steps = set(seen_steps(motion, usual))
    layer = _StripLayer(beside, detail_of, reduction)
    matrices = beside.matrices
    step_px = _step_px(beside)
    reach_px = _RUN_STEPS * step_px
    links: list[Link] = []
    upper: list[tuple[NDArray[np.int64], Strip]] = []
    for number in range(len(motion.lanes)):
        runs = _runs(beside, number, steps, detail_of)
        lower = [(run, layer.strip(run)) for run in runs]
        for run_above, strip_above in upper:
            for run_below, strip_below in lower:
                x_above, x_below = beside.positions[run_above, 1], beside.positions[run_below, 1]
                apart_px = max(x_above.min() - x_below.max(), x_below.min() - x_above.max())
                if apart_px > reach_px:
                    continue
                # Beside much tissue that one of them shows alone, little that both do is little.
                shared_above = rows_between(strip_above, strip_below.origin[0] - _RUN_ROWS, np.inf)
                shared_below = rows_between(strip_below, -np.inf, strip_above.bottom + _RUN_ROWS)
                surface = compare_near(
                    shared_above,
                    shared_below,
                    _scoring(strip_above),
                    around=(0.0, 0.0),
                    reach=(_RUN_ROWS, reach_px / reduction),
                )
                surface = surface.expecting(0.0, _RUN_SIGMA_STEPS * step_px / reduction)
                dy, dx, correlation, score = surface.best(0.0, _RUN_ROWS)
                if score < _LEAST_RUN_SCORE:
                    continue
                first = int(run_above[len(run_above) // 2])
                nearest = np.abs(x_below - beside.positions[first, 1])
                second = int(run_below[int(np.argmin(nearest))])
                moved = beside.positions[second] + np.array([dy, dx]) * reduction
                point = np.linalg.solve(matrices[first], moved - beside.positions[first])
                links.append(
                    (
                        int(beside.frames[first]),
                        int(beside.frames[second]),
                        (float(point[0]), float(point[1])),
                        (0.0, 0.0),
                        correlation,
                    )
                )
        upper = lower
    return links
