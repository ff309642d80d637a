"""How long lanes and rests usually last: told by the film, folded onto itself, and by its lanes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.evidence import Evidence
from blurryscope.stitch.lanes import Lane

LONGEST_REST = 1.8
"""Times the usual rest; a longer one is a pause."""
_LENGTH_PREFERENCE = 0.1
"""Evidence that the usual rest is worth, per frame of difference; a tie-break."""
_LEAST_RUN = 4
"""Pairs that move the same way, one after the other, and tell where the middle of a lane is."""
_PAUSED = 1.3
"""Times as long as usual: two lanes that last so much longer were paused between."""
_MOST_BINS = 600
"""Of a folded film; finer ones would only cost time and memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Usual durations, in frames."""

    moving: float
    resting: float


def folded_rhythm(evidence: Evidence, usual_rest: float) -> Rhythm:
    """Guess period and duty: fold the film so that lanes of one direction fall on each other."""
    pairs = len(evidence.forward)
    signed = evidence.forward - evidence.backward
    position = np.arange(pairs)
    best_score, best = -np.inf, Rhythm(moving=pairs / 4, resting=pairs / 8)
    for frequency in np.arange(1.0 / pairs, 1 / 12, 0.5 / pairs):
        period = 1 / frequency
        bins = int(np.clip(round(2 * period), 4, _MOST_BINS))
        phase = (position / (2 * period) % 1.0 * bins).astype(int)
        turned = np.roll(np.bincount(phase, signed, bins), -(bins // 2))
        gain = np.asarray(np.bincount(phase, signed, bins) - turned, np.float64)
        still = np.bincount(phase, evidence.still, bins)
        gain = gain - still - np.roll(still, -(bins // 2))
        wanted = (period - usual_rest) * bins / (2 * period)
        score, length = _best_window(gain, longest=int(0.95 * bins / 2), wanted=wanted)
        # A longer period wins near-ties: a third of the true one explains nearly as much.
        if score > best_score * 1.02 + 1e-9:
            best_score = score
            moving = length * 2 * period / bins
            best = Rhythm(moving=moving, resting=max(period - moving, 1.0))
    return best


def rhythm_of_turns(evidence: Evidence, usual_rest: float, folded: Rhythm) -> Rhythm:
    """Guess the period from how far the middles of what moves either way lie apart."""
    pairs = np.flatnonzero(evidence.forward + evidence.backward)
    is_forward = evidence.forward[pairs] > evidence.backward[pairs]
    runs = np.split(pairs, np.flatnonzero(np.diff(is_forward)) + 1)
    runs = [run for run in runs if len(run) >= _LEAST_RUN]
    if len(runs) < 2:
        return folded
    middles = [float(run[0] + run[-1]) / 2 for run in runs]
    period = float(np.median(np.diff(middles)))
    return _rhythm_of(period, usual_rest, [float(run[-1] - run[0] + 1) for run in runs])


def measured_rhythm(
    evidence: Evidence, lanes: Sequence[Lane], folded: Rhythm, usual_rest: float
) -> Rhythm:
    """Period from the lanes found; moving at least as long as any usual lane was seen to move."""
    spans: list[float] = []
    middles: dict[int, float] = {}
    for number, lane in enumerate(lanes):
        seen = evidence.forward if lane.direction > 0 else evidence.backward
        pairs = np.flatnonzero(seen[lane.first : lane.last]) + lane.first
        if len(pairs) > 2:
            spans.append(float(pairs[-1] - pairs[0] + 1))
            middles[number] = float(pairs[0] + pairs[-1]) / 2
    # Lanes of one direction see the same tissue at the same place, so two lanes on is two periods.
    periods = [
        (middles[later] - middles[earlier]) / (later - earlier)
        for way in (0, 1)
        for earlier, later in pairwise(number for number in middles if number % 2 == way)
    ]
    period = folded.moving + folded.resting
    if periods:
        longest = _PAUSED * float(np.percentile(periods, 25))
        period = float(np.median([lasted for lasted in periods if lasted <= longest]))
    return _rhythm_of(period, usual_rest, spans or [folded.moving])


def _rhythm_of(period: float, usual_rest: float, spans: Sequence[float]) -> Rhythm:
    """Usual rests, unless lanes were seen to move for longer: `spans`, of each that was seen."""
    longest_usual = float(np.percentile(spans, 75))
    moving = min(max(period - usual_rest, longest_usual), 0.97 * period)
    return Rhythm(moving=moving, resting=period - moving)


def _best_window(gain: NDArray[np.float64], longest: int, wanted: float) -> tuple[float, int]:
    """Largest sum over a circular window, and its length: of equal ones that nearest `wanted`."""
    summed = np.concatenate([[0.0], np.cumsum(np.concatenate([gain, gain]))])
    starts = np.arange(len(gain))[:, None]
    lengths = np.arange(1, max(longest, 1) + 1)[None, :]
    sums = summed[starts + lengths] - summed[starts]
    best = int(np.argmax(sums - _LENGTH_PREFERENCE * np.abs(lengths - wanted)))
    return float(sums.flat[best]), best % sums.shape[1] + 1
