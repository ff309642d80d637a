"""The likeliest lanes of a film whose rhythm is known, by dynamic programming over whole lanes.

Over blank glass nothing moves in the picture, so single frames cannot tell. But lanes alternate in
direction, last about equally long, and are parted by rests that last about equally long: a hidden
semi-Markov model.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.evidence import Evidence
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.rhythm import LONGEST_REST, Rhythm

_CONTRADICTION = 2.0
"""A pair that moves where the model rests, or the wrong way, costs as much as two right ones."""
_DURATION_COST = 0.01
"""Per squared frame of deviation from the usual, so that jitter is shared among neighbours."""
_PAUSE_COST = 6.0
"""Of a rest of any length: somebody paused the stage. What a rest a second too long costs."""
_LANE_BONUS = 0.05
"""What a lane is worth without any evidence: enough to go on with the rhythm over blank glass."""
_RUNNING_EVIDENCE = 2.0
"""What must have been seen of a lane in the midst of which the film ends."""
_LEAST_REST_FRACTION = 0.4
"""A first lane that nothing proves must leave this part of a usual rest before it: filming starts
before the stage does."""


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
