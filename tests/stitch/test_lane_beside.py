"""A lane is put beside the one before by what both show, where the stage can have gone."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.layout import lane_beside
from blurryscope.stitch.trajectory import Trajectory

REDUCTION = 2
ROWS, COLUMNS = 60, 80
"""Of a detail picture; the camera's frames are twice as large."""
MARGIN = 40
"""Of the slide around what the frames are meant to show, likewise."""
PITCH_PX, STEP_PX, FRAMES = 90.0, 40.0, 60
CORE_PX = 260
"""From core to core, pixels of the camera; all cores look alike."""


def _slide(cores_alike: bool) -> Grey:
    """Detail of a slide at the size of the detail pictures: cores in a row, glass between them."""
    rng = np.random.default_rng(8)
    rows, columns = ROWS + 100, int(STEP_PX * FRAMES / REDUCTION) + COLUMNS + 2 * MARGIN
    each = CORE_PX // REDUCTION
    texture = cv2.GaussianBlur(rng.standard_normal((rows, columns)).astype(np.float32), (0, 0), 3)
    if cores_alike:
        texture = np.tile(texture[:, :each], (1, columns // each + 1))[:, :columns]
    is_core = np.abs(np.arange(columns) % each - each / 2) < 0.35 * each
    noise = 0.001 * rng.standard_normal((rows, columns))
    return np.asarray(0.1 * texture / texture.std() * is_core + noise, np.float32)


class TwoLanes:
    """The first lane to the right, placed; the second back to the left, in its own coordinates."""

    def __init__(
        self,
        *,
        cores_alike: bool,
        slant_px: float = 0.0,
        begins_late_px: float = 0.0,
        steps_far_px: float = 0.0,
    ) -> None:
        slide = _slide(cores_alike)
        x_px = np.arange(FRAMES) * STEP_PX
        there = np.stack([np.zeros(FRAMES), x_px], axis=1)
        y_px = np.full(FRAMES, PITCH_PX + steps_far_px)
        self.true_px = np.stack([y_px, x_px[::-1] - begins_late_px], axis=1)
        centres = np.concatenate([there, self.true_px])
        self.details = [self._seen(slide, centre) for centre in centres]
        self.placed = self._lane(0, there)
        own = self.true_px - self.true_px[0]
        own[:, 0] += np.linspace(0, slant_px, FRAMES)
        self.lane = self._lane(1, own)

    def put(self) -> tuple[Trajectory, bool]:
        return lane_beside(self.placed, self.lane, PITCH_PX, self.details.__getitem__, REDUCTION)

    @staticmethod
    def _seen(slide: Grey, centre: NDArray[np.float64]) -> Grey:
        top, left = (np.rint(centre / REDUCTION).astype(int) + MARGIN).tolist()
        return slide[top : top + ROWS, left : left + COLUMNS]

    @staticmethod
    def _lane(number: int, positions: NDArray[np.float64]) -> Trajectory:
        frames = np.arange(FRAMES) + number * FRAMES
        return Trajectory(
            frames=frames,
            lanes=np.full(FRAMES, number),
            times_s=np.asarray(frames / 30, np.float64),
            positions=positions,
            camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
        )


@pytest.mark.parametrize("slant_px", [-14.0, 0.0, 14.0])
def test_a_lane_whose_steps_add_up_to_a_slant_finds_its_place(slant_px: float) -> None:
    lanes = TwoLanes(cores_alike=False, slant_px=slant_px)
    put, is_linked = lanes.put()
    assert is_linked
    assert np.abs(put.positions - lanes.true_px).max() < 2 * REDUCTION


@pytest.mark.parametrize("begins_late_px", [-60.0, 0.0, 60.0])
def test_a_lane_over_equal_cores_lies_where_the_stage_can_have_gone(begins_late_px: float) -> None:
    lanes = TwoLanes(cores_alike=True, begins_late_px=begins_late_px)
    put, is_linked = lanes.put()
    assert is_linked
    assert np.abs(put.positions - lanes.true_px).max() < 2 * REDUCTION


def test_a_lane_over_other_tissue_is_not_linked_but_goes_on_from_the_last() -> None:
    lanes = TwoLanes(cores_alike=False)
    rng = np.random.default_rng(1)
    lanes.details[FRAMES:] = [
        np.asarray(0.001 * rng.standard_normal(detail.shape), np.float32)
        for detail in lanes.details[FRAMES:]
    ]
    put, is_linked = lanes.put()
    assert not is_linked
    assert put.positions[0] == pytest.approx([PITCH_PX, lanes.placed.positions[-1, 1]])


@pytest.mark.parametrize("steps_far_px", [-12.0, 12.0])
def test_a_lane_finds_its_place_after_a_step_across_that_was_a_seventh_off(
    steps_far_px: float,
) -> None:
    lanes = TwoLanes(cores_alike=False, steps_far_px=steps_far_px)
    put, is_linked = lanes.put()
    assert is_linked
    assert np.abs(put.positions - lanes.true_px).max() < 2 * REDUCTION


def test_a_lane_that_shows_one_of_several_cores_alike_is_joined_to_none_of_them() -> None:
    lanes = TwoLanes(cores_alike=True)
    one_core = slice(25, 31)
    lanes.lane = lanes.lane.only(np.isin(lanes.lane.frames, lanes.lane.frames[one_core]))
    _, is_linked = lanes.put()
    assert not is_linked
