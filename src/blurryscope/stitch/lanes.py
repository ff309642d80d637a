"""Which frames belong to which lane: the zigzag's square wave, fitted to what the frames show.

Over blank glass nothing moves in the picture, so single frames cannot tell. But lanes alternate in
direction, last about equally long, and are parted by rests that last about equally long. The most
likely sequence under that model is found by dynamic programming over whole lanes (a hidden
semi-Markov model), after a first guess of the period by folding the film onto itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.motion import PairShift

_CONTRADICTION = 2.0
"""A pair that moves where the model rests, or the wrong way, costs as much as two right ones."""
_DURATION_COST = 0.01
"""Per squared frame of deviation from the usual, so that jitter is shared among neighbours."""
LONGEST_REST = 1.8
"""Times the usual rest; a longer one is a pause."""
_PAUSE_COST = 6.0
"""Of a rest of any length: somebody paused the stage. What a rest a second too long costs."""
_LENGTH_PREFERENCE = 0.1
"""Evidence that the usual rest is worth, per frame of difference; a tie-break."""
_STRAIGHT, _STRAIGHT_STEPS = 0.03, 0.2
"""Part of its way, and of the least step, by which a pair on a lane may move across it: stages keep
to their axis to a hundredth, hands do not."""
_WEAK, _AROUND = 0.6, 3
"""Correlation up to which noise over glass comes, and pairs on either side of which another tells
the same where tissue is seen: it takes several to cross the field."""
_LANE_BONUS = 0.05
"""What a lane is worth without any evidence: enough to go on with the rhythm over blank glass."""
_RUNNING_EVIDENCE = 2.0
"""What must have been seen of a lane in the midst of which the film ends."""
_LEAST_EVIDENCE = 4.0
"""Pairs seen moving that make a lane one that was seen."""
_LEAST_EXPLAINED = 0.8
"""Of all that was seen to move: lanes that explain less have the wrong rhythm."""
_PAUSED = 1.3
"""Times as long as usual: two lanes that last so much longer were paused between."""
_LEAST_STALL, _STOPS_WITHIN = 5, 3
"""Pairs that show the stage standing, and pairs between those and its motion."""
_MOST_BINS = 600
"""Of a folded film; finer ones would only cost time and memory."""
_LEAST_REST_FRACTION = 0.4
"""A first lane that nothing proves must leave this part of a usual rest before it: filming starts
before the stage does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What each pair of consecutive frames says of the stage; weights 0 to 1, each (pairs,)."""

    forward: NDArray[np.float64]
    backward: NDArray[np.float64]
    still: NDArray[np.float64]
    """Still, or moving across the lanes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Frames `first` to `last`, both included; `direction` is +1 or -1 along the scan axis."""

    first: int
    last: int
    direction: int
    evidence: float
    """Weight of the pairs that were seen moving in this direction."""

    @property
    def is_seen(self) -> bool:
        """Whether it was seen to move, rather than follows from the rhythm over glass."""
        return self.evidence >= _LEAST_EVIDENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Usual durations, in frames."""

    moving: float
    resting: float


def scan_axis(shifts: Sequence[PairShift], least_step_px: float) -> NDArray[np.float64] | None:
    """Find the line along which most pairs move: unit vector (row, col), sign arbitrary.

    None when fewer than three pairs move at all.
    """
    moves = np.array(
        [
            (s.row_px, s.col_px)
            for s in shifts
            if s.correlation > 0.5 and np.hypot(s.row_px, s.col_px) >= least_step_px
        ]
    ).reshape(-1, 2)
    if len(moves) < 3:
        return None
    # Doubling the angle makes opposite directions agree; the median ignores steps across.
    doubled = (moves[:, 1] + 1j * moves[:, 0]) ** 2
    doubled /= np.abs(doubled)
    spread = [np.abs(np.angle(doubled / candidate)).mean() for candidate in doubled]
    first = doubled[int(np.argmin(spread))]
    off = np.angle(doubled / first)
    # The median again: a stage that was moved by hand before may have gone about that way too.
    angle = (np.angle(first) + np.median(off[np.abs(off) < np.deg2rad(20)])) / 2
    return np.array([np.sin(angle), np.cos(angle)])


def evidence_of(
    shifts: Sequence[PairShift], axis: NDArray[np.float64], least_step_px: float
) -> Evidence:
    """Sort the shifts of all pairs into forward, backward and still; the rest says nothing."""
    moved = np.array([(s.row_px, s.col_px) for s in shifts]).reshape(-1, 2)
    trust = np.array([s.correlation for s in shifts])
    stillness = np.array([s.stillness for s in shifts])
    along = moved @ axis
    across = moved @ np.array([-axis[1], axis[0]])
    is_sure = trust > 0.45
    straight_px = np.maximum(_STRAIGHT * np.abs(along), _STRAIGHT_STEPS * least_step_px)
    is_along = is_sure & (np.abs(along) > least_step_px) & (np.abs(across) < straight_px)
    is_across = is_sure & (np.abs(across) > least_step_px) & (np.abs(along) < 0.4 * np.abs(across))
    is_still = (stillness > 0.8) & (np.hypot(along, across) < 0.5 * least_step_px)
    # The stage moves against the content.
    return Evidence(
        forward=_without_chance(np.where(is_along & (along < 0), trust, 0.0)),
        backward=_without_chance(np.where(is_along & (along > 0), trust, 0.0)),
        still=_without_chance(np.where(is_still, stillness, np.where(is_across, trust, 0.0))),
    )


def _without_chance(votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out weak votes, (pairs,), that none of the pairs around shares."""
    is_vote = votes > 0
    around = np.convolve(is_vote, np.ones(2 * _AROUND + 1), "same")
    return np.where(is_vote & (around < 2) & (votes < _WEAK), 0.0, votes)


def find_lanes(evidence: Evidence, usual_rest: float) -> tuple[list[Lane], Rhythm]:
    """Find the lanes of a film, in order, and their rhythm; no lanes if nothing moves both ways.

    `usual_rest`, in frames, is how long the stage is expected not to move along a lane between two
    lanes. It decides only where the film does not: rests over blank glass look like motion there.
    """
    if not (evidence.forward.any() and evidence.backward.any()):
        return [], Rhythm(moving=1.0, resting=1.0)
    evidence, kept = _without_stalls(evidence)
    rhythm = _folded_rhythm(evidence, usual_rest)
    lanes = LaneSearch(evidence, rhythm).run()
    if _explained(lanes, evidence) < _LEAST_EXPLAINED:
        # A long pause in a short film: its two parts do not fold onto each other.
        rhythm = _rhythm_of_turns(evidence, usual_rest, rhythm)
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

    It stands, and moves the same way before and after, where it would turn between two lanes.
    """
    sign = np.sign(evidence.forward - evidence.backward)
    moving = np.flatnonzero(sign)
    is_kept = np.ones(len(sign), np.bool_)
    for before, after in pairwise(moving.tolist()):
        stood = np.flatnonzero(evidence.still[before:after]) + before
        if sign[before] == sign[after] and len(stood) >= _LEAST_STALL:
            is_sure = stood[0] - before <= _STOPS_WITHIN and after - stood[-1] <= _STOPS_WITHIN
            is_kept[before + 1 : after] = not is_sure
    kept = np.flatnonzero(is_kept)
    left = {name: getattr(evidence, name)[kept] for name in ("forward", "backward", "still")}
    return Evidence(**left), kept


def _with_stalls(lanes: Sequence[Lane], kept: NDArray[np.int64]) -> list[Lane]:
    """Lanes found in the pairs that were kept, by the frames of the whole film."""
    return [
        replace(lane, first=int(kept[lane.first]), last=int(kept[lane.last - 1]) + 1)
        for lane in lanes
    ]


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


def _folded_rhythm(evidence: Evidence, usual_rest: float) -> Rhythm:
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


def _explained(lanes: Sequence[Lane], evidence: Evidence) -> float:
    """Share of all that was seen to move."""
    total = float(evidence.forward.sum() + evidence.backward.sum())
    return sum(lane.evidence for lane in lanes) / total


def _rhythm_of_turns(evidence: Evidence, usual_rest: float, folded: Rhythm) -> Rhythm:
    """Guess the period from how far the middles of what moves either way lie apart."""
    pairs = np.flatnonzero(evidence.forward + evidence.backward)
    is_forward = evidence.forward[pairs] > evidence.backward[pairs]
    runs = np.split(pairs, np.flatnonzero(np.diff(is_forward)) + 1)
    runs = [run for run in runs if len(run) >= _LEAST_EVIDENCE]
    if len(runs) < 2:
        return folded
    middles = [float(run[0] + run[-1]) / 2 for run in runs]
    period = float(np.median(np.diff(middles)))
    return _rhythm_of(period, usual_rest, [float(run[-1] - run[0] + 1) for run in runs])


def _best_window(gain: NDArray[np.float64], longest: int, wanted: float) -> tuple[float, int]:
    """Largest sum over a circular window, and its length: of equal ones that nearest `wanted`."""
    summed = np.concatenate([[0.0], np.cumsum(np.concatenate([gain, gain]))])
    starts = np.arange(len(gain))[:, None]
    lengths = np.arange(1, max(longest, 1) + 1)[None, :]
    sums = summed[starts + lengths] - summed[starts]
    best = int(np.argmax(sums - _LENGTH_PREFERENCE * np.abs(lengths - wanted)))
    return float(sums.flat[best]), best % sums.shape[1] + 1


class LaneSearch:
    """Best score of a film that has just ended a lane (`ended`) or a rest (`begun`) at frame t.

    `last_direction` is that of the lane which ended where the evidence begins, if one did.
    """

    def __init__(
        self, evidence: Evidence, rhythm: Rhythm, *, last_direction: int | None = None
    ) -> None:
        self._last_direction = last_direction
        self._count = len(evidence.forward) + 1
        self._rhythm = rhythm
        against = _CONTRADICTION
        gains = {
            1: evidence.forward - against * (evidence.backward + evidence.still),
            -1: evidence.backward - against * (evidence.forward + evidence.still),
        }
        rest = evidence.still - against * (evidence.forward + evidence.backward)
        self._moved = {s: np.concatenate([[0.0], np.cumsum(g)]) for s, g in gains.items()}
        self._seen = {
            1: np.concatenate([[0.0], np.cumsum(evidence.forward)]),
            -1: np.concatenate([[0.0], np.cumsum(evidence.backward)]),
        }
        self._rested = np.concatenate([[0.0], np.cumsum(rest)])
        self._lane_lengths = _durations(rhythm.moving, 0.5, 1.7)
        self._cut_off_lengths = np.arange(1, int(self._lane_lengths[-1]) + 1)
        self._rest_lengths = _durations(rhythm.resting, 0.4, LONGEST_REST)

    def run(self, at_once: int | None = None) -> list[Lane]:
        """The most likely lanes; at most so many frames at once, which changes only the time."""
        begun = {s: np.full(self._count, -np.inf) for s in (1, -1)}
        ended = {s: np.full(self._count, -np.inf) for s in (1, -1)}
        came_begun: dict[int, NDArray[np.int64]] = {
            s: np.full(self._count, -1, np.int64) for s in (1, -1)
        }
        came_ended: dict[int, NDArray[np.int64]] = {
            s: np.full(self._count, -1, np.int64) for s in (1, -1)
        }
        if self._last_direction is not None:
            ended[self._last_direction][0] = 0.0
        pauses = {s: _Pauses(ended[s], self._rested) for s in (1, -1)}
        for t in self._steps(at_once):
            for sign in (1, -1):
                begun[sign][t], came_begun[sign][t] = self._best_begins(
                    ended[-sign], t, pauses[-sign]
                )
                ended[sign][t], came_ended[sign][t] = self._best_ends(begun[sign], t, sign)
        return self._traced(ended, came_begun, came_ended)

    def _steps(self, at_once: int | None) -> Iterator[NDArray[np.int64]]:
        """The film in runs of frames none of which depends on another of its run.

        Lanes of any length may lead to the last frame, which stands by itself.
        """
        free = int(min(self._lane_lengths[0], self._rest_lengths[0]))
        run = free if at_once is None else min(at_once, free)
        begin, last = 0 if self._last_direction is None else 1, self._count - 1
        for first in range(begin, last, run):
            yield np.arange(first, min(first + run, last))
        if last >= begin:
            yield np.array([last])

    def _best_begins(
        self, ended_before: NDArray[np.float64], t: NDArray[np.int64], pauses: "_Pauses"
    ) -> "_Best":
        """Lanes begin at t: after a rest since another lane, or after the start of the film."""
        earlier, is_inside = _back(t, self._rest_lengths)
        scores = (
            ended_before[earlier]
            + self._rested[t, None]
            - self._rested[earlier]
            - _DURATION_COST * (self._rest_lengths - self._rhythm.resting) ** 2
        )
        since_start = np.full(len(t), -np.inf)
        if self._last_direction is None:
            since_start = self._rested[t] + self._unproven_cost(t)
        paused, paused_since = pauses.until(t - int(self._rest_lengths[0]))
        paused = paused + self._rested[t] - _PAUSE_COST
        is_pause = paused > since_start
        return _best_of(
            scores,
            earlier,
            is_inside,
            np.where(is_pause, paused, since_start),
            np.where(is_pause, paused_since, -1),
        )

    def _best_ends(self, begun: NDArray[np.float64], t: NDArray[np.int64], sign: int) -> "_Best":
        """Lanes end at t: they began a usual duration earlier, or before the film did."""
        moved, is_last = self._moved[sign], int(t[-1]) == self._count - 1
        lengths = self._cut_off_lengths if is_last else self._lane_lengths
        earlier, is_inside = _back(t, lengths)
        gained = moved[t, None] - moved[earlier]
        unusual = np.broadcast_to(lengths - self._rhythm.moving, gained.shape)
        if is_last:
            # A lane that the film cuts off may be short, if it shows anything of it.
            unusual = np.where(gained > _RUNNING_EVIDENCE, np.maximum(unusual, 0), unusual)
        scores = begun[earlier] + gained + _LANE_BONUS - _DURATION_COST * unusual**2
        # The film may start in mid-lane, if it shows it.
        is_start = (t > 0) & (t < self._rhythm.moving) & (self._seen[sign][t] > 0)
        is_start &= self._last_direction is None
        before_film = np.where(is_start, moved[t], -np.inf)
        return _best_of(scores, earlier, is_inside, before_film, np.where(is_start, -1, -2))

    def _unproven_cost(self, rest: NDArray[np.int64]) -> NDArray[np.float64]:
        short = np.maximum(_LEAST_REST_FRACTION * self._rhythm.resting - rest, 0.0)
        return np.asarray(-_DURATION_COST * short**2)

    def _traced(
        self,
        ended: dict[int, NDArray[np.float64]],
        came_begun: dict[int, NDArray[np.int64]],
        came_ended: dict[int, NDArray[np.int64]],
    ) -> list[Lane]:
        last = self._count - 1
        tail = self._rested[last] - self._rested
        finals = {s: ended[s] + tail for s in (1, -1)}
        sign = max((1, -1), key=lambda s: finals[s].max())
        end = int(np.argmax(finals[sign]))
        if not np.isfinite(finals[sign][end]):
            return []
        lanes: list[Lane] = []
        while end > 0:
            begin = int(came_ended[sign][end])
            lanes.append(self._lane(max(begin, 0), end, sign))
            if begin < 0:
                break
            end = int(came_begun[sign][begin])
            sign = -sign
        lanes.reverse()
        return lanes

    def _lane(self, begin: int, end: int, sign: int) -> Lane:
        evidence = float(self._seen[sign][end] - self._seen[sign][begin])
        return Lane(first=begin, last=end, direction=sign, evidence=evidence)


_Best = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Of each of several frames: the best score, and where it came from."""


class _Pauses:
    """Of all lanes that ended up to some frame, the best to rest since, however long.

    Parameters
    ----------
    ended
        Best score of each frame at which a lane ends; filled in as the search goes on.
    rested
        What resting up to each frame is worth.
    """

    def __init__(self, ended: NDArray[np.float64], rested: NDArray[np.float64]) -> None:
        self._ended, self._rested = ended, rested
        self._best = np.full(len(ended), -np.inf)
        self._since = np.zeros(len(ended), np.int64)
        self._known = 0

    def until(self, t: NDArray[np.int64]) -> "_Best":
        """The best score less what resting was worth by then, and the frame, up to each of `t`.

        All frames up to there must have their score.
        """
        self._go_on(int(t[-1]) + 1)
        at = np.maximum(t, 0)
        return np.where(t >= 0, self._best[at], -np.inf), self._since[at]

    def _go_on(self, count: int) -> None:
        if count <= self._known:
            return
        new = np.arange(self._known, count)
        scores = self._ended[new] - self._rested[new]
        if self._known:
            scores = np.concatenate([self._best[self._known - 1 : self._known], scores])
            new = np.concatenate([self._since[self._known - 1 : self._known], new])
        best = np.maximum.accumulate(scores)
        # Each place goes back to the last one that was better than all before it.
        is_better = np.concatenate([[True], scores[1:] > best[:-1]])
        since = new[np.maximum.accumulate(np.where(is_better, np.arange(len(new)), 0))]
        added = count - self._known
        self._best[self._known : count] = best[-added:]
        self._since[self._known : count] = since[-added:]
        self._known = count


def _back(
    t: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(t, length): so many frames earlier, and whether that lies inside the film."""
    earlier = t[:, None] - lengths
    return np.maximum(earlier, 0), earlier >= 0


def _best_of(
    scores: NDArray[np.float64],
    earlier: NDArray[np.int64],
    is_inside: NDArray[np.bool_],
    other: NDArray[np.float64],
    other_came: NDArray[np.int64],
) -> _Best:
    """The best of each row, unless another way there is as good."""
    scores = np.where(is_inside, scores, -np.inf)
    rows, index = np.arange(len(scores)), np.argmax(scores, axis=1)
    is_better = scores[rows, index] > other
    return (
        np.where(is_better, scores[rows, index], other),
        np.where(is_better, earlier[rows, index], other_came),
    )


def _durations(usual: float, shortest: float, longest: float) -> NDArray[np.int64]:
    return np.arange(max(int(usual * shortest), 1), int(usual * longest) + 2)
