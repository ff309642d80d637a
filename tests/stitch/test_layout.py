from dataclasses import replace

import numpy as np
import pytest

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.expectations import Expectations
from blurryscope.stitch.layout import coarse_link_sigma_px
from blurryscope.stitch.links import Link, gathered
from blurryscope.stitch.solve import solve
from blurryscope.stitch.trajectory import Trajectory

FRAMES, STEP_PX, PITCH_PX, REDUCTION = 24, 120.0, 300.0, 4
GAP = 12
"""The second lane lost a frame before this one of its own, over glass."""
CORRELATION = 0.6
"""Of tissue in pictures of the first look."""


def _two_lanes() -> tuple[Trajectory, Trajectory, Expectations]:
    """Where the frames are thought to lie, where they do, and what is expected."""
    number = np.tile(np.arange(FRAMES), 2)
    lanes = np.repeat([0, 1], FRAMES)
    x_px = STEP_PX * np.where(lanes == 0, number, FRAMES - 1 - number)
    thought = Trajectory(
        frames=np.arange(2 * FRAMES),
        lanes=lanes,
        times_s=np.arange(2 * FRAMES) / 30,
        positions=np.stack([PITCH_PX * lanes, x_px], axis=1),
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
    )
    behind = (lanes == 1) & (number >= GAP)
    true = thought.positions - np.stack([np.zeros(len(lanes)), STEP_PX * behind], axis=1)
    expected = Expectations(
        along_px=x_px,
        is_ramp=np.zeros(len(lanes), np.bool_),
        pitch_px=PITCH_PX,
        turn_sigma_px=15.0,
        link_sigma_px=coarse_link_sigma_px(REDUCTION),
        is_pinned=lanes == 0,
    )
    return thought, replace(thought, positions=true), expected


def _link(true: Trajectory, first: int, second: int) -> Link:
    """The middle of the second frame, found again in the first."""
    row, column = true.positions[second] - true.positions[first]
    return first, second, (float(row), float(column)), (0.0, 0.0), CORRELATION


def test_where_a_frame_was_lost_over_glass_the_gap_gives_way_and_not_the_steps_seen() -> None:
    thought, true, expected = _two_lanes()
    gap = FRAMES + GAP
    links = [
        _link(true, frame, frame + 1)
        for frame in range(FRAMES, 2 * FRAMES - 1)
        if frame not in (gap - 2, gap - 1)
    ]
    links += [_link(true, FRAMES - 6, FRAMES + 5), _link(true, 5, 2 * FRAMES - 6)]
    found = solve(thought, gathered(links), expected, rounds=5, fit_camera=False).trajectory
    off_px = np.abs(found.positions - true.positions)[:, 1]
    assert np.delete(off_px, gap - 1) == pytest.approx(0, abs=STEP_PX / 10)
