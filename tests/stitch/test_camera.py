import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel, camera_from_steps, is_readout_along

INTERVAL_S = 1 / 30

angles_rad = st.floats(-np.pi, np.pi)
readouts_s = st.floats(-60e-6, 60e-6)
"""Per row: up to 29 ms for 480 rows, either end first."""
speeds = st.floats(1000, 9000)
ROWS = 480


def _step_in_frame(
    angle_rad: float, readout_s: float, velocity_x: float, readout_s_per_column: float = 0.0
) -> NDArray[np.float64]:
    """(row, col) by which content seems to stay behind, by the equation of the camera's page.

    X(t) + M p + v * (readout * p_row + readout_s_per_column * p_col) is the same for both points,
    and X moves by v * interval.
    """
    turn = np.array(
        [[np.cos(angle_rad), -np.sin(angle_rad)], [np.sin(angle_rad), np.cos(angle_rad)]]
    )
    turn[1] += velocity_x * np.array([readout_s, readout_s_per_column])
    return np.linalg.solve(turn, np.array([0.0, velocity_x * INTERVAL_S]))


@given(angles_rad, readouts_s, speeds)
def test_two_steps_tell_angle_speed_and_read_out_along_the_scan(
    angle_rad: float, readout_s: float, speed: float
) -> None:
    camera, found_speed = camera_from_steps(
        _step_in_frame(angle_rad, readout_s, speed),
        _step_in_frame(angle_rad, readout_s, -speed),
        INTERVAL_S,
        ROWS,
    )
    turned = camera.scan_angle_rad - angle_rad
    assert np.cos(turned) == pytest.approx(1, abs=1e-9)
    assert found_speed == pytest.approx(speed, rel=1e-9)
    along = np.array([np.sin(camera.scan_angle_rad), np.cos(camera.scan_angle_rad)])
    expected = readout_s if is_readout_along(along) else 0.0
    assert camera.readout_s_per_row == pytest.approx(expected, abs=1e-11)
    assert camera.readout_s_per_column == 0


@pytest.mark.parametrize("angle_deg", [0.0, 1.8, 178.2, -179.7])
@pytest.mark.parametrize("readout_s", [0.017, -0.008])
def test_steps_more_unlike_than_rows_can_make_them_tell_a_picture_turned_before_it_was_stored(
    angle_deg: float, readout_s: float
) -> None:
    angle_rad, per_column_s = np.deg2rad(angle_deg), readout_s / 640
    forward, backward = (
        _step_in_frame(angle_rad, 0.0, velocity, per_column_s) for velocity in (4500.0, -4500.0)
    )
    camera, speed = camera_from_steps(forward, backward, INTERVAL_S, ROWS)
    assert speed == pytest.approx(4500)
    assert camera.readout_s_per_row == 0
    assert camera.readout_s_per_column == pytest.approx(per_column_s)


def test_a_camera_askew_that_reads_its_rows_along_the_lanes_was_not_turned() -> None:
    """4.8 degrees and 25 ms make the steps of the two directions differ by 6 percent."""
    forward, backward = (
        _step_in_frame(np.deg2rad(4.8), 0.025 / ROWS, velocity) for velocity in (7000.0, -7000.0)
    )
    camera, _ = camera_from_steps(forward, backward, INTERVAL_S, ROWS)
    assert np.hypot(*forward) / np.hypot(*backward) == pytest.approx(0.94, abs=0.005)
    assert camera.readout_s_per_column == 0


def test_the_steps_of_the_authors_device_give_its_step_and_read_out_ratio() -> None:
    """302 and 186 px per frame, 22 and 13 px of drift: about 230 px, 0.24, 4 degrees off 90."""
    camera, speed = camera_from_steps(
        np.array([-302.0, 22.0]), np.array([186.0, -13.0]), INTERVAL_S, ROWS
    )
    assert speed * INTERVAL_S == pytest.approx(230, abs=1)
    assert abs(camera.readout_s_per_row) * speed == pytest.approx(0.24, abs=0.005)
    assert np.rad2deg(camera.scan_angle_rad) == pytest.approx(-86, abs=0.5)


def test_the_turn_is_a_rotation_and_its_rate_the_slope() -> None:
    step = 1e-6
    before, after = (
        CameraModel(scan_angle_rad=1.2 + d, readout_s_per_row=0.0) for d in (-step, step)
    )
    middle = CameraModel(scan_angle_rad=1.2, readout_s_per_row=0.0)
    assert middle.turn @ middle.turn.T == pytest.approx(np.eye(2))
    assert np.linalg.det(middle.turn) == pytest.approx(1)
    assert middle.turn_rate == pytest.approx((after.turn - before.turn) / (2 * step), abs=1e-8)


def test_a_scan_down_the_rows_of_a_frame_has_an_angle_of_90_degrees() -> None:
    camera = CameraModel(scan_angle_rad=np.pi / 2, readout_s_per_row=0.0)
    down_the_rows = camera.turn @ np.array([1.0, 0.0])
    assert down_the_rows == pytest.approx([0, 1])  # y, x: along +x of the mosaic


def test_read_out_moves_rows_by_the_way_of_the_stage() -> None:
    camera = CameraModel(scan_angle_rad=0.0, readout_s_per_row=2e-5)
    matrices = camera.frame_matrices(np.array([[0.0, 5000.0], [0.0, -5000.0], [0.0, 0.0]]))
    offsets = matrices @ np.array([10.0, 0.0])
    assert offsets == pytest.approx(np.array([[10, 1.0], [10, -1.0], [10, 0.0]]))
