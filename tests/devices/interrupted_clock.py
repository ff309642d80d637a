"""A clock on which somebody presses Ctrl-C."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from blurryscope.basics.clock import Clock
from blurryscope.devices.contracts import Stage
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.machine import Machine
from blurryscope.simulator.machine_parts import MachineState


class InterruptedClock:
    """Breaks off one wait of the main thread as soon as `is_due`, as Ctrl-C does."""

    def __init__(self, clock: FastClock, is_due: Callable[[], bool]) -> None:
        self.was_pressed = False
        self.monotonic_s, self.utc_now = clock.monotonic_s, clock.utc_now
        self._clock = clock
        self._is_due = is_due

    def sleep(self, for_s: float) -> None:
        self._clock.sleep(for_s)
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and not self.was_pressed and self._is_due():
            self.was_pressed = True
            raise KeyboardInterrupt


def see_ctrl_c_stop_homing(
    machine: Machine, clock: FastClock, stage_on: Callable[[Clock], AbstractContextManager[Stage]]
) -> None:
    """Home, press Ctrl-C as soon as it moves, and see the machine stand."""
    hands = InterruptedClock(clock, lambda: machine.state is MachineState.HOMING)

    def home() -> None:
        with stage_on(hands) as stage:
            stage.home()

    with pytest.raises(KeyboardInterrupt):
        home()
    assert hands.was_pressed
    assert machine.state is MachineState.ALARM
    assert machine.path.speed_at(clock.monotonic_s()) == 0
