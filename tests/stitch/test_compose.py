import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.video import ArrayFrame
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.compose import Layable, canvas_of, write_mosaic
from blurryscope.stitch.solve import Trajectory
from blurryscope.testing import smooth_picture

ROWS, COLUMNS = 60, 80
STEP_PX, PITCH_PX = 30.0, 48.0
INTERVAL_S = 1 / 30
STRAIGHT = CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0)
TURNED = CameraModel(scan_angle_rad=np.deg2rad(94.4), readout_s_per_row=1e-4)
ACROSS = CameraModel(scan_angle_rad=np.deg2rad(1.5), readout_s_per_row=1e-4)


@pytest.fixture(scope="module")
def picture() -> Rgb:
    return smooth_picture(np.random.default_rng(41), (500, 620), grain_px=25)


def _zigzag(camera: CameraModel, lanes: int = 4, frames: int = 9) -> Trajectory:
    number = np.arange(lanes * frames)
    lane, place = np.divmod(number, frames)
    x = np.where(lane % 2 == 0, place, frames - 1 - place) * STEP_PX
    positions = np.stack([100.3 + lane * PITCH_PX, 150.6 + x], axis=1)
    return Trajectory(
        frames=number + 20 * lane,
        lanes=lane,
        times_s=np.asarray((number + 20 * lane) * INTERVAL_S, np.float64),
        positions=positions,
        camera=camera,
    )


def _film(picture: Rgb, trajectory: Trajectory, light: NDArray[np.float32]) -> Iterator[ArrayFrame]:
    """Cut from the picture what each frame sees, by the camera's equation, and shade it."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    offsets = np.stack([rows - (ROWS - 1) / 2, columns - (COLUMNS - 1) / 2], axis=-1)
    for row, matrix in enumerate(trajectory.matrices()):
        place = (trajectory.positions[row] + offsets @ matrix.T).astype(np.float32)
        cut = cv2.remap(picture, place[..., 1], place[..., 0], cv2.INTER_LINEAR)
        pixels = to_uint8(cut.astype(np.float32) * light)
        yield ArrayFrame(int(trajectory.frames[row]), float(trajectory.times_s[row]), pixels)


EVEN = np.ones((ROWS, COLUMNS, 1), np.float32)


def _layable(trajectory: Trajectory, gain: NDArray[np.float32] = EVEN) -> Layable:
    return Layable(
        trajectory=trajectory,
        frame_shape=(ROWS, COLUMNS),
        repeated=(),
        gain=np.broadcast_to(gain, (ROWS, COLUMNS, 3)).astype(np.float32),
        brightness=np.ones((len(trajectory.frames), 3), np.float32),
    )


def _composed(folder: Path, layable: Layable, film: Iterator[ArrayFrame]) -> Rgb:
    write_mosaic(layable, film, folder / "mosaic.ome.zarr", 1.0)
    return Mosaic(folder / "mosaic.ome.zarr").read_level(0)


def _behind(picture: Rgb, trajectory: Trajectory, mosaic: Rgb) -> Rgb:
    """The part of the picture that the mosaic shows."""
    top, left = canvas_of(trajectory, (ROWS, COLUMNS)).origin.astype(int)
    return picture[top : top + mosaic.shape[0], left : left + mosaic.shape[1]]


@pytest.mark.parametrize("camera", [STRAIGHT, TURNED, ACROSS])
def test_frames_are_put_back_to_the_picture_that_they_were_cut_from(
    tmp_path: Path, picture: Rgb, camera: CameraModel
) -> None:
    trajectory = _zigzag(camera)
    mosaic = _composed(tmp_path, _layable(trajectory), _film(picture, trajectory, EVEN))
    scanned = mosaic.any(axis=2)
    apart = np.abs(mosaic.astype(int) - _behind(picture, trajectory, mosaic))[scanned]
    assert scanned.mean() > 0.6
    assert np.percentile(apart, 99) <= 2  # twice resampled, twice rounded
    assert apart.mean() < 0.7


def test_straight_frames_leave_no_hole_in_what_they_cover(tmp_path: Path, picture: Rgb) -> None:
    trajectory = _zigzag(STRAIGHT)
    mosaic = _composed(tmp_path, _layable(trajectory), _film(picture, trajectory, EVEN))
    inside = mosaic[2:-2, 2:-2]
    assert inside.any(axis=2).all()


def test_what_no_frame_covered_is_black_and_nothing_else_is(tmp_path: Path) -> None:
    trajectory = _zigzag(STRAIGHT)
    in_gap = (trajectory.lanes == 1) & (np.abs(trajectory.positions[:, 1] - 270) < 70)
    kept = replace(
        trajectory,
        frames=trajectory.frames[~in_gap],
        lanes=trajectory.lanes[~in_gap],
        times_s=trajectory.times_s[~in_gap],
        positions=trajectory.positions[~in_gap],
    )
    black = np.zeros((500, 620, 3), np.uint8)
    mosaic = _composed(tmp_path, _layable(kept), _film(black, kept, EVEN))
    assert set(np.unique(mosaic)) == {0, 1}  # black tissue is told from what was not scanned
    assert 0.8 < mosaic[2:-2, 2:-2].any(axis=2).mean() < 1


def test_shading_is_undone(tmp_path: Path, picture: Rgb) -> None:
    trajectory = _zigzag(STRAIGHT)
    row, column = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    light = (1 - 0.2 * (row**2 + column**2))[..., None].astype(np.float32)
    film = _film(picture, trajectory, light)
    mosaic = _composed(tmp_path, _layable(trajectory, gain=1 / light), film)
    inside = np.s_[2:-2, 2:-2]
    apart = np.abs(mosaic.astype(int) - _behind(picture, trajectory, mosaic))[inside]
    assert np.percentile(apart, 99) <= 2


def test_jumps_of_brightness_are_evened_out(tmp_path: Path, picture: Rgb) -> None:
    trajectory = _zigzag(STRAIGHT)
    factors = np.random.default_rng(42).uniform(0.8, 1.0, (len(trajectory.frames), 3))
    film = (
        replace(frame, pixels=to_uint8(frame.pixels * factor))
        for frame, factor in zip(_film(picture, trajectory, EVEN), factors, strict=True)
    )
    layable = replace(_layable(trajectory), brightness=(1 / factors).astype(np.float32))
    mosaic = _composed(tmp_path, layable, film)
    inside = np.s_[2:-2, 2:-2]
    apart = np.abs(mosaic.astype(int) - _behind(picture, trajectory, mosaic))[inside]
    assert np.percentile(apart, 99) <= 2


def test_frames_outside_lanes_and_repeated_ones_are_not_laid(tmp_path: Path, picture: Rgb) -> None:
    trajectory = _zigzag(STRAIGHT)
    layable = replace(_layable(trajectory), repeated=(int(trajectory.frames[5]),))

    def spoilt() -> Iterator[ArrayFrame]:
        glare = np.full((ROWS, COLUMNS, 3), 255, np.uint8)
        for frame in _film(picture, trajectory, EVEN):
            is_repeated = frame.index in layable.repeated
            yield replace(frame, pixels=glare) if is_repeated else frame
        yield ArrayFrame(10_000, 999.0, glare)

    mosaic = _composed(tmp_path, layable, spoilt())
    scanned = mosaic.any(axis=2)
    apart = np.abs(mosaic.astype(int) - _behind(picture, trajectory, mosaic))[scanned]
    assert apart.max() <= 4


def _peak_bytes(folder: Path, lanes: int) -> int:
    trajectory = _zigzag(STRAIGHT, lanes=lanes)
    pixels = np.full((ROWS, COLUMNS, 3), 200, np.uint8)
    film = (ArrayFrame(int(frame), 0.0, pixels) for frame in trajectory.frames)
    layable = _layable(trajectory)
    tracemalloc.start()
    try:
        write_mosaic(layable, film, folder / f"{lanes}.ome.zarr", 1.0)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_lanes(tmp_path: Path) -> None:
    _peak_bytes(tmp_path, 3)  # first use loads what is loaded only once
    assert _peak_bytes(tmp_path, 80) < 1.3 * _peak_bytes(tmp_path, 25)
