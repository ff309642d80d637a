"""Notices that a film shows the same slide again: two scans recorded in one go."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from blurryscope.basics.image import Grey
from blurryscope.stitch.features import is_dust
from blurryscope.stitch.motion import OverlapCorrelator, PairShift, PreparedDetail

_LANDMARKS = 6
_ENOUGH = 3
"""Landmarks that must agree."""
_LOOKED_FOR = 3
"""The first of them, until one is met: a comparison takes as long as decoding a frame."""
_LEAST_DETAIL = 0.02
"""Standard deviation of absorbance of a frame that is worth remembering: plenty of tissue."""
_STRONG_ENOUGH = 0.7
"""Part of that which a frame must show to be compared at all."""
_APART_FRAMES = 2
"""Between landmarks, so that each shows something of its own."""
_LEAST_LAG_FRAMES = 60
"""Two seconds; the stage may stand over a landmark for one."""
_LEAST_CORRELATION = 0.85
"""Two scans of one slide reach 0.94 to 0.99; cores of one size in equal rows look alike, and reach
0.84 at one landmark and 0.74 at the next."""
_MOST_SHIFT_FRACTION = 0.3
"""Of the field, in either direction: half a step of the stage, and what the turns wander. The
neighbouring lane sees the same tissue farther off than that."""
_LAG_TOLERANCE = 2
"""Frames by which landmarks may disagree on when the second scan began."""
_SHRINK = 2
_SURE = 0.5
"""Correlation from which a pair was seen to move."""
_LAG_SLACK = 3
"""Frames by which the lag of a second scan may be wrong."""


@dataclass(frozen=True, slots=True)
class _Landmark:
    frame: int
    seen: PreparedDetail


class SecondScanWatch:
    """Push the detail pictures of all frames; tells when what was seen first comes again.

    A few frames of the first tissue are remembered. When some of them come again in the same order
    and at the same distance in time, the stage is on its way over the slide a second time, however
    it got back: over glass, or not at all, in two films that were joined.
    """

    def __init__(self) -> None:
        self._landmarks: list[_Landmark] = []
        self._met: list[tuple[int, int]] = []
        """Landmark and lag in frames."""
        self._correlator: OverlapCorrelator | None = None

    def push(self, frame: int, detail: Grey, moved: PairShift | None) -> int | None:
        """Look at the next frame; `moved` is how it lies to the one before.

        Returns
        -------
        By how many frames the second scan lags behind the first, as soon as that is certain.
        """
        small = _shrunk(detail)
        if self._correlator is None:
            self._correlator = OverlapCorrelator((small.shape[0], small.shape[1]))
        strength = cv2.meanStdDev(small)[1].item()
        if strength < _STRONG_ENOUGH * _LEAST_DETAIL:
            return None
        seen = self._correlator.prepared(small)
        looked_for = self._landmarks if self._met else self._landmarks[:_LOOKED_FOR]
        for number, landmark in enumerate(looked_for):
            lag = frame - landmark.frame
            if lag >= _LEAST_LAG_FRAMES and self._is_same(landmark.seen, seen):
                self._met.append((number, lag))
        if strength >= _LEAST_DETAIL and len(self._landmarks) < _LANDMARKS:
            self._remember(frame, seen, moved)
        return self._agreed()

    def _remember(self, frame: int, seen: PreparedDetail, moved: PairShift | None) -> None:
        is_moving = moved is not None and moved.correlation > 0.5 and moved.stillness < 0.5
        last = self._landmarks[-1] if self._landmarks else None
        if not is_moving or (last is not None and frame - last.frame < _APART_FRAMES):
            return
        # Where the stage goes slowly, as at its turns, one look-alike would pass for all of them.
        if last is None or not self._is_same(last.seen, seen):
            self._landmarks.append(_Landmark(frame, seen))

    def _is_same(self, landmark: PreparedDetail, seen: PreparedDetail) -> bool:
        if self._correlator is None:
            return False
        shift = self._correlator.between(landmark, seen)
        rows, columns = self._correlator.shape
        return (
            shift.correlation >= _LEAST_CORRELATION
            and abs(shift.row_px) <= _MOST_SHIFT_FRACTION * rows
            and abs(shift.col_px) <= _MOST_SHIFT_FRACTION * columns
        )

    def _agreed(self) -> int | None:
        """The lag that enough landmarks have seen."""
        for _, lag in self._met:
            near = [(n, other) for n, other in self._met if abs(other - lag) <= _LAG_TOLERANCE]
            if len({number for number, _ in near}) >= _ENOUGH:
                return round(float(np.median([other for _, other in near])))
        return None


def first_scan_end(shifts: Sequence[PairShift], lag: int, least_step_px: float) -> int:
    """How many frames of a film belong to the first of its two scans.

    Before anything moves in the second scan, as long before as in the first, the stage rests; what
    moves before that rest is of the first.

    Parameters
    ----------
    shifts
        Of the whole film, from each frame to the next.
    lag
        Frames by which the second scan lags behind the first.
    least_step_px
        Pairs that moved by less may have stood.
    """
    moving = [
        index
        for index, shift in enumerate(shifts)
        if shift.correlation > _SURE and np.hypot(shift.row_px, shift.col_px) > least_step_px
    ]
    begun = lag + (moving[0] if moving else 0) - _LAG_SLACK
    last_of_first = max((index for index in moving if index < begun), default=0)
    return max(lag, last_of_first + 2)


def _shrunk(detail: Grey) -> Grey:
    """Smaller, and without dust: a scan of half a slide was taken for a second one by it."""
    detail = np.where(is_dust(detail), np.float32(0), detail)
    size = (detail.shape[1] // _SHRINK, detail.shape[0] // _SHRINK)
    return np.asarray(cv2.resize(detail, size, interpolation=cv2.INTER_AREA), np.float32)
