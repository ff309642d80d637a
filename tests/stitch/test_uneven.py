"""Frames near a jerk lie where the stage was, and their speeds are those that it had."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.expectations import Expectations
from blurryscope.stitch.links import Link, Links, gathered
from blurryscope.stitch.solve import Solution, solve
from blurryscope.stitch.trajectory import Trajectory
from blurryscope.stitch.uneven import with_uneven_speeds

ROWS, COLUMNS = 240, 320
INTERVAL_S = 1 / 30
SPEED = 3000.0
SLOW = 0.2
"""Of full speed, during the jerk."""
PITCH_PX = 200.0
LANES, FRAMES = 3, 20
JERK_S = (0.2645, 0.3705)
"""In the middle lane: it begins and ends while frames are read out."""
STICKS = FRAMES + 8
"""The frame during whose read-out the jerk begins."""
ALONG = CameraModel(scan_angle_rad=np.deg2rad(94.4), readout_s_per_row=7e-5)
ACROSS = CameraModel(scan_angle_rad=np.deg2rad(1.5), readout_s_per_row=7e-5)
AT_ONCE = CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0)
NO_GLASS = slice(0, 0)


@dataclass(frozen=True)
class Scan:
    """What a stage truly did, and what was measured of it."""

    positions: NDArray[np.float64]
    solution: Solution
    links: Links
    expected: Expectations


class _Stage:
    """Three lanes forth and back; where the middle of the field is at any time."""

    def __init__(self, jerk_s: tuple[float, float] = JERK_S) -> None:
        self._jerk_s = jerk_s

    def places(self, lane: int, since_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """(k, 2) as (y, x)."""
        knots_s = np.array([-1.0, *self._jerk_s, 3.0])
        speeds = SPEED * np.array([1.0, SLOW if lane == 1 else 1.0, 1.0])
        ways_px = np.concatenate([[0.0], np.cumsum(np.diff(knots_s) * speeds)]) - SPEED
        way_px = np.interp(since_s, knots_s, ways_px)
        x = way_px if lane % 2 == 0 else SPEED * INTERVAL_S * FRAMES - way_px
        return np.stack([np.full(len(x), lane * PITCH_PX), x], axis=1)


def _points(
    stage: _Stage, camera: CameraModel, lane: int, taken_s: float, spots: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where a frame shows spots of the slide, (k, 2) as (row, col) from its centre."""
    points = np.zeros_like(spots)
    for _ in range(10):  # the way during the read-out is a fifth of the frame
        read_s = camera.read_out_s(points)
        points = (spots - stage.places(lane, taken_s + read_s)) @ camera.turn
    return points


def _scan(camera: CameraModel, *, stage: _Stage | None = None, glass: slice = NO_GLASS) -> Scan:
    """Films it, links what overlaps to a third of a pixel, and solves that as if it went evenly."""
    stage = stage or _Stage()
    rng = np.random.default_rng(5)
    since_s = np.arange(FRAMES) * INTERVAL_S + rng.normal(0, 2e-4, (LANES, FRAMES))
    positions = np.stack([stage.places(lane, since_s[lane]) for lane in range(LANES)])
    shows = np.ones((LANES, FRAMES), np.bool_)
    shows[1, glass] = False
    links: list[Link] = []
    half = np.array([ROWS, COLUMNS]) / 2
    reach = np.abs(camera.turn) @ half

    def link(first: tuple[int, int], second: tuple[int, int], count: int) -> None:
        if not (shows[first] and shows[second]):
            return
        spots = positions[first] + rng.uniform(-1, 1, (30 * count, 2)) * reach
        points = np.stack(
            [
                _points(stage, camera, lane, since_s[lane, frame], spots)
                for lane, frame in (first, second)
            ]
        )
        is_inside = (np.abs(points) < half).all(axis=(0, 2))
        seen = points[:, is_inside][:, :count] + rng.normal(0, 0.2, (2, 1, 2))
        frames = first[0] * 60 + first[1], second[0] * 60 + second[1]
        for (a, b), (c, d) in zip(*seen.tolist(), strict=True):
            links.append((*frames, (a, b), (c, d), 0.97))

    for lane in range(LANES):
        for frame in range(FRAMES):
            if frame:
                link((lane, frame - 1), (lane, frame), 3)
            if lane:
                nearest = np.abs(positions[lane - 1, :, 1] - positions[lane, frame, 1]).argmin()
                link((lane - 1, int(nearest)), (lane, frame), 2)
    lanes = np.repeat(np.arange(LANES), FRAMES)
    frames = lanes * 60 + np.tile(np.arange(FRAMES), LANES)
    along_px = np.where(lanes % 2 == 0, 1.0, -1.0) * SPEED * frames * INTERVAL_S
    expected = Expectations(
        along_px=along_px,
        is_ramp=np.zeros(len(lanes), np.bool_),
        pitch_px=PITCH_PX,
        turn_sigma_px=15.0,
    )
    start = Trajectory(
        frames=frames,
        lanes=lanes,
        times_s=np.asarray(frames * INTERVAL_S, np.float64),
        positions=positions.reshape(-1, 2),
        camera=camera,
    )
    measured = gathered(links)
    solution = solve(start, measured, expected, fit_camera=False)
    return Scan(positions.reshape(-1, 2), solution, measured, expected)


def _errors_px(trajectory: Trajectory, scan: Scan) -> NDArray[np.float64]:
    """(n,) along x, but for where the whole slide lies."""
    apart = trajectory.positions[:, 1] - scan.positions[:, 1]
    return np.abs(apart - np.median(apart))


@pytest.mark.parametrize("turn_deg", [94.4, 80.0, 1.5])
def test_frames_near_a_jerk_lie_where_the_stage_was(turn_deg: float) -> None:
    scan = _scan(replace(ALONG, scan_angle_rad=np.deg2rad(turn_deg)))
    before = _errors_px(scan.solution.trajectory, scan)
    found = with_uneven_speeds(scan.solution, scan.links, scan.expected)
    after = _errors_px(found.trajectory, scan)
    assert before[STICKS] > 2.5
    assert after[STICKS] < 1.0
    assert after[FRAMES : 2 * FRAMES].max() < 1.2


@pytest.mark.parametrize("camera", [ALONG, ACROSS], ids=["along the scan", "across it"])
def test_the_speeds_of_both_halves_are_those_that_the_stage_had(camera: CameraModel) -> None:
    scan = _scan(camera)
    found = with_uneven_speeds(scan.solution, scan.links, scan.expected).trajectory
    halves = found.known_halves / -SPEED
    assert halves[STICKS - 1] == pytest.approx([1.0, 1.0], abs=0.05)
    # It sticks for the last 2.2 of the 8.4 ms of this half.
    assert halves[STICKS] == pytest.approx([0.79, SLOW], abs=0.06)
    assert halves[STICKS + 1] == pytest.approx([SLOW, SLOW], abs=0.05)
    assert halves[STICKS + 2] == pytest.approx([SLOW, SLOW], abs=0.05)
    assert halves[STICKS + 4] == pytest.approx([1.0, 1.0], abs=0.05)
    assert np.isnan(halves[:FRAMES]).all()


def test_a_stage_that_goes_evenly_is_left_as_it_was() -> None:
    scan = _scan(ALONG, stage=_Stage((1.0, 1.0)))
    assert with_uneven_speeds(scan.solution, scan.links, scan.expected) is scan.solution


def test_frames_exposed_at_once_say_nothing_of_their_speed_and_are_left_as_they_were() -> None:
    scan = _scan(AT_ONCE)
    assert with_uneven_speeds(scan.solution, scan.links, scan.expected) is scan.solution


def test_frames_over_glass_and_pinned_ones_keep_their_places() -> None:
    scan = _scan(ALONG, glass=slice(7, 9))
    is_pinned = np.zeros(LANES * FRAMES, np.bool_)
    is_pinned[:FRAMES] = True
    expected = replace(scan.expected, is_pinned=is_pinned)
    start = scan.solution.trajectory.positions
    found = with_uneven_speeds(scan.solution, scan.links, expected).trajectory.positions
    stay = np.concatenate([np.arange(FRAMES), [FRAMES + 7, FRAMES + 8]])
    assert np.abs(found - start)[stay].max() < 0.01
    assert np.abs(found - start).max() > 0.5


def test_a_repeated_frame_lies_where_the_one_before_lies_and_moves_as_that() -> None:
    scan = _scan(ALONG)
    start = scan.solution.trajectory
    row = FRAMES + 10
    times_s, positions = start.times_s.copy(), start.positions.copy()
    times_s[row], positions[row] = times_s[row - 1], positions[row - 1]
    links = scan.links
    keep = (links.earlier != start.frames[row]) & (links.later != start.frames[row])
    same = np.array([[-60.0, -40.0], [60.0, 40.0]])
    repeat = Links(
        earlier=np.full(2, start.frames[row - 1]),
        later=np.full(2, start.frames[row]),
        point_earlier=same,
        point_later=same,
        correlation=np.full(2, 0.99),
    )
    kept = links.only(keep)
    both = Links(
        **{
            name: np.concatenate([getattr(kept, name), getattr(repeat, name)])
            for name in ("earlier", "later", "point_earlier", "point_later", "correlation")
        }
    )
    repeated = replace(start, times_s=times_s, positions=positions)
    solution = replace(scan.solution, trajectory=repeated)
    found = with_uneven_speeds(solution, both, scan.expected).trajectory
    assert found.positions[row] == pytest.approx(found.positions[row - 1], abs=0.1)
    halves = found.known_halves
    assert halves[row] == pytest.approx(halves[row - 1], abs=0.02 * SPEED)
