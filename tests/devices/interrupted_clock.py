"""A clock on which somebody presses Ctrl-C."""

import threading
from collections.abc import Callable

from blurryscope.simulator.fast_clock import FastClock


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
