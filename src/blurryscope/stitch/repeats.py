"""Frames that only repeat the one before, as cameras and films make them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.motion import PairShift

_QUIET, _LEAST_NOISE, _NO_NOISE = 0.1, 0.02, 0.1
"""What the quietest frames of a film change, as a quantile; grey levels from which that is the
camera's noise (coded hard, glass changes by 0.0002 to 0.015); the part of it that is none."""
_NOTHING, _NOTHING_LEVELS = 0.1, 1e-3
"""Of the change around, and grey levels less, up to which a frame shows nothing new."""
_CODED_CHANGE, _LEAST_CHANGE = 0.02, 0.5
"""Of the change around, and what that must be in grey levels: coded anew, repeats of moving tissue
came to at most 0.012 of it, a single frame of rest where the stage turns to 0.03 and more."""
_FAINT_CHANGE = 0.2
"""Where the next step makes up for it: repeats of tissue coded hard came to 0.05."""
_NO_STEP, _DOUBLE_STEP = 0.1, (1.5, 2.6)
"""Of the step before: of 40 repeats over tissue in 14 scans, and of no other pair of theirs."""
_SURE, _FULL_STEP = 0.5, 0.6
"""Correlation of a step that was seen; part of the usual step, which one in a ramp before a turn is
shorter than."""
_STANDS = 0.5
"""Correlation of detail without a shift: repeats of faint tissue gave 0.7, glass gives 0."""


def without_repeats(
    times_s: NDArray[np.float64], changes: NDArray[np.float64], shifts: Sequence[PairShift]
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Find frames that repeat the one before, and give them its time.

    `changes` is the mean absolute difference of each frame to the one before, grey levels,
    (frames - 1,); `shifts` how the two lie to each other. A repeated frame differs by next to
    nothing while the frames around it do. In a film that keeps the camera's noise that is enough;
    where the film's coding took the noise away, two frames of empty glass between two cores differ
    as little, and only tissue that stands still tells. Coded hard it differs by more, but goes
    twice as far in the next frame, or too far to be found again: no stage does that which stood.
    """
    times_s = times_s.copy()
    if len(changes) < 3:
        return times_s, ()
    around = np.minimum(changes[:-2], changes[2:])
    here = changes[1:-1]
    noise = np.quantile(changes[changes > 0], _QUIET) if changes.any() else 0.0
    keeps_noise = noise > _LEAST_NOISE
    is_nothing = (here < _NO_NOISE * noise) & (here < _NOTHING * around - _NOTHING_LEVELS)
    is_exact = is_nothing & keeps_noise
    is_coded = (here < _CODED_CHANGE * around) & (around > _LEAST_CHANGE)
    told = np.array([(s.row_px, s.col_px, s.correlation, s.stillness) for s in shifts])
    moved_px, correlation, stillness = told[:, :2], told[:, 2], told[:, 3]
    leaps = _catches_up(moved_px) | _stops_short(np.hypot(*moved_px.T), correlation, stillness)
    is_coded |= (here < _FAINT_CHANGE * around) & leaps
    repeated = np.flatnonzero(is_exact | (is_coded & (stillness[1:-1] > _STANDS))) + 2
    for index in repeated.tolist():
        times_s[index] = times_s[index - 1]
    return times_s, tuple(repeated.tolist())


def _catches_up(moved_px: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which pairs, the first and last left out, stand between a step and another twice as long."""
    before, here, after = moved_px[:-2], moved_px[1:-1], moved_px[2:]
    squared = (before**2).sum(axis=1)
    stands = (here**2).sum(axis=1) < _NO_STEP**2 * squared
    low, high = _DOUBLE_STEP
    along = (before * after).sum(axis=1)
    return np.asarray(stands & (along > low * squared) & (along < high * squared))


def _stops_short(
    way_px: NDArray[np.float64],
    correlation: NDArray[np.float64],
    stillness: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Which pairs, the first and last left out, stand alone behind a step at full speed.

    A stage that sticks or turns stands for longer; what comes after is not found again.
    """
    moves = (correlation > _SURE) & (stillness < _STANDS)
    if not moves.any():
        return np.zeros(len(way_px) - 2, np.bool_)
    is_full = moves & (way_px > _FULL_STEP * np.median(way_px[moves]))
    is_lost = (correlation < _SURE) & (stillness < _STANDS)
    return np.asarray(is_full[:-2] & is_lost[2:])
