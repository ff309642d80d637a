from dataclasses import replace

import numpy as np
import pytest

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.lane_speed import Speed, agreed_speed, linked_speeds, perfect_speed
from blurryscope.stitch.links import Link, Links, gathered
from blurryscope.stitch.trajectory import Trajectory

INTERVAL_S = 1 / 30
SPEED_PX_PER_S = 3480.0
FRAMES = 40
CAMERA = CameraModel(scan_angle_rad=np.deg2rad(4.0), readout_s_per_row=4e-5)


def _trajectory(lane_count: int) -> Trajectory:
    """Lanes there and back, at full speed; the stage is where it is, frame times jitter."""
    rng = np.random.default_rng(3)
    frame = np.tile(np.arange(FRAMES), lane_count)
    lanes = np.repeat(np.arange(lane_count), FRAMES)
    taken_s = frame * INTERVAL_S + rng.normal(0, 4e-4, len(frame))
    way_px = SPEED_PX_PER_S * taken_s * np.where(lanes % 2, -1, 1)
    return Trajectory(
        frames=np.arange(len(frame)),
        lanes=lanes,
        times_s=np.asarray((np.arange(len(frame)) + 20 * lanes) * INTERVAL_S, np.float64),
        positions=np.stack([lanes * 400.0, way_px], axis=1),
        camera=CAMERA,
    )


def _step_links(stage: Trajectory, *, weak_every: int, short_px: float) -> Links:
    """Each frame found again in the next; links of rims are weak and short."""
    inverse = np.linalg.inv(stage.matrices)
    links: list[Link] = []
    for row in np.flatnonzero(np.diff(stage.lanes) == 0).tolist():
        is_weak = row % weak_every == 0
        step = stage.positions[row + 1] - stage.positions[row]
        step = step - np.sign(step) * short_px * is_weak
        for seen in ([30.0, 50.0], [-60.0, -20.0]):
            spot = stage.matrices[row] @ np.array(seen)
            later = inverse[row + 1] @ (spot - step)
            ends = ((seen[0], seen[1]), (float(later[0]), float(later[1])))
            links.append((row, row + 1, *ends, 0.8 if is_weak else 0.98))
    return gathered(links)


def test_a_lane_has_the_speed_of_its_surest_links_whatever_their_frame_times() -> None:
    stage = _trajectory(lane_count=4)
    links = _step_links(stage, weak_every=10, short_px=8.0)
    speeds = linked_speeds(stage, links, 4, usual_px_per_s=1.01 * SPEED_PX_PER_S)
    assert speeds == pytest.approx(SPEED_PX_PER_S, rel=2e-3)


def test_a_lost_frame_makes_no_lane_faster() -> None:
    stage = _trajectory(lane_count=1)
    links = _step_links(stage, weak_every=FRAMES + 1, short_px=0.0)
    speeds = linked_speeds(stage, links, 1, SPEED_PX_PER_S)
    later = links.point_later.copy()
    later[links.earlier == 10] -= [0.0, SPEED_PX_PER_S * INTERVAL_S]
    apart = replace(links, point_later=later)
    assert linked_speeds(stage, apart, 1, SPEED_PX_PER_S) == pytest.approx(speeds, rel=1e-3)


def test_a_lane_of_a_few_links_tells_no_speed() -> None:
    stage = _trajectory(lane_count=2)
    links = _step_links(stage, weak_every=FRAMES, short_px=0.0)
    few = links.only((stage.lanes[links.earlier] == 0) | (links.earlier > 2 * FRAMES - 8))
    speeds = linked_speeds(stage, few, 2, SPEED_PX_PER_S)
    assert np.isfinite(speeds).tolist() == [True, False]


def _shorter_the_worse(stage: Trajectory, worst: float) -> Links:
    """Links that correlate by `worst` to 1, their steps short by what is missing to 1."""
    rng = np.random.default_rng(4)
    inverse = np.linalg.inv(stage.matrices)
    links: list[Link] = []
    for row in np.flatnonzero(np.diff(stage.lanes) == 0).tolist():
        step = stage.positions[row + 1] - stage.positions[row]
        for seen in ([30.0, 50.0], [-60.0, -20.0]):
            correlation = float(rng.uniform(worst, 1.0))
            spot = stage.matrices[row] @ np.array(seen)
            later = inverse[row + 1] @ (spot - (1 - 0.1 * (1 - correlation)) * step)
            ends = ((seen[0], seen[1]), (float(later[0]), float(later[1])))
            links.append((row, row + 1, *ends, correlation))
    return gathered(links)


def test_the_speed_of_all_lanes_is_what_perfect_links_would_tell() -> None:
    stage = _trajectory(lane_count=20)
    links = _shorter_the_worse(stage, worst=0.9)
    by_sure_ones = float(np.median(linked_speeds(stage, links, 20, SPEED_PX_PER_S)))
    speed = perfect_speed(stage, links, SPEED_PX_PER_S)
    assert speed is not None
    assert speed.px_per_s == pytest.approx(SPEED_PX_PER_S, rel=7e-4)
    assert abs(speed.px_per_s - SPEED_PX_PER_S) < 2 * speed.sigma_px_per_s
    assert by_sure_ones < SPEED_PX_PER_S * (1 - 0.0015)


def test_links_that_are_all_about_as_weak_leave_the_speed_of_perfect_ones_open() -> None:
    stage = _trajectory(lane_count=4)
    links = _shorter_the_worse(stage, worst=0.9)
    alike = replace(links, correlation=0.9 + 0.1 * (links.correlation - 0.9))
    seen = perfect_speed(stage, alike, SPEED_PX_PER_S)
    assert np.isnan(agreed_speed(seen, None))


def test_a_calibration_tells_the_speed_until_the_film_knows_it_better() -> None:
    assert agreed_speed(None, 3000.0) == 3000.0
    early = agreed_speed(Speed(3004.0, 6.0), 3000.0)
    late = agreed_speed(Speed(3004.0, 0.3), 3000.0)
    assert 3000 < early < 3000.5
    assert 3003.5 < late < 3004


def test_the_calibration_of_another_microscope_is_left_out() -> None:
    assert agreed_speed(Speed(3000.0, 1.0), 3100.0) == pytest.approx(3000.0)
    assert np.isnan(agreed_speed(None, None))
