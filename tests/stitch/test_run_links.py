"""Pieces of two lanes find each other by what both show, however little of each that is."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.lane_strips import StripLayer
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.links import Link
from blurryscope.stitch.motion import PairShift
from blurryscope.stitch.run_links import run_links
from blurryscope.stitch.steps import Motion, UsualSteps
from blurryscope.stitch.strips import Strip
from blurryscope.stitch.trajectory import Trajectory

REDUCTION = 2
ROWS, COLUMNS = 60, 80
"""Of a detail picture; the camera's frames are twice as large."""
PITCH_PX, STEP_PX, FRAMES = 80, 40, 18
"""Pixels of the camera; of a lane."""
MARGIN = 300
RIM_DETAIL, CORE_DETAIL = 0.03, 0.15
INTERVAL_S = 1 / 30
ALONG_PX = np.arange(FRAMES) * float(STEP_PX)
TRUE_PX = np.concatenate(
    [
        np.stack([np.zeros(FRAMES), ALONG_PX], axis=1),
        np.stack([np.full(FRAMES, float(PITCH_PX)), ALONG_PX[::-1]], axis=1),
    ]
)
"""(y, x) of all frames: there along one lane, and back along the next."""


def _slide() -> Grey:
    """A core that the upper lane shows whole; its rim alone reaches into the lower one."""
    rng = np.random.default_rng(4)
    rows = 3 * ROWS
    columns = STEP_PX * FRAMES // REDUCTION + COLUMNS + 2 * MARGIN
    texture = cv2.GaussianBlur(rng.standard_normal((rows, columns)).astype(np.float32), (0, 0), 3)
    depth = np.where(np.arange(rows) < PITCH_PX // REDUCTION, CORE_DETAIL, RIM_DETAIL)
    noise = 0.001 * rng.standard_normal((rows, columns))
    return np.asarray(texture / texture.std() * depth[:, None] + noise, np.float32)


@pytest.mark.parametrize("off_steps", [-3.2, -1.0, 0.0, 1.4, 3.2, 6.6])
def test_a_piece_that_jerks_have_moved_by_some_steps_finds_its_place_by_the_rim_of_a_core(
    off_steps: float,
) -> None:
    links = _links(_slide(), off_steps, seen=0.9)
    ((first, second, point, _, correlation),) = links
    assert first < FRAMES <= second
    wanted = TRUE_PX[second] - TRUE_PX[first]
    assert np.abs(np.array(point) - wanted).max() < 2 * REDUCTION
    assert correlation > 0.8


def test_single_frames_count_though_tissue_fills_but_a_corner_of_them() -> None:
    """A rim between glass on both sides: no step is seen, and frames are all that there is."""
    slide = _slide()
    rim = np.s_[ROWS - 20 : ROWS, MARGIN + 120 : MARGIN + 190]
    kept = slide[rim] * np.float32(0.1 / CORE_DETAIL)
    slide[:] = 0.0005 * np.random.default_rng(2).standard_normal(slide.shape)
    slide[rim] = kept
    links = _links(slide, 1.2, seen=0.0)
    assert links
    for first, second, point, *_ in links:
        wanted = TRUE_PX[second] - TRUE_PX[first]
        assert np.abs(np.array(point) - wanted).max() < 4 * REDUCTION


@pytest.mark.parametrize("off_steps", [0.0, 1.4, 6.6])
def test_pieces_laid_as_far_as_lanes_share_rows_give_the_links_of_whole_ones(
    off_steps: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide, rng = _slide(), np.random.default_rng(6)
    # Specks of dust, some of them at the border of what is laid.
    slide[rng.integers(0, 3 * ROWS, 60), rng.integers(0, slide.shape[1], 60)] = 2.0
    parts = _links(slide, off_steps, seen=0.9)
    strip, heights = StripLayer.strip, []

    def whole(layer: StripLayer, rows: NDArray[np.int64], between: tuple[float, float]) -> Strip:
        laid = strip(layer, rows)
        heights.append(len(laid.detail) / len(strip(layer, rows, between).detail))
        return laid

    monkeypatch.setattr(StripLayer, "strip", whole)
    assert parts == _links(slide, off_steps, seen=0.9)
    assert len(parts) == 1
    assert min(heights) > 1.5


def _links(slide: Grey, off_steps: float, seen: float) -> list[Link]:
    """Links of the two lanes if the lower one is thought to lie so many steps off."""
    details = [_seen(slide, centre) for centre in TRUE_PX]
    off_px = np.where(np.arange(2 * FRAMES) >= FRAMES, off_steps * STEP_PX, 0.0)
    usual = UsualSteps(
        forward_px=np.array([0.0, STEP_PX]),
        backward_px=np.array([0.0, -STEP_PX]),
        interval_s=INTERVAL_S,
        row_count=ROWS * REDUCTION,
    )
    thought = _trajectory(TRUE_PX + np.stack([np.zeros(2 * FRAMES), off_px], axis=1))
    return run_links(thought, _motion(seen), usual, details.__getitem__, REDUCTION)


def _seen(slide: Grey, centre: NDArray[np.float64]) -> Grey:
    top, left = np.rint(centre / REDUCTION).astype(int).tolist()
    return slide[top : top + ROWS, left + MARGIN : left + MARGIN + COLUMNS]


def _trajectory(positions: NDArray[np.float64]) -> Trajectory:
    frames = np.arange(2 * FRAMES)
    return Trajectory(
        frames=frames,
        lanes=frames // FRAMES,
        times_s=np.asarray(frames * INTERVAL_S, np.float64),
        positions=positions,
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
    )


def _motion(seen: float) -> Motion:
    turn = FRAMES - 1
    steps = [
        0.0 if pair == turn else STEP_PX if pair < turn else -STEP_PX
        for pair in range(2 * FRAMES - 1)
    ]
    return Motion(
        times_s=np.asarray(np.arange(2 * FRAMES) * INTERVAL_S, np.float64),
        shifts=[
            PairShift(row_px=0.0, col_px=-step, correlation=seen, stillness=0.1) for step in steps
        ],
        lanes=[
            Lane(first=0, last=turn, direction=1, evidence=9.0),
            Lane(first=FRAMES, last=2 * FRAMES - 1, direction=-1, evidence=9.0),
        ],
        frame_shape=(ROWS * REDUCTION, COLUMNS * REDUCTION),
    )
