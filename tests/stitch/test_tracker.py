"""What is looked at frame by frame, and what of it is taken for the microscope's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.artifacts.video import Video, VideoWriter
from blurryscope.stitch.motion import OverlapCorrelator
from blurryscope.stitch.tracker import Tracker, reduction_for
from blurryscope.testing import smooth_picture

SIZE_PX = (120, 160)
RATE_HZ = 30.0
_JUMPS = [(120, 0.88, 340, 60), (60, 0.8, 1000, 20)]
"""Frames before the exposure jumps and to what; how long cores and the glass between them are."""


def test_tissue_seen_again_and_again_at_rest_is_not_taken_for_shading(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    slide = smooth_picture(rng, (120, 1600), grain_px=7)
    slide[:, 500:1000] = 235  # glass in the middle
    lefts = [*range(0, 1440, 24), *[1440] * 90, *range(1440, 0, -24)]
    path = _filmed(tmp_path, rng, [slide[:, left : left + SIZE_PX[1]] for left in lefts])
    shading = _settled_shading(path)
    rested_on = slide[:, 1440:].astype(np.float64).mean(axis=2)
    assert rested_on.std() > 8  # a picture that would be seen
    assert abs(np.corrcoef(shading.ravel(), rested_on.ravel())[0, 1]) < 0.2


@pytest.mark.parametrize(("bright_count", "dimmed", "core_px", "gap_px"), _JUMPS)
def test_the_field_is_found_even_where_the_exposure_jumps(
    tmp_path: Path, bright_count: int, dimmed: float, core_px: int, gap_px: int
) -> None:
    rng = np.random.default_rng(8)
    slide = np.full((120, 3200, 3), 235.0)
    for left in range(0, 1600, core_px + gap_px):  # and then only glass
        slide[:, left : left + core_px] = smooth_picture(rng, (120, core_px), grain_px=7)
    off_centre = np.linspace(-1, 1, SIZE_PX[1])[None] ** 2 + np.linspace(-1, 1, 120)[:, None] ** 2
    field = 1 - 0.1 * off_centre
    lefts = [0] * 30 + [*range(0, 3040, 24), *range(3040, 0, -24)]
    exposure = np.where(np.arange(len(lefts)) < bright_count, 1.0, dimmed)
    lit = [
        slide[:, left : left + SIZE_PX[1]] * field[..., None] * bright
        for left, bright in zip(lefts, exposure, strict=True)
    ]
    shading = _settled_shading(_filmed(tmp_path, rng, lit))
    ratio = shading / field
    assert np.quantile(np.abs(ratio / np.median(ratio) - 1), 0.95) < 0.03


def test_frames_looked_at_again_side_by_side_tell_what_they_tell_one_by_one(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(9)
    slide = smooth_picture(rng, (120, 1600), grain_px=7)
    lefts = [*range(0, 1440, 15), *range(1440, 0, -15)]
    path = _filmed(tmp_path, rng, [slide[:, left : left + SIZE_PX[1]] for left in lefts])
    tracker = Tracker(60, 120)
    with Video(path) as video:
        frames = list(video)
    for frame in frames[:-1]:
        tracker.push(frame)
    tracker.settle()
    tracker.push(frames[-1])
    one_by_one = OverlapCorrelator(tracker.coarse(0).shape)
    shifts = [one_by_one.push(tracker.coarse(index)) for index in range(len(frames))]
    known = [shift.enlarged(tracker.coarse_reduction) for shift in shifts if shift is not None]
    assert tracker.shifts == known
    assert len(known) == len(lefts) - 1
    assert np.median([shift.correlation for shift in known]) > 0.9


def _filmed(
    tmp_path: Path,
    rng: np.random.Generator,
    pictures: Sequence[NDArray[np.uint8] | NDArray[np.float64]],
) -> Path:
    """A film of these pictures, with noise."""
    path = tmp_path / "scan.mp4"
    with VideoWriter(path, SIZE_PX, RATE_HZ, "libx264", {"crf": "12"}) as film:
        for index, picture in enumerate(pictures):
            noisy = np.clip(picture + rng.normal(0, 1.5, (*SIZE_PX, 3)), 0, 255)
            film.write(noisy.astype(np.uint8), index / RATE_HZ)
    return path


def _settled_shading(path: Path) -> NDArray[np.float64]:
    """What the tracker takes for lamp and sensor after a whole film, (row, col) grey levels."""
    tracker = Tracker(60, 120)
    with Video(path) as video:
        for frame in video:
            tracker.push(frame)
    return np.asarray(tracker.settle().mean(axis=2), np.float64)


@pytest.mark.parametrize(("shape", "factor"), [((480, 640), 4), ((1080, 1920), 9), ((96, 128), 1)])
def test_frames_of_any_size_are_looked_at_in_about_the_same_size(
    shape: tuple[int, int], factor: int
) -> None:
    assert reduction_for(shape, 120) == factor
