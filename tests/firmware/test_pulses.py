"""The PIO program, run instruction by instruction: how evenly the steps come."""

from itertools import pairwise

import pytest

from controller.move import PAUSE_OVERHEAD, STEP_OVERHEAD, plan_move
from controller.ramp import TICKS_PER_S
from controller.settings import Settings
from tests.firmware.fake_pico import FakePico, pico_module
from tests.firmware.pio import FIFO_DEPTH, StateMachine

PER_MM = 1600


def generator() -> StateMachine:
    with pico_module(FakePico()) as pico:
        return StateMachine(pico.pulses)


def rises_of(feed_mm_per_s: float, length_mm: int) -> list[int]:
    """The ticks at which the step pin of X rises in a lane, the FIFO kept from running dry."""
    move = plan_move([0, 0, 0], [length_mm * PER_MM, 0, 0], round(feed_mm_per_s * 60e6), Settings())
    assert move is not None
    machine = generator()
    while not move.is_handed_out or machine.fifo:
        while not move.is_handed_out and len(machine.fifo) < FIFO_DEPTH:
            machine.put(move.next_slice().words[0])
        machine.run_to(machine.tick + 1)
        assert not machine.has_starved
    machine.run_to(machine.tick + TICKS_PER_S)
    return machine.rises


def test_a_step_lasts_its_wait_and_18_ticks_also_across_words() -> None:
    machine = generator()
    for word in (3 | 100 << 8, 2 | 100 << 8, 1 | 200 << 8, 1 | 0 << 8, 1 | 0 << 8):
        machine.put(word)
    machine.run_to(5000)
    gaps = [later - earlier for earlier, later in pairwise(machine.rises)]
    assert gaps == [100 + STEP_OVERHEAD] * 5 + [200 + STEP_OVERHEAD, STEP_OVERHEAD]


def test_a_pause_lasts_its_wait_and_6_ticks() -> None:
    machine = generator()
    for word in (1 | 100 << 8, 1000 << 8, 1 | 100 << 8):
        machine.put(word)
    machine.run_to(5000)
    assert machine.rises[1] - machine.rises[0] == 100 + STEP_OVERHEAD + 1000 + PAUSE_OVERHEAD


def test_a_pulse_is_high_for_two_microseconds() -> None:
    machine = generator()
    machine.put(4 | 50 << 8)
    machine.run_to(1000)
    highs = [fall - rise for rise, fall in zip(machine.rises, machine.falls, strict=True)]
    assert highs == [10] * 4  # of 0.2 us


def test_at_five_mm_per_s_eight_thousand_steps_a_second_come_without_jitter() -> None:
    rises = rises_of(5, length_mm=4)
    assert len(rises) == 4 * PER_MM
    gaps = [later - earlier for earlier, later in pairwise(rises)]
    assert gaps[250:-250] == [TICKS_PER_S // 8000] * (len(gaps) - 500)


@pytest.mark.parametrize("speed", [4.99, 3.333, 7.7])
def test_at_any_speed_neighbouring_steps_differ_by_a_tick_at_most(speed: float) -> None:
    rises = rises_of(speed, length_mm=2)
    assert len(rises) == 2 * PER_MM
    cruise = rises[700:-700]
    gaps = [later - earlier for earlier, later in pairwise(cruise)]
    assert max(gaps) - min(gaps) <= 1
    drift = (cruise[-1] - cruise[0]) / TICKS_PER_S * speed * PER_MM - (len(cruise) - 1)
    assert abs(drift) < 0.1  # steps


def test_ramps_rise_and_fall_in_jumps_that_a_motor_at_rest_could_follow() -> None:
    rises = rises_of(5, length_mm=1)
    rates = [TICKS_PER_S / (later - earlier) for earlier, later in pairwise(rises)]
    jumps = [abs(later - earlier) for earlier, later in pairwise(rates)]
    assert max(jumps) <= 1000  # steps/s: 62 full steps/s
