"""One straight move, handed out in slices of about 5 ms that all axes share.

A slice ends on a step of the lead axis (the one with most steps), so that its steps are evenly
spaced; the other axes make, in every slice, the steps that Bresenham's line gives them. Sums of
steps are exact whatever happens: a hold ends on a step, and what is left of the line is a new move.
"""

from controller.integers import divide_rounded, integer_root
from controller.ramp import TICKS_PER_S, Braking, Ramp
from controller.settings import Settings

AXIS_COUNT = 3
SLICE_TICKS = TICKS_PER_S // 200
STEP_OVERHEAD = 18
"""Ticks of a step beyond its wait, in the pulse program (`pico.py`)."""
PAUSE_OVERHEAD = 6
"""Ticks of a slice without steps beyond its wait."""
MOST_STEPS = 255
SLOWEST_RATE = 500
"""Thousandths of a step a second; slower waits would not fit into a word."""
FASTEST_RATE = 40_000_000


class Slice:
    """A part of a move: its length, each axis' signed steps and word for the pulse generator."""

    def __init__(self, ticks: int, steps: list[int], words: list[int]) -> None:
        self.ticks = ticks
        self.steps = steps
        self.words = words


class Move:
    """From one place to another, in steps of each axis, from rest to rest."""

    is_jog = False
    feed: int | None = None
    """What was asked for: millionths of mm/min, or None for as fast as the axes may."""

    def __init__(self, start: list[int], target: list[int], ramp: Ramp, path_nm: int) -> None:
        self.target = target
        self.path_nm = path_nm
        self._steps = [target[axis] - start[axis] for axis in range(AXIS_COUNT)]
        self._lead = max(abs(steps) for steps in self._steps)
        self._ramp: Ramp | Braking = ramp
        self._acceleration = ramp.acceleration
        self._base = 0
        self._done = 0
        self._ticks = 0
        self._carry = [0] * AXIS_COUNT

    @property
    def is_handed_out(self) -> bool:
        """Whether no slice is left: the target, or after `brake` the place of rest, is reached."""
        return self._done - self._base >= self._ramp.steps

    @property
    def backward_mask(self) -> int:
        """Axes that step towards lower positions."""
        return sum(1 << axis for axis in range(AXIS_COUNT) if self._steps[axis] < 0)

    def next_slice(self) -> Slice:
        """Hand out the next slice; only while `is_handed_out` is false."""
        made = self._done - self._base
        step = self._ramp.step_at(self._ticks + SLICE_TICKS)
        step = min(max(step, made + 1), made + MOST_STEPS, self._ramp.steps)
        due = self._ramp.ticks_at(step)
        ticks = due - self._ticks
        done = self._base + step
        steps = [
            self._place(axis, done) - self._place(axis, self._done) for axis in range(AXIS_COUNT)
        ]
        words = [self._word(axis, abs(steps[axis]), ticks) for axis in range(AXIS_COUNT)]
        self._ticks = due
        self._done = done
        return Slice(ticks, steps, words)

    def brake(self) -> None:
        """Come to rest as soon as the ramp allows, on the same line."""
        steps = self._ramp.brake_steps(self._done - self._base)
        self._ramp = Braking(steps, self._acceleration)
        self._base = self._done
        self._ticks = 0

    def feed_of(self, piece: Slice) -> int:
        """Speed along the line in a slice, mm/min."""
        lead = max(abs(steps) for steps in piece.steps)
        return divide_rounded(
            self.path_nm * lead * TICKS_PER_S * 60, self._lead * piece.ticks * 1_000_000
        )

    def _place(self, axis: int, lead_step: int) -> int:
        """Steps of an axis, counted from the start, when the lead axis has made `lead_step`."""
        return divide_rounded(self._steps[axis] * lead_step, self._lead)

    def _word(self, axis: int, count: int, ticks: int) -> int:
        """Count and wait for the pulse generator; ticks that are left over go to the next slice."""
        ticks += self._carry[axis]
        if count == 0:
            self._carry[axis] = 0
            return (ticks - PAUSE_OVERHEAD) << 8
        period = ticks // count
        self._carry[axis] = ticks - period * count
        return count | (period - STEP_OVERHEAD) << 8


def plan_move(
    start: list[int], target: list[int], feed: int | None, settings: Settings
) -> Move | None:
    """Plan a straight line at `feed`: millionths of mm/min, None: as fast as the axes may.

    None when there is no step to make.
    """
    steps = [abs(target[axis] - start[axis]) for axis in range(AXIS_COUNT)]
    lead = max(steps)
    if lead == 0:
        return None
    path_nm = path_length_nm(steps, settings)
    rate = FASTEST_RATE if feed is None else feed * lead * 1000 // (60 * path_nm)
    rate = min(rate, FASTEST_RATE)
    acceleration = None
    for axis in range(AXIS_COUNT):
        if steps[axis]:
            per_mm = settings.value[100 + axis]
            axis_rate = settings.value[110 + axis] * per_mm // 60_000
            axis_acceleration = settings.value[120 + axis] * per_mm // 1000
            rate = min(rate, axis_rate * lead // steps[axis])
            scaled = axis_acceleration * lead // steps[axis]
            acceleration = scaled if acceleration is None else min(acceleration, scaled)
    ramp = Ramp(lead, max(rate, SLOWEST_RATE), acceleration or 1)
    move = Move(start, list(target), ramp, path_nm)
    move.feed = feed
    return move


def path_length_nm(steps: list[int], settings: Settings) -> int:
    """Length of a line in nm, at least 1."""
    squares = 0
    for axis in range(AXIS_COUNT):
        length_nm = steps[axis] * 1_000_000_000 // settings.value[100 + axis]
        squares += length_nm * length_nm
    return max(integer_root(squares), 1)


def steps_of(position_nm: int, axis: int, settings: Settings) -> int:
    """The step nearest to a position."""
    return divide_rounded(position_nm * settings.value[100 + axis], 1_000_000_000)


def nm_of(steps: int, axis: int, settings: Settings) -> int:
    """The position of a step."""
    return divide_rounded(steps * 1_000_000_000, settings.value[100 + axis])
