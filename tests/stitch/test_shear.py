"""Lanes of opposite direction agree over all the rows they share where their shear is undone."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from blurryscope.basics.image import Grey
from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.lane_strips import StripLayer, scoring
from blurryscope.stitch.shear import read_out_by_shear
from blurryscope.stitch.strips import compare_strips
from blurryscope.stitch.trajectory import Trajectory
from tests.stitch.seen_by_camera import seen_by_camera

ROWS, COLUMNS = 60, 80
LANES, FRAMES, STEP_PX, PITCH_PX = 3, 14, 30.0, 42.0
INTERVAL_S = 1 / 30
MARGIN_PX = 60
LONGEST_S = INTERVAL_S / ROWS
"""Time to read a row if a frame takes all the time to the next."""


def _slide() -> Grey:
    rng = np.random.default_rng(17)
    shape = int(LANES * PITCH_PX) + ROWS, int(FRAMES * STEP_PX) + COLUMNS
    shape = shape[0] + 2 * MARGIN_PX, shape[1] + 2 * MARGIN_PX
    texture = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), 2)
    return np.asarray(0.05 * texture / texture.std(), np.float32)


def _zigzag(readout_s_per_row: float) -> Trajectory:
    frames = np.arange(LANES * FRAMES)
    lanes, place = np.divmod(frames, FRAMES)
    x_px = STEP_PX * np.where(lanes % 2 == 0, place, FRAMES - 1 - place)
    return Trajectory(
        frames=frames,
        lanes=lanes,
        times_s=np.asarray(frames * INTERVAL_S, np.float64),
        positions=np.stack([PITCH_PX * lanes, x_px], axis=1),
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=readout_s_per_row),
    )


def _filmed(truth: Trajectory) -> list[Grey]:
    """Cut from a slide what each frame sees."""
    slide, corner = _slide(), MARGIN_PX + np.array([ROWS, COLUMNS]) / 2
    return [
        np.asarray(seen_by_camera(slide, corner + position, matrix, (ROWS, COLUMNS)), np.float32)
        for position, matrix in zip(truth.positions, truth.matrices, strict=True)
    ]


@pytest.mark.parametrize("part", [-0.7, -0.3, 0.0, 0.5, 0.9])
def test_the_read_out_of_rows_along_the_lanes_is_told_by_their_shear(part: float) -> None:
    details = _filmed(_zigzag(part * LONGEST_S))
    truth = _zigzag(0.0)
    apart = replace(truth, positions=truth.positions * [0.0, 1.0])  # each lane by itself
    layer = StripLayer(apart, details.__getitem__, reduction=1)
    strips = [layer.lane(number) for number in range(LANES)]
    surfaces = [compare_strips(upper, lower, scoring(upper)) for upper, lower in pairwise(strips)]
    found_s, sigma_s = read_out_by_shear(
        apart, surfaces, PITCH_PX, (ROWS, COLUMNS), details.__getitem__, reduction=1
    )
    assert found_s / LONGEST_S == pytest.approx(part, abs=0.05)
    assert 0 < sigma_s < 0.2 * LONGEST_S
