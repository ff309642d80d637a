"""What a film that still runs has shown up to now, to whoever places its lanes."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.motion import PairShift
from blurryscope.stitch.steps import Motion


class FilmSoFar(Protocol):
    """What the film has shown up to now."""

    @property
    def times_s(self) -> NDArray[np.float64]:
        """When each frame's picture was taken; a repeated frame has the time of the one before."""
        ...

    @property
    def shifts(self) -> Sequence[PairShift]:
        """Content shift from each frame to the next, camera pixels."""
        ...

    @property
    def frame_shape(self) -> tuple[int, int]: ...

    @property
    def coarse_reduction(self) -> int: ...

    @property
    def fine_reduction(self) -> int: ...

    def coarse(self, frame: int) -> Grey:
        """Detail picture for the first look."""
        ...

    def fine(self, frame: int) -> Grey:
        """Detail picture for exact links."""
        ...


def motion_of(film: FilmSoFar, lanes: Sequence[Lane]) -> Motion:
    """How the stage moved in these lanes."""
    return Motion(
        times_s=film.times_s, shifts=film.shifts, lanes=lanes, frame_shape=film.frame_shape
    )
