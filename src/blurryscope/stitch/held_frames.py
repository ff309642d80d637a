"""What is still wanted of the frames of a film: no more of each than somebody will ask for."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.video import Frame
from blurryscope.stitch.features import shrunk

FilmAgain = Callable[[Sequence[int]], Sequence[Frame]]
"""Reads frames of a film once more, by their numbers, which rise."""


class HeldFrames:
    """Frames by their number until they are let go of.

    A frame as it was decoded takes six times as much as its brightness at half the size, which is
    all that exact links look at. Where a frame can be read again no more than that is held.

    Parameters
    ----------
    again
        Reads frames once more, if the film is there as a whole.
    """

    def __init__(self, again: FilmAgain | None = None) -> None:
        self._again = again
        self._whole: dict[int, Frame] = {}
        self._fine: dict[int, NDArray[np.uint8]] = {}

    def add(self, index: int, frame: Frame, fine_reduction: int) -> None:
        """Take the next frame."""
        if self._again is None:
            self._whole[index] = frame
        else:
            self._fine[index] = shrunk(frame.luma(), fine_reduction)

    def whole(self, indices: Sequence[int]) -> Sequence[Frame]:
        """Frames as they were decoded; the numbers rise."""
        if self._again is None:
            return [self._whole[index] for index in indices]
        return self._again(indices)

    def fine(self, index: int, fine_reduction: int) -> NDArray[np.uint8]:
        """The brightness of a frame, (row, col), so many times smaller."""
        if self._again is None:
            return shrunk(self._whole[index].luma(), fine_reduction)
        return self._fine[index]

    def keep(self, frames: range) -> None:
        """Let go of all frames but those of these numbers."""
        let_go(self._whole, frames)
        let_go(self._fine, frames)


def let_go(held: dict[int, Any], kept: range) -> None:
    """Drop what is held of all frames but of those of these numbers."""
    for index in [index for index in held if index not in kept]:
        del held[index]
