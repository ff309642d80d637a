"""A thread that woke up on a fast clock: whether time has to wait until it has acted."""

import threading
import time
from pathlib import Path

_REACTION_LASTS_S = 0.2
"""Of real time: who woke up has so long to act before time goes on without it."""
_LOOK_S = 0.01
"""Of real time, from one look at what the system does with a thread to the next."""
_LEAST_SHARE = 0.1
"""Of a processor: with less, a thread that wants to run is not let."""
_TASKS = Path("/proc/self/task")


class Awake:
    """The thread that makes it, from when it woke up, at `woke_s`, until it sleeps again.

    Time waits for it for a moment, and for as long as the system keeps it from running: a thread
    that stands in a queue of a busy machine, or in the kernel, cannot act. One that waits for
    something itself, or computes, had its moment. Only Linux tells the one from the other.
    """

    def __init__(self, woke_s: float) -> None:
        self.woke_s = woke_s
        self._looked_s, self._ran_s = time.monotonic(), time.thread_time()
        self._until_s = self._looked_s + _REACTION_LASTS_S
        self._task = _TASKS / str(threading.get_native_id())
        self._is_kept_waiting = False

    def is_awaited(self) -> bool:
        """Whether time must not go on much without it; asked by another thread."""
        real_s = time.monotonic()
        if real_s - self._looked_s >= _LOOK_S:
            self._is_kept_waiting = self._look(real_s)
        return real_s < self._until_s or self._is_kept_waiting

    def _look(self, real_s: float) -> bool:
        """Whether since the last look it was not let run; of one that has ended nobody says so."""
        try:
            state = (self._task / "stat").read_text().rpartition(") ")[2][:1]
            ran_s = int((self._task / "schedstat").read_text().split()[0]) / 1e9
        except OSError:
            return False
        share = (ran_s - self._ran_s) / (real_s - self._looked_s)
        self._looked_s, self._ran_s = real_s, ran_s
        return state == "D" or (state == "R" and share < _LEAST_SHARE)
