"""Finds the lanes of a film that is still running: all of the first ones, then one by one."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.evidence import Evidence, evidence_of, scan_axis
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.motion import PairShift
from blurryscope.stitch.rhythm import Rhythm
from blurryscope.stitch.zigzag import find_lanes, next_lanes

_MOST_BLANK = 4
"""Lanes over glass alone before the first that was seen, and after the last: the rim of a slide is
two or three wide. Before and after those the stage rather stood than scanned."""
_CUT_OFF = 0.45
"""Part of a lane by which a film must outlast the last one and a rest for another to have begun
there over glass: the three recorded films, of whole scans, went on for 0.31 to 0.43 of one."""
_PATIENCE = 0.3
"""Part of a lane that must have passed before it is worth looking whether the last one is over."""
_LOOK_EVERY = 16
"""Frames between looks after that, unless a lane is seen to run."""


class LaneFinder:
    """Ask for the `first` lanes until there are enough; then for those `closed` since."""

    def __init__(self) -> None:
        self.axis: NDArray[np.float64] | None = None
        self._least_step_px = 0.0
        self._rhythm = Rhythm(moving=1.0, resting=1.0)
        self._last: Lane | None = None
        self._next_look = 0
        self._told_over = 0

    @property
    def rest_frames(self) -> float:
        """How long the stage does not move along the lanes between two: no longer than was seen."""
        return self._rhythm.resting

    def first(
        self, shifts: Sequence[PairShift], least_step_px: float, rest_frames: float
    ) -> list[Lane]:
        """All lanes of the film so far; the last may still be running. Empty if none are seen.

        Those over glass before the first that is seen may be none: the stage had not set off yet.

        Parameters
        ----------
        least_step_px
            Pairs that moved by less say nothing of the direction.
        rest_frames
            How long the stage usually does not move along the lanes between two of them; it decides
            only over blank glass.
        """
        self._least_step_px = least_step_px
        axis = scan_axis(shifts, least_step_px)
        if axis is None:
            return []
        # Its sign is arbitrary, but lanes seen before keep their directions.
        is_turned = self.axis is not None and float(axis @ self.axis) < 0
        self.axis = -axis if is_turned else axis
        lanes, self._rhythm = find_lanes(self._evidence(shifts), rest_frames)
        return _from_the_first_seen(lanes)

    def enough(self, lanes: Sequence[Lane], pair_count: int) -> bool:
        """Whether so many pairs of neighbouring lanes were both seen to move."""
        return sum(a.is_seen and b.is_seen for a, b in pairwise(lanes)) >= pair_count

    def goes_on_after(self, lane: Lane) -> None:
        """The lanes up to this one are known; from now on `closed` tells of later ones."""
        self._last = lane
        self._next_look = self._due_after(lane)

    def closed(
        self, shifts: Sequence[PairShift], frame_count: int, told_over: int = 0
    ) -> list[Lane]:
        """Lanes that have ended since the last call, another having begun.

        A few over glass are kept until the next one that is seen: they may have been a pause.

        Parameters
        ----------
        told_over
            Frame until which, by what the stage told, no lane is under way any more: over glass
            that is not seen before the next lane is over too. 0 if it tells nothing.
        """
        if frame_count < self._next_look and told_over <= self._told_over:
            return []
        self._told_over = told_over
        lanes = self._later(shifts)
        found = settled(self._ended(lanes, told_over))
        if found:
            self.goes_on_after(found[-1])
        else:
            # A lane that is seen to run has to end, and the next to begin, before it can be told.
            running = [self._due_from(lane.first) for lane in lanes[-1:] if lane.is_seen]
            self._next_look = max([frame_count + _LOOK_EVERY, *running])
        return found

    def rest(self, shifts: Sequence[PairShift]) -> list[Lane]:
        """All lanes that are left when the film has ended."""
        return until_the_last_seen(self._later(shifts))

    def with_one_cut_off(self, lanes: Sequence[Lane], frame_count: int) -> list[Lane]:
        """All lanes, and one more over glass if the film ends so late that it must be under way.

        `lanes` are those left when the film ended; none where the last known one is the last.
        """
        known = [*([] if self._last is None else [self._last]), *lanes]
        if not _numbers_seen(known[-_MOST_BLANK:]):
            return list(lanes)
        begin = round(known[-1].last + self._rhythm.resting)
        if frame_count - begin < _CUT_OFF * self._rhythm.moving:
            return list(lanes)
        end = min(begin + round(self._rhythm.moving), frame_count - 1)
        cut_off = Lane(first=begin, last=end, direction=-known[-1].direction, evidence=0.0)
        return [*lanes, cut_off]

    def _ended(self, lanes: Sequence[Lane], told_over: int) -> list[Lane]:
        """All lanes but the last, which may still be running; it too where it is told that not."""
        ended = list(lanes[:-1])
        # Where the next has begun by then, it is not half over.
        if lanes and lanes[-1].first + self._rhythm.moving / 2 < told_over:
            ended.append(replace(lanes[-1], last=min(lanes[-1].last, told_over)))
        return ended

    def _later(self, shifts: Sequence[PairShift]) -> list[Lane]:
        last = self._last
        if last is None:
            raise ValueError("there is no lane to go on after yet")
        if last.last >= len(shifts):
            return []  # it ended with the last frame
        evidence = self._evidence(shifts[last.last :])
        lanes = next_lanes(evidence, self._rhythm, last.direction)
        return [
            replace(lane, first=lane.first + last.last, last=lane.last + last.last)
            for lane in lanes
        ]

    def _due_after(self, lane: Lane) -> int:
        return self._due_from(lane.last + self._rhythm.resting)

    def _due_from(self, begin: float) -> int:
        """When a lane that begins there should be followed by enough of another."""
        rhythm = self._rhythm
        return int(begin + rhythm.resting + (1 + _PATIENCE) * rhythm.moving)

    def _evidence(self, shifts: Sequence[PairShift]) -> Evidence:
        if self.axis is None:
            raise ValueError("there is no scan axis yet")
        return evidence_of(shifts, self.axis, self._least_step_px)


def _from_the_first_seen(lanes: Sequence[Lane]) -> list[Lane]:
    seen = _numbers_seen(lanes)
    return list(lanes[max(seen[0] - _MOST_BLANK, 0) :]) if seen else list(lanes)


def with_those_told(
    lanes: Sequence[Lane], starts_s: Sequence[float], times_s: NDArray[np.float64]
) -> list[Lane]:
    """The lanes, and before them those over glass that the stage told it had set off on.

    Over glass the rhythm alone cannot tell them from a stage that stands before its scan, and with
    one too few or too many every other lane has the number of its neighbour.
    """
    middle_s = (times_s[lanes[0].first] + times_s[lanes[0].last]) / 2
    # The last start before the middle of a lane is its own.
    earlier_s = sorted(start_s for start_s in starts_s if start_s < middle_s)[:-1]
    starts = np.unique(np.searchsorted(times_s, earlier_s))
    usual = int(np.median([lane.last - lane.first for lane in lanes]))
    added: list[Lane] = []
    end, direction = lanes[0].first, lanes[0].direction
    for start in reversed(starts.tolist()):
        direction = -direction
        last = min(start + usual, end - 1)
        added.append(Lane(first=start, last=last, direction=direction, evidence=0.0))
        end = start
    return [*reversed(added), *lanes]


def until_the_last_seen(lanes: Sequence[Lane]) -> list[Lane]:
    """The lanes of a film that has ended, less those in which the stage rather stood."""
    seen = _numbers_seen(lanes)
    return list(lanes[: (seen[-1] if seen else -1) + 1 + _MOST_BLANK])


def settled(lanes: Sequence[Lane]) -> list[Lane]:
    """The lanes up to the last one that was seen; all where so many follow it over glass.

    Those few that follow may have been a pause, which the next one that is seen tells.
    """
    count = max(_numbers_seen(lanes), default=-1) + 1
    return list(lanes[:count] if len(lanes) - count <= _MOST_BLANK else lanes)


def _numbers_seen(lanes: Sequence[Lane]) -> list[int]:
    return [number for number, lane in enumerate(lanes) if lane.is_seen]
