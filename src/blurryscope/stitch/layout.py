"""A first layout of the slide: every lane from its own steps, every lane beside the one before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.side_by_side import side_by_side
from blurryscope.stitch.camera import CameraModel, is_readout_along
from blurryscope.stitch.expectations import Expectations
from blurryscope.stitch.lane_strips import (
    RUN_STEPS,
    DetailOf,
    StripLayer,
    scoring,
    step_px_of,
)
from blurryscope.stitch.links import Links, gathered
from blurryscope.stitch.run_links import run_links
from blurryscope.stitch.shear import read_out_by_shear
from blurryscope.stitch.solve import solve
from blurryscope.stitch.spectra import padded_shape
from blurryscope.stitch.steps import (
    Motion,
    UsualSteps,
    lanes_apart,
    step_links,
    usual_steps,
)
from blurryscope.stitch.strips import (
    OffsetSurface,
    StripSpectra,
    compare_spectra,
    compare_strips,
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
_COARSE_LINK_SIGMA = (0.1, 0.15)
"""(y, x) of a link of the first look, in pixels of its pictures. Those of tissue correlate by 0.6,
which makes it half a pixel: steps were right to that. Taken for three times as uncertain, the steps
of a lane gave way rather than the gap where a frame was lost over glass."""
_ADDED_UP = 3.0
"""Times as uncertain beside a stage that keeps its speed: steps of the first look are up to 0.6 %
too short, which over a lane comes to more than such a stage strays."""


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
        read_out = read_out_by_shear(
            apart, surfaces, pitch, motion.frame_shape, detail_of, reduction
        )
        seen_s, _ = read_out
        apart = lanes_apart(motion, usual, replace(apart.camera, readout_s_per_row=seen_s))
        surfaces = _compare_neighbours(apart, detail_of, reduction)
        pitch, _ = _common_pitch(surfaces, apart, motion, reduction)
    beside, linked = _lanes_beside(apart, surfaces, pitch, reduction)
    expected = _loose_expectations(motion, usual, apart, pitch * reduction, reduction)
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


def lane_beside(
    placed: Trajectory, lane: Trajectory, pitch_px: float, detail_of: DetailOf, reduction: int
) -> tuple[Trajectory, bool]:
    """Put one more lane beside the last of those that are placed.

    Returns the lane, moved, and whether the overlap of the two shows the same tissue. If it does
    not, the lane lies one pitch below and begins at the x where the last one ended.
    """
    last = placed.rows_in(int(placed.lanes[-1]))
    lane = _level(lane)
    upper = StripLayer(placed, detail_of, reduction).strip(last)
    lower = StripLayer(lane, detail_of, reduction).strip(np.arange(len(lane.frames)))
    origin = np.array([float(np.median(placed.positions[last, 0])), 0.0])
    offset_y = (pitch_px + origin[0]) / reduction
    # Only the rows that both can show are worth comparing.
    reach = _FARTHEST_PITCH * pitch_px / reduction + _LEAST_TOLERANCE_PX
    upper = rows_between(upper, lower.origin[0] + offset_y - reach, np.inf)
    lower = rows_between(lower, -np.inf, upper.bottom - offset_y + reach)
    begin = np.array([pitch_px, placed.positions[-1, 1] - lane.positions[0, 1]])
    found = _offset_near(
        compare_strips(upper, lower, scoring(upper)),
        (offset_y, float(begin[1]) / reduction),
        pitch_px / reduction,
        step_px_of(placed) / reduction,
    )
    if found is not None:
        return replace(lane, positions=lane.positions + found * reduction), True
    return replace(lane, positions=lane.positions + origin + begin), False


def coarse_link_sigma_px(reduction: int, *, adds_up: bool = False) -> tuple[float, float]:
    """(y, x) of a link of the first look that correlates perfectly.

    `adds_up`: beside a stage that is known to keep its speed.
    """
    scale = reduction * (_ADDED_UP if adds_up else 1.0)
    sigma_y, sigma_x = (scale * part for part in _COARSE_LINK_SIGMA)
    return sigma_y, sigma_x


def _turned_half(motion: Motion) -> Motion:
    """The same with the mosaic turned by 180 degrees: lanes run the other way along x."""
    lanes = [replace(lane, direction=-lane.direction) for lane in motion.lanes]
    return replace(motion, lanes=lanes)


def _scan_direction(camera: CameraModel) -> NDArray[np.float64]:
    """Unit vector (row, col) in the frame of a stage move along +x."""
    return np.array([np.sin(camera.scan_angle_rad), np.cos(camera.scan_angle_rad)])


def _loose_expectations(
    motion: Motion, usual: UsualSteps, apart: Trajectory, pitch_px: float, reduction: int
) -> Expectations:
    """What can be expected before the turns of the stage are known."""
    directions = np.array([lane.direction for lane in motion.lanes])[apart.lanes]
    return Expectations(
        along_px=directions * usual.camera()[1] * apart.times_s,
        is_ramp=np.zeros(len(apart.frames), np.bool_),
        pitch_px=pitch_px,
        turn_sigma_px=_LOOSE_TURN_PX,
        jerks_at_once=True,
        link_sigma_px=coarse_link_sigma_px(reduction),
    )


def _compare_spectra(first: StripSpectra, second: StripSpectra) -> OffsetSurface:
    return compare_spectra(first, second, scoring(first.strip))


def _compare_neighbours(
    trajectory: Trajectory, detail_of: DetailOf, reduction: int
) -> list[OffsetSurface]:
    layer = StripLayer(trajectory, detail_of, reduction)
    strips = list(side_by_side(layer.lane, range(int(trajectory.lanes.max()) + 1)))
    padded = padded_shape([strip.detail.shape for strip in strips])
    transformed = side_by_side(partial(spectra_of, padded=padded), strips)
    return list(side_by_side(lambda pair: _compare_spectra(*pair), pairwise(transformed)))


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


def _lanes_beside(
    apart: Trajectory, surfaces: Sequence[OffsetSurface], pitch: float, reduction: int
) -> tuple[Trajectory, NDArray[np.bool_]]:
    """Put each lane beside the one before, by their overlap where it shows tissue."""
    positions = apart.positions.copy()
    offset = np.zeros(2)
    linked = np.zeros(len(surfaces), np.bool_)
    step_px = step_px_of(apart) / reduction
    for number, surface in enumerate(surfaces, start=1):
        found = _offset_near(surface, (pitch, 0.0), pitch, step_px)
        linked[number - 1] = found is not None
        step = np.array([pitch, 0.0]) if found is None else found
        offset = offset + step * reduction
        positions[apart.rows_in(number)] += offset
    return replace(apart, positions=positions), linked


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
        rival = surface.rival(around_dy, tolerance_px, dx, RUN_STEPS * step_px)
        return np.array([dy, dx]) if score - rival >= _LEAST_LEAD else None
    return None


def _level(lane: Trajectory) -> Trajectory:
    """A lane along x, around y = 0: short as they are, its steps add up to a slant."""
    y_px, x_px = lane.positions.T
    apart_px = x_px - x_px.mean()
    slope = float(apart_px @ y_px) / max(float(apart_px @ apart_px), 1e-9)
    return replace(lane, positions=np.stack([y_px - y_px.mean() - slope * apart_px, x_px], axis=1))
