from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.expectations import Expectations
from blurryscope.stitch.layout import coarse_link_sigma_px
from blurryscope.stitch.links import Link, Links, gathered
from blurryscope.stitch.solve import link_residuals, solve
from blurryscope.stitch.trajectory import Trajectory, lane_rows

ROWS, COLUMNS = 240, 320
INTERVAL_S = 1 / 30
SPEED = 3000.0
PITCH_PX = 200.0
LANES, FRAMES = 5, 18
GLASS = slice(6, 12)
"""Frames of each lane that show nothing."""


@dataclass(frozen=True)
class Zigzag:
    """A slide whose truth is known, and what was measured of it."""

    truth: Trajectory
    links: Links
    expected: Expectations


STUCK_PX = np.array([100, 40, 0, 60, 100])
"""The last steps of a stage that stands for two frames within tissue; usual ones are of 100 px."""


def _positions(
    rng: np.random.Generator, jerk_px: float, *, sticks: bool = False
) -> NDArray[np.float64]:
    """(lanes, frames, 2); the stage of lane 2 sticks for a moment over the glass, or at its end."""
    positions = np.zeros((LANES, FRAMES, 2))
    for lane in range(LANES):
        way = SPEED * INTERVAL_S * np.arange(FRAMES)
        if lane == 2:
            way[9:] -= jerk_px
            if sticks:
                way[-len(STUCK_PX) :] = way[-len(STUCK_PX) - 1] + np.cumsum(STUCK_PX)
        positions[lane, :, 1] = way if lane % 2 == 0 else way[-1] - way
        positions[lane, :, 0] = lane * PITCH_PX + rng.normal(0, 3)
    return positions


def _seen_in_both(
    truth: Trajectory, first: int, second: int, rng: np.random.Generator, count: int
) -> list[Link]:
    """Spots of the slide that both frames show, to a third of a pixel."""
    inverse = np.linalg.inv(truth.matrices[[first, second]])
    places = truth.positions[[first, second]]
    half = np.array([ROWS, COLUMNS]) / 2
    links: list[Link] = []
    for _ in range(40 * count):
        spot = places[0] + rng.uniform(-1, 1, 2) * (ROWS + COLUMNS) / 2
        points = [inverse[n] @ (spot - places[n]) for n in range(2)]
        if all((np.abs(point) < half).all() for point in points):
            noisy = [point + rng.normal(0, 0.2, 2) for point in points]
            first_point, second_point = ((float(p[0]), float(p[1])) for p in noisy)
            frames = int(truth.frames[first]), int(truth.frames[second])
            links.append((*frames, first_point, second_point, 0.98))
        if len(links) == count:
            break
    return links


def _zigzag(
    camera: CameraModel,
    *,
    jerk_px: float = 0.0,
    wrong_fraction: float = 0.0,
    sticks: bool = False,
) -> Zigzag:
    rng = np.random.default_rng(21)
    positions = _positions(rng, jerk_px, sticks=sticks)
    frames = np.arange(LANES)[:, None] * 60 + np.arange(FRAMES)
    lanes = np.repeat(np.arange(LANES), FRAMES)
    times_s = np.asarray(frames.reshape(-1) * INTERVAL_S, np.float64)
    truth = Trajectory(
        frames=frames.reshape(-1),
        lanes=lanes,
        times_s=times_s,
        positions=positions.reshape(-1, 2),
        camera=camera,
    )
    shows = np.ones(FRAMES, np.bool_)
    shows[GLASS] = False
    rows = np.arange(LANES * FRAMES).reshape(LANES, FRAMES)
    links: list[Link] = []
    for lane in range(LANES):
        for frame in range(FRAMES - 1):
            if shows[frame] and shows[frame + 1]:
                links += _seen_in_both(truth, rows[lane, frame], rows[lane, frame + 1], rng, 3)
            if lane and shows[frame]:
                above = rows[lane - 1, FRAMES - 1 - frame]
                links += _seen_in_both(truth, above, rows[lane, frame], rng, 2)
    wrong = rng.random(len(links)) < wrong_fraction
    for number in np.flatnonzero(wrong):
        first, second, point, (row, column), correlation = links[number]
        moved = (row + float(rng.uniform(-60, 60)), column + float(rng.uniform(-60, 60)))
        links[number] = (first, second, point, moved, correlation)
    direction = np.where(lanes % 2 == 0, 1.0, -1.0)
    expected = Expectations(
        along_px=direction * SPEED * times_s,
        is_ramp=np.zeros(len(lanes), np.bool_),
        pitch_px=PITCH_PX,
        turn_sigma_px=15.0,
    )
    return Zigzag(truth, gathered(links), expected)


STRAIGHT = CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0)
TURNED = CameraModel(scan_angle_rad=np.deg2rad(94.4), readout_s_per_row=3.5e-5)
ACROSS = CameraModel(scan_angle_rad=np.deg2rad(1.5), readout_s_per_row=4e-5)


def _blurred_start(zigzag: Zigzag, sigma_px: float = 12.0) -> Trajectory:
    truth = zigzag.truth
    rng = np.random.default_rng(22)
    lane_error = rng.normal(0, 3 * sigma_px, (LANES, 2))[truth.lanes]
    frame_error = rng.normal(0, sigma_px, truth.positions.shape)
    return replace(truth, positions=truth.positions + lane_error + frame_error)


def _distances(found: Trajectory, truth: Trajectory) -> NDArray[np.float64]:
    apart = found.positions - truth.positions
    return np.asarray(np.hypot(*(apart - np.median(apart, axis=0)).T))


@pytest.mark.parametrize("camera", [STRAIGHT, TURNED, ACROSS])
def test_a_zigzag_is_recovered_although_a_tenth_of_the_links_is_wrong(camera: CameraModel) -> None:
    zigzag = _zigzag(camera, wrong_fraction=0.1)
    solution = solve(_blurred_start(zigzag), zigzag.links, zigzag.expected, fit_camera=False)
    assert np.percentile(_distances(solution.trajectory, zigzag.truth), 95) < 1.0


def test_wrong_links_lose_their_weight_and_right_ones_keep_it() -> None:
    zigzag = _zigzag(STRAIGHT, wrong_fraction=0.1)
    truly = np.hypot(*link_residuals(zigzag.truth, zigzag.links).T)
    solution = solve(_blurred_start(zigzag), zigzag.links, zigzag.expected, fit_camera=False)
    assert np.median(solution.weights[truly > 10]) < 0.05
    assert np.median(solution.weights[truly < 1]) > 0.8


def test_links_that_slid_along_an_edge_count_along_neither_axis() -> None:
    zigzag = _zigzag(STRAIGHT)
    points = zigzag.links.point_later.copy()
    points[::3] += (12.0, 2.0)  # plainly wrong across the lanes, not so along them
    slid = replace(zigzag.links, point_later=points)
    solution = solve(_blurred_start(zigzag), slid, zigzag.expected, fit_camera=False)
    assert np.percentile(_distances(solution.trajectory, zigzag.truth), 95) < 0.8


def test_a_frame_that_one_false_link_holds_alone_stays_in_its_lane() -> None:
    zigzag = _zigzag(STRAIGHT)
    links, frame = zigzag.links, int(zigzag.truth.frames[2 * FRAMES + 3])
    is_of_it = (links.earlier == frame) | (links.later == frame)
    is_kept = ~is_of_it
    is_kept[np.flatnonzero(links.later == frame)[0]] = True
    points = links.point_later.copy()
    points[links.later == frame] += (15.0, 25.0)
    false = replace(links, point_later=points).only(is_kept)
    solution = solve(_blurred_start(zigzag, 3.0), false, zigzag.expected, fit_camera=False)
    assert solution.weights[false.later == frame].max() == 0
    row = int(zigzag.truth.rows_of(np.array([frame]))[0])
    assert _distances(solution.trajectory, zigzag.truth)[row] < 3.0


def test_a_lane_goes_straight_on_where_all_links_between_two_frames_lead_aside_for_good() -> None:
    zigzag = _zigzag(STRAIGHT)
    links, last = zigzag.links, LANES - 1
    before, after = zigzag.truth.frames[last * FRAMES + 3 : last * FRAMES + 5].tolist()
    # Nothing else holds it from there on: the lane above shows only glass beside it.
    is_from_above = zigzag.truth.lanes[zigzag.truth.rows_of(links.earlier)] == last - 1
    points = links.point_later.copy()
    points[(links.earlier == before) & (links.later == after)] += (12.0, 0.0)
    false = replace(links, point_later=points).only(~(is_from_above & (links.later >= after)))
    solution = solve(_blurred_start(zigzag, 3.0), false, zigzag.expected, fit_camera=False)
    off_px = solution.trajectory.positions[:, 0] - zigzag.truth.positions[:, 0]
    rows = zigzag.truth.rows_of(np.arange(before, after + 8))
    assert np.ptp(off_px[rows]) < 1.0


def test_a_jerk_over_blank_glass_moves_only_what_comes_after_it() -> None:
    zigzag = _zigzag(STRAIGHT, jerk_px=60.0)
    solution = solve(_blurred_start(zigzag), zigzag.links, zigzag.expected, fit_camera=False)
    shows = np.tile(np.r_[np.arange(6), np.arange(12, FRAMES)], LANES)
    shows = shows + np.repeat(np.arange(LANES), 12) * FRAMES
    assert _distances(solution.trajectory, zigzag.truth)[shows].max() < 4.0


def test_one_weak_link_tells_of_a_jerk_over_glass_where_the_stage_jerks_at_once() -> None:
    zigzag = _zigzag(STRAIGHT, jerk_px=110.0)
    links = zigzag.links
    lane_of = dict(zip(zigzag.truth.frames.tolist(), zigzag.truth.lanes.tolist(), strict=True))
    ends = np.array([links.earlier, links.later])
    lanes = np.vectorize(lane_of.__getitem__)(ends)
    beyond = (lanes == 2) & (ends % 60 >= GLASS.stop)
    # Beyond the glass one faint link joins the lane to the one above, and none to the one below.
    is_across = beyond.any(axis=0) & (lanes[0] != lanes[1])
    is_kept = ~is_across
    is_kept[np.flatnonzero(is_across & (lanes[0] == 1))[0]] = True
    links = links.only(is_kept)
    faint = np.where(is_across[is_kept], 0.58, links.correlation)
    links = replace(links, correlation=faint)
    expected = replace(zigzag.expected, link_sigma_px=(1.2, 2.0), turn_sigma_px=500.0)
    rows = np.arange(2 * FRAMES + GLASS.stop, 3 * FRAMES)
    off_px = [
        _distances(solve(zigzag.truth, links, each, fit_camera=False).trajectory, zigzag.truth)[
            rows
        ]
        for each in (expected, replace(expected, jerks_at_once=True))
    ]
    assert off_px[0].min() > 50
    assert off_px[1].max() < 15


def test_a_step_that_is_not_seen_before_a_stage_that_stands_is_thought_to_be_half_a_step() -> None:
    """Frames read while the stage stops show too little alike to be found again."""
    zigzag = _zigzag(STRAIGHT, sticks=True)
    stands = zigzag.truth.frames[zigzag.truth.lanes == 2][-4:-2]
    is_alone = np.isin(zigzag.links.earlier, stands) != np.isin(zigzag.links.later, stands)
    links = zigzag.links.only(~is_alone)
    is_standing = np.isin(zigzag.truth.frames, stands)
    # Times jitter, so that of the two steps one seems likelier to be short than the other.
    early_s = np.where(is_standing, 0.1 * INTERVAL_S, 0.0)
    start = replace(zigzag.truth, times_s=zigzag.truth.times_s - early_s)
    expected = replace(zigzag.expected, along_px=zigzag.expected.along_px - SPEED * early_s)
    solution = solve(start, links, expected, fit_camera=False)
    assert _distances(solution.trajectory, zigzag.truth)[is_standing].max() < 15.0


@pytest.mark.parametrize("wrong_fraction", [0.0, 0.05])
@pytest.mark.parametrize("camera", [TURNED, ACROSS])
def test_lanes_in_both_directions_tell_the_camera_angle_and_read_out(
    camera: CameraModel, wrong_fraction: float
) -> None:
    zigzag = _zigzag(camera, wrong_fraction=wrong_fraction)
    wrong = CameraModel(
        scan_angle_rad=camera.scan_angle_rad + np.deg2rad(0.4),
        readout_s_per_row=camera.readout_s_per_row * 0.9,
    )
    start = replace(_blurred_start(zigzag, 3.0), camera=wrong)
    found = solve(start, zigzag.links, zigzag.expected, fit_camera=True).trajectory
    assert found.camera.scan_angle_rad == pytest.approx(camera.scan_angle_rad, abs=np.deg2rad(0.05))
    assert found.camera.readout_s_per_row == pytest.approx(camera.readout_s_per_row, rel=0.03)
    assert np.percentile(_distances(found, zigzag.truth), 95) < 1.5


def test_read_out_across_the_lanes_is_as_they_shear_where_links_do_not_tell_it() -> None:
    zigzag = _zigzag(ACROSS)
    lanes, truth = zigzag.truth.lanes, zigzag.truth
    earlier, later = truth.rows_of(zigzag.links.earlier), truth.rows_of(zigzag.links.later)
    within = zigzag.links.only(lanes[earlier] == lanes[later])
    known, sigma = ACROSS.readout_s_per_row, 0.1 * ACROSS.readout_s_per_row
    start = replace(truth, camera=replace(ACROSS, readout_s_per_row=-2 * known))
    told = replace(zigzag.expected, read_out_s_per_row=(known, sigma))
    untold, found = (
        solve(start, within, expected, fit_camera=True).trajectory.camera.readout_s_per_row
        for expected in (zigzag.expected, told)
    )
    assert abs(found - known) < sigma < 4 * sigma < abs(untold - known)


def test_where_nothing_is_linked_the_motion_is_as_expected() -> None:
    zigzag = _zigzag(STRAIGHT)
    nothing = zigzag.links.only(np.zeros(len(zigzag.links), np.bool_))
    found = solve(zigzag.truth, nothing, zigzag.expected, fit_camera=False).trajectory
    steps = np.diff(found.positions[:FRAMES, 1])
    assert steps == pytest.approx(np.full(FRAMES - 1, SPEED * INTERVAL_S), abs=0.5)
    lanes_y = found.positions[:, 0].reshape(LANES, FRAMES).mean(axis=1)
    assert np.diff(lanes_y) == pytest.approx(np.full(LANES - 1, PITCH_PX), abs=0.5)


@pytest.mark.parametrize("too_far_px", [-60.0, 60.0])
def test_turns_taken_too_far_in_or_out_do_not_change_the_length_of_the_glass(
    too_far_px: float,
) -> None:
    zigzag = _zigzag(STRAIGHT)
    ends_px = zigzag.truth.positions[:, 1].reshape(LANES, FRAMES)[:, [0, -1]]
    outward = np.sign(ends_px - ends_px.mean(axis=1, keepdims=True))
    expected = replace(zigzag.expected, ends_px=ends_px + outward * too_far_px)
    found = solve(zigzag.truth, zigzag.links, expected, fit_camera=False).trajectory
    apart_px = (found.positions - zigzag.truth.positions)[:, 1].reshape(LANES, FRAMES)
    assert np.ptp(apart_px, axis=1) == pytest.approx(np.zeros(LANES), abs=2.0)


def test_right_links_leave_hardly_a_residual_at_the_truth() -> None:
    zigzag = _zigzag(TURNED)
    assert np.abs(link_residuals(zigzag.truth, zigzag.links)).mean() < 0.5


def test_the_speed_of_a_lane_does_not_follow_the_jitter_of_frame_times() -> None:
    truth = _zigzag(STRAIGHT).truth
    jitter_s = np.random.default_rng(23).normal(0, 0.0006, len(truth.times_s))
    speeds = replace(truth, times_s=truth.times_s + jitter_s).velocities[:, 1]
    directions = np.where(truth.lanes % 2 == 0, 1, -1)
    assert speeds * directions == pytest.approx(np.full(len(speeds), SPEED), rel=0.02)


def test_a_jerk_over_half_a_lane_does_not_change_the_speed_of_the_other_half() -> None:
    truth = _zigzag(STRAIGHT).truth
    first = np.flatnonzero(truth.lanes == 0)
    count = len(first)
    is_slow = np.arange(count - 1) >= 0.4 * count  # 9 steps of 17
    steps = np.where(is_slow, 0.5, 1.0) * SPEED * np.diff(truth.times_s[first])
    positions = truth.positions.copy()
    positions[first, 1] = np.concatenate([[0.0], np.cumsum(steps)])
    speeds = replace(truth, positions=positions).velocities[first, 1]
    turn = int(np.argmax(is_slow))
    assert speeds[: turn - 1] == pytest.approx(np.full(turn - 1, SPEED))
    assert speeds[turn + 1 :] == pytest.approx(np.full(count - turn - 1, 0.5 * SPEED))


def _with_short_steps(zigzag: Zigzag, fraction: float) -> Links:
    """Links within lanes whose later point lies as if the stage had gone less far."""
    truth, links = zigzag.truth, zigzag.links
    lanes = [truth.lanes[truth.rows_of(frames)] for frames in (links.earlier, links.later)]
    direction = np.where(lanes[0] % 2 == 0, 1, -1) * (lanes[0] == lanes[1])
    later = links.point_later.copy()
    later[:, 1] += fraction * SPEED * INTERVAL_S * direction
    return replace(links, point_later=later)


def _shortness(found: Trajectory, truth: Trajectory) -> float:
    """By which fraction lanes came out too short, in the median lane."""
    ratios = [
        np.ptp(found.positions[rows, 1]) / np.ptp(truth.positions[rows, 1])
        for rows in lane_rows(truth)
    ]
    return 1 - float(np.median(ratios))


def test_links_that_are_all_a_little_short_do_not_shorten_the_lanes_of_an_even_stage() -> None:
    zigzag = _zigzag(STRAIGHT)
    links = _with_short_steps(zigzag, 0.004)
    start = _blurred_start(zigzag, 2.0)
    believing = solve(start, links, zigzag.expected, fit_camera=False).trajectory
    even = replace(zigzag.expected, keeps_speed=True)
    held = solve(start, links, even, fit_camera=False).trajectory
    assert _shortness(believing, zigzag.truth) > 0.002
    assert abs(_shortness(held, zigzag.truth)) < 0.001


def test_short_steps_of_the_first_look_count_for_less_beside_a_stage_that_keeps_its_speed() -> None:
    zigzag = _zigzag(STRAIGHT)
    short = _with_short_steps(zigzag, 0.006)
    links = replace(short, correlation=np.full(len(short), 0.8))
    even = replace(zigzag.expected, keeps_speed=True, jerks_at_once=True)

    def shortness(*, adds_up: bool) -> float:
        expected = replace(even, link_sigma_px=coarse_link_sigma_px(4, adds_up=adds_up))
        found = solve(_blurred_start(zigzag, 2.0), links, expected, fit_camera=False)
        return _shortness(found.trajectory, zigzag.truth)

    assert abs(shortness(adds_up=True)) < 0.0004
    assert shortness(adds_up=False) > 0.0006


def test_an_even_stage_that_sticks_for_once_is_followed_all_the_same() -> None:
    zigzag = _zigzag(STRAIGHT, jerk_px=60.0)
    even = replace(zigzag.expected, keeps_speed=True)
    solution = solve(_blurred_start(zigzag), zigzag.links, even, fit_camera=False)
    shows = np.tile(np.r_[np.arange(6), np.arange(12, FRAMES)], LANES)
    shows = shows + np.repeat(np.arange(LANES), 12) * FRAMES
    assert _distances(solution.trajectory, zigzag.truth)[shows].max() < 4.0
