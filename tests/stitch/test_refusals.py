"""Films that cannot be stitched are refused, each for its own reason, and nothing is written."""

from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.video import VideoWriter
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.simulator.scan import SimulatedScan
from blurryscope.stitch.film import stitch_film
from blurryscope.stitch.stitched import Stitched
from blurryscope.stitch.stitcher import StitchSettings
from blurryscope.testing import smooth_picture

SIZE_PX = (120, 160)
RATE_HZ = 30.0


def _write(path: Path, pictures: list[Rgb]) -> Path:
    with VideoWriter(path, SIZE_PX, RATE_HZ, "libx264", {"crf": "12"}) as film:
        for index, picture in enumerate(pictures):
            film.write(picture, index / RATE_HZ)
    return path


@pytest.fixture(scope="module")
def slide() -> Rgb:
    return smooth_picture(np.random.default_rng(61), (300, 1200), grain_px=7)


def _noisy(picture: Rgb, rng: np.random.Generator) -> Rgb:
    return to_uint8(picture + rng.normal(0, 1.5, picture.shape))


def _views(slide: Rgb, tops: list[int], lefts: list[int]) -> list[Rgb]:
    rng = np.random.default_rng(62)
    rows, columns = SIZE_PX
    return [
        _noisy(slide[top : top + rows, left : left + columns], rng)
        for top, left in zip(tops, lefts, strict=True)
    ]


def _assert_refused(
    video: Path, out: Path, problem: str, settings: StitchSettings | None = None
) -> None:
    with pytest.raises(InputError, match=problem) as refusal:
        stitch_film(video, out, recording=Recording(), settings=settings)
    assert refusal.value.where == str(video)
    assert refusal.value.remedy
    assert not out.exists()


def test_a_film_of_three_frames_is_refused(tmp_path: Path, slide: Rgb) -> None:
    video = _write(tmp_path / "short.mp4", _views(slide, [0] * 3, [0, 20, 40]))
    _assert_refused(video, tmp_path / "slide", "3 frames, too few")


def test_a_film_of_a_constant_picture_is_refused(tmp_path: Path) -> None:
    video = _write(tmp_path / "grey.mp4", [np.full((*SIZE_PX, 3), 200, np.uint8)] * 60)
    _assert_refused(video, tmp_path / "slide", "nothing is seen to move")


def test_a_film_of_a_stage_that_rests_on_tissue_is_refused(tmp_path: Path, slide: Rgb) -> None:
    video = _write(tmp_path / "resting.mp4", _views(slide, [40] * 60, [300] * 60))
    _assert_refused(video, tmp_path / "slide", "nothing is seen to move")


def test_a_film_of_glass_is_refused_however_the_stage_moved(tmp_path: Path) -> None:
    rng = np.random.default_rng(63)
    row, column = np.mgrid[-1 : 1 : SIZE_PX[0] * 1j, -1 : 1 : SIZE_PX[1] * 1j]
    glass = to_uint8(np.repeat((230 - 20 * (row**2 + column**2))[..., None], 3, axis=2))
    video = _write(tmp_path / "glass.mp4", [_noisy(glass, rng) for _ in range(90)])
    _assert_refused(video, tmp_path / "slide", "nothing is seen to move")


def test_a_film_of_one_lane_is_refused(tmp_path: Path, slide: Rgb) -> None:
    lefts = [0] * 15 + [24 * step for step in range(40)] + [24 * 39] * 15
    video = _write(tmp_path / "lane.mp4", _views(slide, [0] * len(lefts), lefts))
    _assert_refused(video, tmp_path / "slide", "only one lane")


def test_lanes_in_one_direction_only_are_refused(tmp_path: Path, slide: Rgb) -> None:
    lane = [0] * 12 + [24 * step for step in range(40)] + [24 * 39] * 12
    tops = [0] * len(lane) + [90] * len(lane)
    video = _write(tmp_path / "rake.mp4", _views(slide, tops, lane * 2))
    _assert_refused(video, tmp_path / "slide", "one direction")


def test_lanes_without_common_tissue_are_refused(tmp_path: Path) -> None:
    """Each lane over its own picture: the stage stepped by more than the field is high."""
    forth = list(range(0, 960, 24))
    pictures: list[Rgb] = []
    for number in range(4):
        slide = smooth_picture(np.random.default_rng(70 + number), (120, 1200), grain_px=7)
        lefts = forth if number % 2 == 0 else forth[::-1]
        lane = [lefts[0]] * 17 + lefts + [lefts[-1]] * 17
        pictures += _views(slide, [0] * len(lane), lane)
    video = _write(tmp_path / "apart.mp4", pictures)
    _assert_refused(video, tmp_path / "slide", "no common tissue")
    told = StitchSettings(told_speed_px_per_s=0.9 * SIZE_PX[1] * RATE_HZ)
    _assert_refused(video, tmp_path / "slide", "frames of a lane hardly overlap", told)


def test_a_film_whose_frames_share_nothing_in_one_direction_is_refused(
    tmp_path: Path, slide: Rgb
) -> None:
    """As where read-out makes the steps of one direction longer than the field.

    A pair of frames agrees now and then all the same, each at another distance.
    """
    forth = list(range(0, 960, 24))
    pictures: list[Rgb] = []
    for number, top in enumerate(range(0, 181, 60)):
        there = _views(slide, [top] * len(forth), forth)
        if number % 2:
            seeds = range(100 * number, 100 * number + len(forth))
            others = [smooth_picture(np.random.default_rng(seed), SIZE_PX, 7) for seed in seeds]
            there = [_views(other, [0], [0])[0] for other in others]
            for frame, step in [(5, 40), (14, 65), (23, 90), (32, 110)]:
                there[frame : frame + 2] = _views(slide, [top] * 2, [500, 500 - step])
        pictures += [there[0]] * 17 + there + [there[-1]] * 17
    video = _write(tmp_path / "one-way.mp4", pictures)
    _assert_refused(video, tmp_path / "slide", "in one direction share no tissue")


@pytest.mark.parametrize("factor", [0.75, pytest.param(1.3, marks=pytest.mark.slow)])
def test_a_film_that_shows_another_speed_than_was_told_is_refused(
    tiny_scans: list[SimulatedScan], tiny_stitched: Stitched, tmp_path: Path, factor: float
) -> None:
    told = StitchSettings(told_speed_px_per_s=factor * tiny_stitched.speed_px_per_s)
    with pytest.raises(InputError, match="frames that hardly overlap"):
        stitch_film(tiny_scans[0].video, tmp_path, recording=Recording(), settings=told)
    assert not list(tmp_path.glob("*"))


def test_a_film_that_is_cut_off_is_refused_unless_it_is_taken_as_it_is(
    tmp_path: Path, slide: Rgb
) -> None:
    path = tmp_path / "whole.mkv"
    lefts = [24 * (step % 40) for step in range(150)]
    _write(path, _views(slide, [0] * 150, lefts))
    cut = tmp_path / "cut.mkv"
    whole = path.read_bytes()
    cut.write_bytes(whole[: int(0.6 * len(whole))])
    _assert_refused(cut, tmp_path / "slide", "damaged or cut off")
    with pytest.raises(InputError) as refusal:  # the rest of it shows no zigzag, but is looked at
        stitch_film(cut, tmp_path / "slide", recording=Recording(), takes_damaged=True)
    assert "cut off" not in refusal.value.problem


def test_a_film_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    _assert_refused(tmp_path / "none.mp4", tmp_path / "slide", "no such file")
