"""A lane that is placed for good, and the canvas that holds all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.video import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLane:
    """The frames of one lane, in order of the film, and where they lie; n of them."""

    number: int
    indices: tuple[int, ...]
    """Which frames of the film they are."""
    frames: Sequence[Frame] = field(repr=False)
    """The frames themselves; none where whoever lays them reads the film by himself."""
    positions: NDArray[np.float64]
    """(n, 2) field centres (y, x), mosaic pixels before the canvas is known."""
    matrices: NDArray[np.float64]
    """(n, 2, 2) from frame offsets to mosaic offsets."""
    frame_shape: tuple[int, int]
    is_sure: NDArray[np.bool_]
    """(n,) whether links hold the frame; the others lie where the stage is thought to have been."""

    @property
    def reach(self) -> NDArray[np.float64]:
        """(n, 2) half extent (y, x) of each frame's upright bounding box."""
        return np.asarray(np.abs(self.matrices) @ self._half)

    @property
    def whole_reach_x(self) -> NDArray[np.float64]:
        """(n,) half extent along x in which the frame, a slanted box, covers all of its rows."""
        along_rows, along_columns = (np.abs(self.matrices[:, 1]) * self._half).T
        return np.asarray(np.abs(along_rows - along_columns))

    @property
    def _half(self) -> NDArray[np.float64]:
        return (np.array(self.frame_shape) - 1) / 2

    @property
    def corners(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest (y, x) that any frame reaches."""
        reach = self.reach
        return (self.positions - reach).min(axis=0), (self.positions + reach).max(axis=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """Where the first pixel of the mosaic lies in the trajectory's coordinates, and its width."""

    origin: NDArray[np.float64]
    """(y, x), whole pixels."""
    columns: int


def canvas_of(lanes: Sequence[PlacedLane], margin_px: float = 0.0) -> Canvas:
    """Find the canvas that holds these lanes, and `margin_px` more to the left and right."""
    low = np.min([lane.corners[0] for lane in lanes], axis=0)
    high = np.max([lane.corners[1] for lane in lanes], axis=0)
    left, right = np.floor(low[1] - margin_px), np.ceil(high[1] + margin_px)
    return Canvas(origin=np.array([np.floor(low[0]), left]), columns=int(right - left) + 1)
