"""How the stage gains and loses its speed at the turns, where tissue shows it.

Over glass nothing tells how long a stage takes to its full speed, nor for how long it rests. Where
tissue lies at the turns its steps grow or shrink evenly, and a straight line through them tells how
steep the ramp is and, where it comes to 0, when the stage stood.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.trajectory import Trajectory, lane_rows

_SLOWEST, _FASTEST = 0.1, 0.93
"""Of full speed: a slower step may hold some of the rest, and frame times jitter by what is left to
full speed."""
_LEAST_STEPS = 4
"""Of a ramp, one after the other; a stage that sticks makes three that pass for one."""
_LEAST_RISE = 0.2
"""Of full speed, over the steps seen: frame times jitter by 3 percent of a step."""
_LEAST_FIT = 0.85
"""Share of the steps' variance that a straight line explains: where a stage sticks it is slow
evenly, and free again at once."""
_NEARLY_STANDS, _SLOW = 0.35, 0.7
"""Of full speed."""
_LEAST_RESTS, _LIKE_S = 2, 0.2
"""That must be alike where ramps are not measured: a single slow step may be dirt that stands."""
_LEAST_RAMPS = 3
"""That tell how long they last; of fewer one that is none would count too much."""
_LIKE = 0.25
"""By which the middle half of them may differ, as a part: more is no stage's habit."""


class SeenRamps(NamedTuple):
    """What ramps tell that were seen; NaN where they do not."""

    ramp_s: float
    """Time to gain full speed."""
    rest_s: float
    """Standing still between two lanes."""
    begins_s: NDArray[np.float64]
    """(lanes,) when the stage set off on each lane ..."""
    ends_s: NDArray[np.float64]
    """(lanes,) ... and when it stood again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ramp:
    """Slow steps at one end of a lane; speeds are parts of the full one."""

    lane: int
    is_start: bool
    middle_s: float
    """When it had the mean of the speeds seen ..."""
    speed: float
    """... which is this."""
    lasts_s: float
    """From rest to full speed, if all of it is like that; NaN where the steps do not tell."""
    step_count: int

    @property
    def tells_rest(self) -> bool:
        """Whether it tells when the stage stood, though not how long ramps last.

        That matters the less the slower the stage was already, and the shorter ramps are.
        """
        return self.speed < (_NEARLY_STANDS if self.step_count > 1 else _SLOW)

    def stands_s(self, ramp_s: float) -> float:
        """When the stage stood, before or after it, if ramps last so long."""
        way_s = self.speed * ramp_s
        return self.middle_s - way_s if self.is_start else self.middle_s + way_s


def seen_ramps(
    trajectory: Trajectory,
    lanes: Sequence[Lane],
    is_seen: NDArray[np.bool_],
    full_px_per_s: float,
    told_ramp_s: float,
) -> SeenRamps:
    """Measure ramps and rests.

    Parameters
    ----------
    trajectory
        Frames in lanes; neighbours must lie right to each other where they were seen to move.
    is_seen
        Whether each of its frames was, (n,).
    full_px_per_s
        Full speed.
    told_ramp_s
        How long ramps last where they are too short to be measured.
    """
    ramps = list(_ramps(trajectory, lanes, is_seen, full_px_per_s))
    ramp_s = _usual_s(ramps)
    is_measured = np.isfinite(ramp_s)
    stands_s = np.full((len(lanes), 2), np.nan)
    for ramp in ramps:
        if (is_measured and np.isfinite(ramp.lasts_s)) or ramp.tells_rest:
            at_s = ramp.stands_s(ramp_s if is_measured else told_ramp_s)
            stands_s[ramp.lane, 0 if ramp.is_start else 1] = at_s
    rests_s = stands_s[1:, 0] - stands_s[:-1, 1]
    known_s = rests_s[np.isfinite(rests_s)]
    is_told = len(known_s) > 0
    if not is_measured:
        stands_s[:] = np.nan
        is_told = len(known_s) >= _LEAST_RESTS and float(np.ptp(known_s)) < _LIKE_S
    return SeenRamps(
        ramp_s=ramp_s,
        rest_s=float(np.median(known_s)) if is_told else np.nan,
        begins_s=stands_s[:, 0],
        ends_s=stands_s[:, 1],
    )


def _usual_s(ramps: Sequence[_Ramp]) -> float:
    """How long ramps last; NaN where too few agree."""
    lasts_s = [ramp.lasts_s for ramp in ramps if np.isfinite(ramp.lasts_s)]
    if len(lasts_s) < _LEAST_RAMPS:
        return np.nan
    low_s, usual_s, high_s = np.quantile(lasts_s, (0.25, 0.5, 0.75))
    return float(usual_s) if high_s - low_s <= _LIKE * usual_s else np.nan


def _ramps(
    trajectory: Trajectory,
    lanes: Sequence[Lane],
    is_seen: NDArray[np.bool_],
    full_px_per_s: float,
) -> Iterator[_Ramp]:
    """All that was seen of ramps, in the order of the film."""
    for rows in lane_rows(trajectory):
        number = int(trajectory.lanes[rows[0]])
        times_s, way_px = trajectory.times_s[rows], trajectory.positions[rows, 1]
        lasted_s = np.diff(times_s)
        is_step = is_seen[rows[:-1]] & is_seen[rows[1:]] & (lasted_s > 0)
        speeds = np.diff(way_px) * lanes[number].direction / np.maximum(lasted_s, 1e-9)
        speeds, middles_s = speeds / full_px_per_s, (times_s[:-1] + times_s[1:]) / 2
        full = np.flatnonzero(is_step & (speeds >= _FASTEST))
        if not len(full):
            continue
        slow = np.flatnonzero(is_step & (speeds > _SLOWEST) & (speeds < _FASTEST))
        for steps, is_start in ((slow[slow < full[0]], True), (slow[slow > full[-1]], False)):
            if len(steps):
                yield _ramp(number, is_start, middles_s[steps], speeds[steps])


def _ramp(
    lane: int, is_start: bool, times_s: NDArray[np.float64], speeds: NDArray[np.float64]
) -> _Ramp:
    """All of it where it is even; else only the step nearest to the turn is sure to be of it."""
    lasts_s = _lasts_s(is_start, times_s, speeds)
    outermost = slice(0, 1) if is_start else slice(-1, None)
    chosen = slice(None) if np.isfinite(lasts_s) else outermost
    return _Ramp(
        lane=lane,
        is_start=is_start,
        middle_s=float(times_s[chosen].mean()),
        speed=float(speeds[chosen].mean()),
        lasts_s=lasts_s,
        step_count=len(speeds),
    )


def _lasts_s(is_start: bool, times_s: NDArray[np.float64], speeds: NDArray[np.float64]) -> float:
    """By a straight line through steps; NaN where they are too few for one, or no ramp."""
    if len(speeds) < _LEAST_STEPS or np.ptp(speeds) < _LEAST_RISE:
        return np.nan
    since_s, apart = times_s - times_s.mean(), speeds - speeds.mean()
    steepness = float(since_s @ apart) / float(since_s @ since_s)
    explained = steepness * float(since_s @ apart) / float(apart @ apart)
    is_ramp = explained >= _LEAST_FIT and (steepness > 0) == is_start
    return 1 / abs(steepness) if is_ramp else np.nan
