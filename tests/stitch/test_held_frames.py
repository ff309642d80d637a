"""What is held of frames, and that nobody who asks sees a difference."""

import gc
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.artifacts.video import Frame
from blurryscope.basics.image import Rgb
from blurryscope.stitch.held_frames import HeldFrames

COUNT = 12


@dataclass(frozen=True)
class _WatchedFrame:
    """A frame of which one can tell whether anybody still has it."""

    index: int

    @property
    def time_s(self) -> float:
        return self.index / 30

    def luma(self) -> NDArray[np.uint8]:
        return np.random.default_rng(self.index).integers(0, 255, (6, 8)).astype(np.uint8)

    def rgb(self) -> Rgb:
        return np.repeat(self.luma()[..., None], 3, axis=2)

    def small_rgb(self, size_px: tuple[int, int]) -> Rgb:
        return np.zeros((*size_px, 3), np.uint8)


def _again(indices: Sequence[int]) -> list[Frame]:
    return [_WatchedFrame(index) for index in indices]


def _held(*, by_reading_again: bool) -> tuple[HeldFrames, "weakref.WeakSet[_WatchedFrame]"]:
    held = HeldFrames(_again if by_reading_again else None)
    watched = weakref.WeakSet[_WatchedFrame]()
    for index in range(COUNT):
        frame = _WatchedFrame(index)
        watched.add(frame)
        held.add(index, frame, fine_reduction=2)
    return held, watched


def test_frames_and_small_pictures_are_the_same_whether_held_or_read_again() -> None:
    (held, _), (read, _) = _held(by_reading_again=False), _held(by_reading_again=True)
    for index in range(COUNT):
        np.testing.assert_array_equal(held.fine(index, 2), read.fine(index, 2))
        assert held.fine(index, 2).shape == (3, 4)
    chosen = [1, 5, 11]
    for ours, theirs in zip(held.whole(chosen), read.whole(chosen), strict=True):
        np.testing.assert_array_equal(ours.rgb(), theirs.rgb())


def test_no_frame_is_held_that_can_be_read_again() -> None:
    held, frames = _held(by_reading_again=True)
    gc.collect()
    assert len(frames) == 0
    assert held.fine(0, 2).nbytes < _WatchedFrame(0).luma().nbytes
    _kept, frames = _held(by_reading_again=False)
    gc.collect()
    assert len(frames) == COUNT


@pytest.mark.parametrize("by_reading_again", [True, False])
def test_frames_that_are_not_to_be_kept_are_gone(*, by_reading_again: bool) -> None:
    held, frames = _held(by_reading_again=by_reading_again)
    held.keep(range(5, COUNT))
    gc.collect()
    assert all(frame.index >= 5 for frame in frames)
    held.fine(5, 2)
    with pytest.raises(KeyError):
        held.fine(4, 2)
