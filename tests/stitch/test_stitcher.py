from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.video import VideoWriter
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.stitch.film import stitch_film
from blurryscope.stitch.motion import PairShift
from blurryscope.stitch.stitcher import StitchSettings
from blurryscope.stitch.tracker import reduction_for, without_repeats
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


def test_repeated_frames_get_the_time_of_the_one_they_repeat() -> None:
    times_s = np.arange(8) / 30
    changes = np.array([4.0, 5.0, 0.0, 5.0, 4.0, 0.001, 6.0])
    told_s, repeated = without_repeats(times_s, changes, _GLASS)
    assert repeated == (3, 6)
    assert told_s[[3, 6]] == pytest.approx(times_s[[2, 5]])
    others = [0, 1, 2, 4, 5, 7]
    assert told_s[others] == pytest.approx(times_s[others])


def test_a_stage_at_rest_repeats_no_frame() -> None:
    times_s = np.arange(8) / 30
    noise = np.array([0.8, 0.9, 0.85, 0.8, 0.9, 0.8, 0.9])
    assert without_repeats(times_s, noise, _TISSUE)[1] == ()
    coded = np.array([6.0, 8.0, 0.08, 7.0, 6.0, 0.4, 7.0])
    # Only what is coded anew, and not the rest where the stage turns.
    assert without_repeats(times_s, coded, _TISSUE)[1] == (3,)
    # Nor does a still of no noise at all.
    assert without_repeats(times_s, np.zeros(7), _TISSUE)[1] == ()


def test_two_frames_of_the_glass_between_cores_are_no_repeat_where_coding_took_the_noise() -> None:
    times_s = np.arange(8) / 30
    changes = np.array([0.01, 6.0, 0.02, 7.0, 0.01, 0.015, 0.02])
    assert without_repeats(times_s, changes, _GLASS)[1] == ()
    assert without_repeats(times_s, changes, _TISSUE)[1] == (3,)


def test_faint_tissue_that_coding_changed_is_a_repeat_if_the_next_step_is_twice_as_long() -> None:
    times_s = np.arange(8) / 30
    changes = np.array([2.4, 2.5, 0.3, 2.6, 2.4, 2.5, 2.4])
    along_px = np.array([80.0, 81.0, 0.0, 160.0, 80.0, 79.0, 80.0])
    assert without_repeats(times_s, changes, _moved(along_px))[1] == (3,)
    along_px[3] /= 2  # a stage that stuck for a moment
    assert without_repeats(times_s, changes, _moved(along_px))[1] == ()


def test_a_single_still_behind_a_full_step_is_a_repeat_if_the_next_step_is_too_long_to_see() -> (
    None
):
    times_s = np.arange(8) / 30
    changes = np.array([0.01, 4.3, 0.17, 5.1, 0.01, 4.5, 4.4])
    along_px = np.array([210.0, 211.0, 0.0, 0.0, 209.0, 210.0, 208.0])
    seen = np.array([0.8, 0.6, 0.8, 0.2, 0.8, 0.8, 0.8])
    still = np.array([0.1, 0.1, 0.8, 0.0, 0.1, 0.1, 0.1])
    assert without_repeats(times_s, changes, _shifts(along_px, seen, still))[1] == (3,)
    slower_px = along_px * np.array([1, 0.4, 1, 1, 1, 1, 1])  # in the ramp before it turns
    assert without_repeats(times_s, changes, _shifts(slower_px, seen, still))[1] == ()
    rests = still + np.array([0, 0, 0, 0.8, 0, 0, 0])
    assert without_repeats(times_s, changes, _shifts(along_px, seen, rests))[1] == ()


def _shifts(
    along_px: NDArray[np.float64], seen: NDArray[np.float64], still: NDArray[np.float64]
) -> list[PairShift]:
    return [
        PairShift(row_px=0.02 * way, col_px=way, correlation=correlation, stillness=stillness)
        for way, correlation, stillness in np.stack([along_px, seen, still], axis=1).tolist()
    ]


def _moved(along_px: NDArray[np.float64]) -> list[PairShift]:
    return _shifts(along_px, np.full(7, 0.9), np.full(7, 0.9))


_GLASS = _shifts(np.zeros(7), np.zeros(7), np.zeros(7))
_TISSUE = _shifts(np.zeros(7), np.full(7, 0.9), np.full(7, 0.9))


@pytest.mark.parametrize(("shape", "factor"), [((480, 640), 4), ((1080, 1920), 9), ((96, 128), 1)])
def test_frames_of_any_size_are_looked_at_in_about_the_same_size(
    shape: tuple[int, int], factor: int
) -> None:
    assert reduction_for(shape, 120) == factor
