"""Find the switches: Z up and away from the slide first, then X and Y."""

from controller.integers import divide_rounded
from controller.refusal import HARD_LIMIT, SWITCH_NOT_FOUND, SWITCH_STAYS_CLOSED, HomingFailed

TYPE_CHECKING = False  # MicroPython has no typing module
if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.motion import Motion

ORDER = (2, 0, 1)
SEEK_TRAVELS = 3, 2
"""An axis that does not meet its switch within 1.5 times its travel never will."""


def home(motion: "Motion") -> "Iterator[None]":
    """Home all axes, yielding while pulses are under way. Raises HomingFailed.

    A switch of an axis that stands does not change by itself: that is the emergency stop, a wire,
    or a hand.
    """
    known_mask = motion.closed_mask
    for axis in ORDER:
        for _ in _home_axis(motion, axis):
            if (motion.closed_mask ^ known_mask) & ~(1 << axis):
                raise HomingFailed(HARD_LIMIT)
            yield
        known_mask &= ~(1 << axis)
        motion.call_zero(axis)


def _home_axis(motion: "Motion", axis: int) -> "Iterator[None]":
    value = motion.settings.value
    towards = -1 if motion.settings.homes_low(axis) else 1
    seek, touch = value[25] * 1000, value[24] * 1000
    pull_off_nm = value[27] * 1000
    reach_nm = divide_rounded(value[130 + axis] * 1000 * SEEK_TRAVELS[0], SEEK_TRAVELS[1])
    if motion.is_closed(axis):
        yield from _pull_off(motion, axis, -towards * pull_off_nm, seek)
    yield from _approach(motion, axis, towards * reach_nm, seek)
    yield from _pull_off(motion, axis, -towards * pull_off_nm, seek)
    yield from _approach(motion, axis, 2 * towards * pull_off_nm, touch)
    yield from _pull_off(motion, axis, -towards * pull_off_nm, seek)


def _approach(motion: "Motion", axis: int, distance_nm: int, feed: int) -> "Iterator[None]":
    motion.shift(axis, distance_nm, feed)
    while motion.is_moving:
        if motion.is_closed(axis):
            motion.halt()
            return
        yield
    raise HomingFailed(SWITCH_NOT_FOUND)


def _pull_off(motion: "Motion", axis: int, distance_nm: int, feed: int) -> "Iterator[None]":
    motion.shift(axis, distance_nm, feed)
    while motion.is_moving:
        yield
    while not motion.is_settled:
        yield
    if motion.is_closed(axis):
        raise HomingFailed(SWITCH_STAYS_CLOSED)
