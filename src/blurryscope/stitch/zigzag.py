"""Which frames belong to which lane: the zigzag's square wave, fitted to what the frames show.

After a first guess of the rhythm the likeliest lanes tell it better, and are sought once more.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.evidence import Evidence
from blurryscope.stitch.lane_search import LaneSearch
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.rhythm import Rhythm, folded_rhythm, measured_rhythm, rhythm_of_turns

_LEAST_EXPLAINED = 0.8
"""Of all that was seen to move: lanes that explain less have the wrong rhythm."""
_LEAST_STALL, _STOPS_WITHIN = 5, 3
"""Pairs that show the stage standing; how far apart they and its motion follow each other."""


def find_lanes(evidence: Evidence, usual_rest: float) -> tuple[list[Lane], Rhythm]:
    """Find the lanes of a film, in order, and their rhythm; no lanes if nothing moves both ways.

    `usual_rest`, in frames, is how long the stage is expected not to move along a lane between two
    lanes. It decides only where the film does not: rests over blank glass look like motion there.
    """
    if not (evidence.forward.any() and evidence.backward.any()):
        return [], Rhythm(moving=1.0, resting=1.0)
    evidence, kept = _without_stalls(evidence)
    rhythm = folded_rhythm(evidence, usual_rest)
    lanes = LaneSearch(evidence, rhythm).run()
    if _explained(lanes, evidence) < _LEAST_EXPLAINED:
        # A long pause in a short film: its two parts do not fold onto each other.
        rhythm = rhythm_of_turns(evidence, usual_rest, rhythm)
        lanes = LaneSearch(evidence, rhythm).run()
    rhythm = measured_rhythm(evidence, lanes, rhythm, usual_rest)
    return _with_stalls(LaneSearch(evidence, rhythm).run(), kept), rhythm


def next_lanes(evidence: Evidence, rhythm: Rhythm, last_direction: int) -> list[Lane]:
    """Go on finding lanes in a film whose rhythm is known.

    `evidence` begins with the pair in which the last lane found, of direction `last_direction`,
    ended; frame numbers count from there.
    """
    evidence, kept = _without_stalls(evidence)
    return _with_stalls(LaneSearch(evidence, rhythm, last_direction=last_direction).run(), kept)


def _without_stalls(evidence: Evidence) -> tuple[Evidence, NDArray[np.int64]]:
    """Leave out the pairs in which the stage stuck within a lane; gives those kept by number.

    It stands all the while, and moves the same way before and after, where it would turn between
    two lanes. Where nothing is seen for longer, a lane over glass may lie between two rests.
    """
    sign = np.sign(evidence.forward - evidence.backward)
    moving = np.flatnonzero(sign)
    is_kept = np.ones(len(sign), np.bool_)
    for before, after in pairwise(moving.tolist()):
        stood = np.flatnonzero(evidence.still[before:after]) + before
        if sign[before] == sign[after] and len(stood) >= _LEAST_STALL:
            apart = np.diff([before, *stood.tolist(), after])
            is_kept[before + 1 : after] = apart.max() > _STOPS_WITHIN
    kept = np.flatnonzero(is_kept)
    return evidence.only(kept), kept


def _with_stalls(lanes: Sequence[Lane], kept: NDArray[np.int64]) -> list[Lane]:
    """Lanes found in the pairs that were kept, by the frames of the whole film."""
    return [
        replace(lane, first=int(kept[lane.first]), last=int(kept[lane.last - 1]) + 1)
        for lane in lanes
    ]


def _explained(lanes: Sequence[Lane], evidence: Evidence) -> float:
    """Share of all that was seen to move."""
    total = float(evidence.forward.sum() + evidence.backward.sum())
    return sum(lane.evidence for lane in lanes) / total
