import multiprocessing
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.video import ArrayFrame, Video, VideoWriter
from blurryscope.basics.errors import InputError, MissingInputError, OutputError
from blurryscope.basics.image import Rgb
from blurryscope.stitch.laying import Ground, LaneLayer, Laying, LayingProcess, LayingThread
from blurryscope.stitch.placed_lane import PlacedLane, canvas_of
from blurryscope.stitch.seams import TornSeam
from blurryscope.testing import largest_file, smooth_picture

ROWS, COLUMNS = 64, 80
STEP_PX, PITCH_PX = 24, 48
LANES, FRAMES = 3, 8

Layings = Callable[[Path], Laying]


@pytest.fixture(params=["thread", "process"])
def laying_of(request: pytest.FixtureRequest) -> Layings:
    """Whoever may lay the lanes of a film."""
    return lambda film: LayingThread() if request.param == "thread" else LayingProcess(film)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zigzag over a picture, with two frames of rest between lanes."""
    picture = smooth_picture(np.random.default_rng(47), (240, 320), grain_px=15)
    path = tmp_path_factory.mktemp("film") / "zigzag.mp4"
    with VideoWriter(path, (ROWS, COLUMNS), 30.0, "libx264", {"crf": "10"}) as writer:
        for number, (top, left) in enumerate(_corners()):
            writer.write(picture[top : top + ROWS, left : left + COLUMNS], number / 30)
    return path


def _corners() -> list[tuple[int, int]]:
    corners = []
    for lane in range(LANES):
        way = [STEP_PX * place for place in range(FRAMES)][:: 1 if lane % 2 == 0 else -1]
        corners += [(PITCH_PX * lane, left) for left in [*way, way[-1], way[-1]]]
    return corners


@pytest.fixture(scope="module")
def lanes(film: Path) -> list[PlacedLane]:
    """The lanes of the film, where they lie."""
    with Video(film) as opened:
        frames = list(opened)
    centres = np.array(_corners()) + (np.array([ROWS, COLUMNS]) - 1) / 2
    placed = []
    for number in range(LANES):
        rows = slice((FRAMES + 2) * number, (FRAMES + 2) * number + FRAMES)
        placed.append(
            PlacedLane(
                number=number,
                indices=tuple(range(rows.start, rows.stop)),
                frames=frames[rows],
                positions=centres[rows],
                matrices=np.broadcast_to(np.eye(2), (FRAMES, 2, 2)),
                frame_shape=(ROWS, COLUMNS),
                is_sure=np.ones(FRAMES, np.bool_),
            )
        )
    return placed


def _ground(folder: Path, lanes: Sequence[PlacedLane]) -> Ground:
    return Ground(
        folder=folder / "mosaic.ome.zarr",
        canvas=canvas_of(lanes),
        pixel_size_um=1.0,
        gain=np.ones((ROWS, COLUMNS, 3), np.float32),
        glass=np.full(3, 230.0),
        pitch_px=PITCH_PX,
        overlap_px=ROWS - PITCH_PX,
    )


def _pixels(folder: Path) -> Rgb:
    return Mosaic(folder / "mosaic.ome.zarr").read_level(0)


def _laid(laying: Laying, ground: Ground, lanes: Sequence[PlacedLane]) -> list[TornSeam]:
    with laying:
        laying.begin(ground)
        for lane in lanes:
            laying.lay(lane)
        return laying.finish(0.7)


def test_lanes_laid_beside_whoever_places_them_are_those_laid_one_by_one(
    tmp_path: Path, film: Path, lanes: list[PlacedLane], laying_of: Layings
) -> None:
    with LaneLayer(_ground(tmp_path / "plain", lanes)) as layer:
        for lane in lanes:
            layer.lay(lane)
        torn = layer.finish(0.7)
    assert _laid(laying_of(film), _ground(tmp_path / "beside", lanes), lanes) == torn
    np.testing.assert_array_equal(_pixels(tmp_path / "beside"), _pixels(tmp_path / "plain"))
    assert Mosaic(tmp_path / "beside" / "mosaic.ome.zarr").pixel_size_um == pytest.approx(0.7)


def _broken_off(laying: Laying, ground: Ground, lanes: Sequence[PlacedLane]) -> None:
    with laying:
        laying.begin(ground)
        for lane in lanes:
            laying.lay(lane)
        raise KeyboardInterrupt


def test_a_laying_that_is_broken_off_leaves_nothing(
    tmp_path: Path, film: Path, lanes: list[PlacedLane], laying_of: Layings
) -> None:
    with pytest.raises(KeyboardInterrupt):
        _broken_off(laying_of(film), _ground(tmp_path, lanes), lanes)
    assert list(tmp_path.iterdir()) == []


def test_lanes_that_wait_when_a_laying_is_broken_off_are_never_laid(
    tmp_path: Path, lanes: list[PlacedLane]
) -> None:
    begun: list[int] = []
    may_go_on = threading.Event()

    class SlowFrame(ArrayFrame):
        def small_rgb(self, size_px: tuple[int, int]) -> Rgb:
            begun.append(self.index)
            may_go_on.wait()
            return super().small_rgb(size_px)

    slow = [
        replace(lane, frames=[SlowFrame(f.index, f.time_s, f.rgb()) for f in lane.frames])
        for lane in lanes
    ]
    threading.Timer(0.1, may_go_on.set).start()
    with pytest.raises(KeyboardInterrupt):
        _broken_off(LayingThread(), _ground(tmp_path, lanes), slow)
    assert not any(thread.name.startswith("compose") for thread in threading.enumerate())
    assert set(begun) <= set(lanes[0].indices)


def test_a_full_disk_is_told_where_lanes_are_placed(
    tmp_path: Path, film: Path, lanes: list[PlacedLane], laying_of: Layings
) -> None:
    ground = _ground(tmp_path, lanes)
    with largest_file(5_000), pytest.raises(OutputError, match="no space left") as told:
        _laid(laying_of(film), ground, lanes)
    assert told.value.where == str(ground.folder)
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_lost_frames_since_it_was_looked_at_is_told(
    tmp_path: Path, film: Path, lanes: list[PlacedLane]
) -> None:
    beyond = tuple(range(1000, 1000 + FRAMES))
    lost = [lanes[0], replace(lanes[1], indices=beyond), lanes[2]]
    with pytest.raises(InputError, match="changed while it was read") as told:
        _laid(LayingProcess(film), _ground(tmp_path, lanes), lost)
    assert told.value.where == str(film)
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_is_gone_since_it_was_looked_at_is_told(
    tmp_path: Path, lanes: list[PlacedLane]
) -> None:
    with pytest.raises(MissingInputError, match="no such file"):
        _laid(LayingProcess(tmp_path / "gone.mp4"), _ground(tmp_path, lanes), lanes)


class _KilledLaying(LayingProcess):
    """Its process is killed before the first lane comes, as where memory runs out."""

    def begin(self, ground: Ground) -> None:
        super().begin(ground)
        (killed,) = multiprocessing.active_children()
        killed.kill()


def test_a_laying_process_that_is_killed_is_told_and_waited_for_no_longer(
    tmp_path: Path, film: Path, lanes: list[PlacedLane]
) -> None:
    with pytest.raises(RuntimeError, match="ended unasked"):
        _laid(_KilledLaying(film), _ground(tmp_path, lanes), lanes)
    assert not multiprocessing.active_children()
