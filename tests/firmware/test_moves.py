"""Moves are exact to the step, on time to a tick, and never faster than they may be."""

import random
from itertools import pairwise
from math import hypot, sqrt

from hypothesis import assume, given
from hypothesis import strategies as st

from controller.integers import divide_rounded, integer_root, parse_decimal, show_decimal
from controller.move import PAUSE_OVERHEAD, STEP_OVERHEAD, Move, Slice, plan_move
from controller.ramp import TICKS_PER_S, Ramp
from controller.settings import Settings

PER_MM = 1600
FEED = 300_000_000
"""5 mm/s in millionths of mm/min."""


def slices_of(move: Move, brake_after: int | None = None) -> list[Slice]:
    slices: list[Slice] = []
    while not move.is_handed_out:
        if brake_after == len(slices):
            move.brake()
            brake_after = None
            continue
        slices.append(move.next_slice())
    return slices


def sum_of(slices: list[Slice]) -> list[int]:
    return [sum(piece.steps[axis] for piece in slices) for axis in range(3)]


def planned(start: list[int], target: list[int], feed: int | None = FEED) -> Move:
    move = plan_move(start, target, feed, Settings())
    assert move is not None
    return move


places = st.tuples(
    st.integers(0, 5 * PER_MM), st.integers(0, 2 * PER_MM), st.integers(-PER_MM // 2, 0)
).map(list)


def test_ten_thousand_random_moves_do_not_drift() -> None:
    source = random.Random(3)
    settings = Settings()
    place = [0, 0, 0]
    for _ in range(10_000):
        reach = source.choice((3, 40, 600))
        target = [place[axis] + source.randint(-reach, reach) for axis in range(3)]
        move = plan_move(place, target, source.choice((None, FEED, 90_000_000)), settings)
        if move is not None:
            made = sum_of(slices_of(move))
            place = [place[axis] + made[axis] for axis in range(3)]
        assert place == target


@given(places, places, st.integers(0, 400))
def test_a_held_move_and_the_rest_of_it_end_where_the_whole_move_ends(
    start: list[int], target: list[int], brake_after: int
) -> None:
    assume(start != target)
    made = sum_of(slices_of(planned(start, target), brake_after))
    halfway = [start[axis] + made[axis] for axis in range(3)]
    rest = plan_move(halfway, target, FEED, Settings())
    added = sum_of(slices_of(rest)) if rest is not None else [0, 0, 0]
    assert [halfway[axis] + added[axis] for axis in range(3)] == target


@given(places, places, st.sampled_from((None, FEED, 60_000_000, 599_000_000)))
def test_no_axis_exceeds_its_rate_or_the_line_its_feed(
    start: list[int], target: list[int], feed: int | None
) -> None:
    assume(start != target)
    move = planned(start, target, feed)
    for piece in slices_of(move):
        seconds = piece.ticks / TICKS_PER_S
        speeds = [abs(steps) / PER_MM / seconds for steps in piece.steps]
        lead = max(abs(steps) for steps in piece.steps)
        one_step = 1 / max(lead, 1)  # the other axes step up to one early or late
        for speed, highest in zip(speeds, (10, 10, 2), strict=True):
            assert speed <= highest * (1 + one_step) + 1 / PER_MM / seconds
        if feed is not None:
            assert move.feed_of(piece) <= feed / 1e6 * (1 + 1e-3) + 0.5


def test_a_lane_at_five_mm_per_s_cruises_at_exactly_625_ticks_a_step() -> None:
    slices = slices_of(planned([0, 0, 0], [20 * PER_MM, 0, 0]))
    cruise = [piece for piece in slices if piece.ticks == 625 * piece.steps[0]]
    assert sum(piece.steps[0] for piece in cruise) >= 20 * PER_MM - 2 * 210
    assert abs(sum(piece.ticks for piece in slices) - 4.05 * TICKS_PER_S) <= 1


@given(st.integers(1, 200_000), st.integers(500, 40_000_000), st.integers(10_000, 25_600_000_000))
def test_steps_fall_when_physics_says(steps: int, rate: int, acceleration: int) -> None:
    ramp = Ramp(steps, rate, acceleration)
    speed, slope = rate / 1000, acceleration / 1000
    reached = min(speed, sqrt(slope * steps))
    total_s = steps / reached + reached / slope
    for step in sorted({0, 1, steps // 3, steps // 2, steps - 1, steps}):
        nearest = min(step, steps - step)
        climb = reached * reached / 2 / slope
        due_s = (
            sqrt(2 * nearest / slope)
            if nearest <= climb
            else reached / slope / 2 + nearest / reached
        )
        if step > steps / 2:
            due_s = total_s - due_s
        assert abs(ramp.ticks_at(step) / TICKS_PER_S - due_s) < 2e-6 + 1e-9 * total_s + 1 / reached


@given(st.integers(1, 30_000), st.integers(500, 40_000_000), st.integers(10_000, 25_600_000_000))
def test_time_never_runs_backwards(steps: int, rate: int, acceleration: int) -> None:
    ramp = Ramp(steps, rate, acceleration)
    times = [ramp.ticks_at(step) for step in range(0, steps + 1, max(steps // 500, 1))]
    assert all(later >= earlier for earlier, later in pairwise(times))


@given(places, places)
def test_words_say_the_steps_and_the_time_of_their_slice(
    start: list[int], target: list[int]
) -> None:
    assume(start != target)
    late = [0, 0, 0]
    for piece in slices_of(planned(start, target)):
        for axis, word in enumerate(piece.words):
            count, wait = word & 255, word >> 8
            assert count == abs(piece.steps[axis])
            assert 0 <= word < 2**32
            lasted = count * (wait + STEP_OVERHEAD) if count else wait + PAUSE_OVERHEAD
            late[axis] += piece.ticks - lasted
            assert 0 <= late[axis] < 255


def test_a_hold_at_full_speed_needs_the_ramp_and_no_more() -> None:
    move = planned([0, 0, 0], [20 * PER_MM, 0, 0])
    before = [move.next_slice() for _ in range(100)]
    move.brake()
    after = slices_of(move)
    assert sum_of(after) == [200, 0, 0]  # v²/2a = 125 um
    assert abs(sum(piece.ticks for piece in after) / TICKS_PER_S - 0.05) < 1e-4
    assert sum_of(before)[0] > 0


def test_a_line_in_space_keeps_its_feed() -> None:
    move = planned([0, 0, 0], [3 * PER_MM, 4 * PER_MM, -16])
    fastest = max(move.feed_of(piece) for piece in slices_of(move))
    assert fastest == 300
    assert abs(move.path_nm - 1e6 * hypot(3, 4, 0.01)) < 2


@given(st.integers(0, 10**40))
def test_a_root_squared_is_not_above_and_the_next_is(value: int) -> None:
    root = integer_root(value)
    assert root * root <= value < (root + 1) ** 2


@given(st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_a_decimal_survives_print_and_read(value: int, places_shown: int) -> None:
    assert parse_decimal(show_decimal(value, places_shown), places_shown) == value


@given(st.integers(-1000, 1000), st.integers(1, 50))
def test_rounding_is_the_same_on_both_sides_of_zero(numerator: int, denominator: int) -> None:
    quotient = divide_rounded(numerator, denominator)
    assert quotient == -divide_rounded(-numerator, denominator)
    assert abs(quotient * denominator - numerator) * 2 <= denominator
