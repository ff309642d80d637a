import threading
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurryscope.artifacts.mosaic import Mosaic, MosaicWriter
from blurryscope.artifacts.video import ArrayFrame
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.compose import Composer
from blurryscope.stitch.placed_lane import PlacedLane, canvas_of
from blurryscope.stitch.shares import Weights, laid_over
from blurryscope.stitch.trajectory import Trajectory
from blurryscope.testing import smooth_picture
from tests.stitch.seen_by_camera import seen_by_camera

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
    """Cut from the picture what each frame sees, and shade it."""
    for row, matrix in enumerate(trajectory.matrices):
        cut = seen_by_camera(picture, trajectory.positions[row], matrix, (ROWS, COLUMNS))
        pixels = to_uint8(cut.astype(np.float32) * light)
        yield ArrayFrame(int(trajectory.frames[row]), float(trajectory.times_s[row]), pixels)


EVEN = np.ones((ROWS, COLUMNS, 1), np.float32)


def _placed(trajectory: Trajectory, film: Iterable[ArrayFrame]) -> list[PlacedLane]:
    """The lanes of a trajectory; frames that the film does not have are left out."""
    frames = {frame.index: frame for frame in film}
    matrices = trajectory.matrices
    is_there = np.isin(trajectory.frames, list(frames))
    return [
        PlacedLane(
            number=number,
            indices=tuple(trajectory.frames[rows].tolist()),
            frames=[frames[index] for index in trajectory.frames[rows].tolist()],
            positions=trajectory.positions[rows],
            matrices=matrices[rows],
            frame_shape=(ROWS, COLUMNS),
            is_sure=np.ones(int(rows.sum()), np.bool_),
        )
        for number in range(int(trajectory.lanes.max()) + 1)
        if (rows := (trajectory.lanes == number) & is_there).any()
    ]


def _composed(
    folder: Path,
    lanes: Sequence[PlacedLane],
    gain: NDArray[np.float32] = EVEN,
    brightness: NDArray[np.float32] | None = None,
) -> Rgb:
    """Lay lane after lane as the stitcher does; `brightness` has a row per frame of all lanes."""
    canvas = canvas_of(lanes)
    whole = np.broadcast_to(gain, (ROWS, COLUMNS, 3)).astype(np.float32)
    with MosaicWriter(folder / "mosaic.ome.zarr", (None, canvas.columns), 1.0) as writer:
        composer = Composer(writer, canvas, whole, overlap_px=ROWS - PITCH_PX)
        done = 0
        for lane in lanes:
            here = slice(done, done + len(lane.frames))
            even = np.ones((len(lane.frames), 3), np.float32)
            composer.lay(lane, even if brightness is None else brightness[here])
            composer.write_above(float(lane.corners[0][0]) + 0.8 * PITCH_PX)
            done = here.stop
        composer.finish()
    return Mosaic(folder / "mosaic.ome.zarr").read_level(0)


def _behind(picture: Rgb, lanes: Sequence[PlacedLane], mosaic: Rgb) -> Rgb:
    """The part of the picture that the mosaic shows."""
    top, left = canvas_of(lanes).origin.astype(int)
    return picture[top : top + mosaic.shape[0], left : left + mosaic.shape[1]]


@pytest.mark.parametrize("camera", [STRAIGHT, TURNED, ACROSS])
def test_frames_are_put_back_to_the_picture_that_they_were_cut_from(
    tmp_path: Path, picture: Rgb, camera: CameraModel
) -> None:
    trajectory = _zigzag(camera)
    lanes = _placed(trajectory, _film(picture, trajectory, EVEN))
    mosaic = _composed(tmp_path, lanes)
    scanned = mosaic.any(axis=2)
    apart = np.abs(mosaic.astype(int) - _behind(picture, lanes, mosaic))[scanned]
    assert scanned.mean() > 0.6
    assert np.percentile(apart, 99) <= 2  # twice resampled, twice rounded
    assert apart.mean() < 0.7


def test_a_frame_that_cannot_be_read_stops_the_laying_and_no_thread_stays(
    tmp_path: Path, picture: Rgb
) -> None:
    class Unreadable(ArrayFrame):
        def rgb(self) -> Rgb:
            raise InputError(tmp_path, "a broken picture", "Repeat the scan")

    trajectory = _zigzag(STRAIGHT, lanes=1)
    (lane,) = _placed(trajectory, _film(picture, trajectory, EVEN))
    broken = Unreadable(index=4, time_s=0.1, pixels=picture)
    frames = [*lane.frames[:4], broken, *lane.frames[5:]]
    with pytest.raises(InputError, match="a broken picture"):
        _composed(tmp_path, [replace(lane, frames=frames)])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_straight_frames_leave_no_hole_in_what_they_cover(tmp_path: Path, picture: Rgb) -> None:
    trajectory = _zigzag(STRAIGHT)
    mosaic = _composed(tmp_path, _placed(trajectory, _film(picture, trajectory, EVEN)))
    inside = mosaic[2:-2, 2:-2]
    assert inside.any(axis=2).all()


def test_what_no_frame_covered_is_black_and_nothing_else_is(tmp_path: Path) -> None:
    trajectory = _zigzag(STRAIGHT)
    in_gap = (trajectory.lanes == 1) & (np.abs(trajectory.positions[:, 1] - 270) < 70)
    black = np.zeros((500, 620, 3), np.uint8)
    kept = [f for f, gap in zip(_film(black, trajectory, EVEN), in_gap, strict=True) if not gap]
    mosaic = _composed(tmp_path, _placed(trajectory, kept))
    assert set(np.unique(mosaic)) == {0, 1}  # black tissue is told from what was not scanned
    assert 0.8 < mosaic[2:-2, 2:-2].any(axis=2).mean() < 1


def test_a_frame_left_out_leaves_no_hole_where_its_neighbours_reach(
    tmp_path: Path, picture: Rgb
) -> None:
    trajectory = _zigzag(STRAIGHT)
    film = list(_film(picture, trajectory, EVEN))
    del film[13]
    mosaic = _composed(tmp_path, _placed(trajectory, film))
    assert mosaic[2:-2, 2:-2].any(axis=2).all()


@pytest.mark.parametrize("off_px", [-40.0, -25.0, 25.0, 40.0])
def test_frames_whose_place_is_guessed_cover_nothing_of_those_whose_place_is_known(
    tmp_path: Path, picture: Rgb, off_px: float
) -> None:
    trajectory = _zigzag(STRAIGHT, lanes=1)
    lane = _placed(trajectory, _film(picture, trajectory, EVEN))[0]
    is_guessed = np.isin(np.arange(9), [3, 4, 5])
    positions = lane.positions + np.outer(is_guessed, [0.0, off_px])
    guessed = replace(lane, positions=positions, is_sure=~is_guessed)
    mosaic = _composed(tmp_path, [guessed])
    apart = np.abs(mosaic.astype(int) - _behind(picture, [guessed], mosaic))
    worst = apart[2:-2].max(axis=(0, 2))
    # What its neighbours show, 40 px to either side, less what a frame fades over.
    left, right = (lane.positions[[2, 6], 1] - canvas_of([guessed]).origin[1]).tolist()
    fade_px = 0.25 * (STEP_PX + abs(off_px))
    known = np.r_[2 : int(left + 39 - fade_px), int(right - 39 + fade_px) : len(worst) - 2]
    assert worst[known].max() <= 4
    assert worst.max() > 20  # they are laid between, where they are wrong


def test_shading_is_undone(tmp_path: Path, picture: Rgb) -> None:
    trajectory = _zigzag(STRAIGHT)
    row, column = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    light = (1 - 0.2 * (row**2 + column**2))[..., None].astype(np.float32)
    lanes = _placed(trajectory, _film(picture, trajectory, light))
    mosaic = _composed(tmp_path, lanes, gain=1 / light)
    inside = np.s_[2:-2, 2:-2]
    apart = np.abs(mosaic.astype(int) - _behind(picture, lanes, mosaic))[inside]
    assert np.percentile(apart, 99) <= 2


def test_jumps_of_brightness_are_evened_out(tmp_path: Path, picture: Rgb) -> None:
    trajectory = _zigzag(STRAIGHT)
    factors = np.random.default_rng(42).uniform(0.8, 1.0, (len(trajectory.frames), 3))
    film = [
        replace(frame, pixels=to_uint8(frame.pixels * factor))
        for frame, factor in zip(_film(picture, trajectory, EVEN), factors, strict=True)
    ]
    lanes = _placed(trajectory, film)
    mosaic = _composed(tmp_path, lanes, brightness=(1 / factors).astype(np.float32))
    inside = np.s_[2:-2, 2:-2]
    apart = np.abs(mosaic.astype(int) - _behind(picture, lanes, mosaic))[inside]
    assert np.percentile(apart, 99) <= 2


@given(st.integers(0, 2**32 - 1))
def test_laying_over_is_the_weighted_mean_of_what_is_scanned(seed: int) -> None:
    rng = np.random.default_rng(seed)
    below = rng.integers(1, 256, (9, 11, 3)).astype(np.uint8)
    below[rng.random((9, 11)) < 0.3] = 0
    picture = rng.integers(1, 256, (9, 11, 3)).astype(np.uint8)
    weight = rng.choice([0.0, 0.001, 0.3, 1.0], (9, 11)).astype(np.float32)
    expected = below.astype(np.float64)
    for at in np.ndindex(9, 11):
        share = 1.0 if weight[at] > 0 and not below[at].any() else float(weight[at])
        expected[at] += share * (picture[at].astype(np.float64) - expected[at])
    laid_over(below, picture, weight)
    assert np.abs(below - expected).max() <= 0.51


@pytest.mark.parametrize("fades", ["left", "right", "nowhere"])
@pytest.mark.parametrize("rows", [slice(0, 9), slice(0, 3), slice(4, 9)])
def test_copying_where_nothing_fades_is_the_same_as_blending_everywhere(
    fades: str, rows: slice
) -> None:
    rng = np.random.default_rng(43)
    along = np.ones(11, np.float32)
    along[{"left": slice(0, 4), "right": slice(8, 11), "nowhere": slice(0, 0)}[fades]] = 0.3
    across = np.array([0.1, 0.4, 0.7, 0.9, 1, 1, 1, 1, 1], np.float32)
    inside = (rng.random((9, 11)) < 0.8).astype(np.uint8)
    picture = rng.integers(1, 256, (9, 11, 3)).astype(np.uint8)
    below = rng.integers(1, 256, (9, 11, 3)).astype(np.uint8)
    below[rng.random((9, 11)) < 0.3] = 0
    plain = below.copy()
    laid_over(plain[rows], picture[rows], (np.outer(across, along) * inside)[rows])
    Weights(across=across, along=along, inside=inside).lay(below[rows], picture[rows], rows)
    assert np.abs(below.astype(int) - plain).max() <= 1


def _peak_bytes(folder: Path, lanes: int) -> int:
    trajectory = _zigzag(STRAIGHT, lanes=lanes)
    pixels = np.full((ROWS, COLUMNS, 3), 200, np.uint8)
    film = [ArrayFrame(int(frame), 0.0, pixels) for frame in trajectory.frames]
    placed = _placed(trajectory, film)
    tracemalloc.start()
    try:
        canvas = canvas_of(placed)
        gain = np.ones((ROWS, COLUMNS, 3), np.float32)
        target = folder / f"{lanes}.ome.zarr"
        with MosaicWriter(target, (None, canvas.columns), 1.0) as writer:
            composer = Composer(writer, canvas, gain, overlap_px=ROWS - PITCH_PX)
            for lane in placed:
                composer.lay(lane, np.ones((len(lane.frames), 3), np.float32))
                composer.write_above(float(lane.corners[0][0]))
            composer.finish()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_lanes(tmp_path: Path) -> None:
    _peak_bytes(tmp_path, 3)  # first use loads what is loaded only once
    # How many rows wait for the disk is chance, one to three bands; the lanes are three times more.
    assert _peak_bytes(tmp_path, 120) < 2 * _peak_bytes(tmp_path, 40)
