"""A clock that runs faster than the world, and waits for those who cannot keep up."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from blurryscope.simulator.awake import Awake

_BEAT_S = 0.0002
"""Of real time between two steps: what a pseudo-terminal takes to hand a line over."""
_LONGEST_BEAT_S = 0.002
_REACTS_IN_S = 0.05
"""No more passes before one who woke up has had its chance to act (`Awake`)."""
_BOUND_LASTS_S = 5.0
_FOLLOWED_S = 0.02
"""Time goes on by no more than this between two calls of those who follow it."""


@dataclass(frozen=True, slots=True)
class _Bound:
    limit_s: float
    thread: int
    said_s: float


class FastClock:
    """Time for a simulated microscope, `speed` times as fast as real time at most.

    It runs between `with` and its end, in a thread of its own, from sleeper to sleeper: nobody
    wakes late. It runs only as far as the machine keeps up: a busy machine makes it slower, and
    does not make its hours pass unseen. Who needs time to stand still while it computes asks for
    `held`; who must not be overtaken says how far time may go, with `hold_at`.
    """

    def __init__(
        self,
        speed: float = 50.0,
        start: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        bound_lasts_s: float = _BOUND_LASTS_S,
    ) -> None:
        """`bound_lasts_s` of real time: a limit that nobody renews must not stop the world."""
        if speed <= 0:
            raise ValueError(f"speed must be positive, got {speed}")
        self._speed = speed
        self._bound_lasts_s = bound_lasts_s
        self._start = start
        self._now_s = 0.0
        self._changed = threading.Condition()
        self._wakes_s: list[float] = []
        self._bounds: dict[object, _Bound] = {}
        self._sleepers: set[int] = set()
        self._woken: dict[int, Awake] = {}
        """Each thread that slept here, since it last woke up."""
        self._followers: dict[object, Callable[[float], None]] = {}
        self._acting = threading.RLock()
        self._is_over = False

    def __enter__(self) -> Self:
        self._is_over = False
        self._runner = threading.Thread(target=self._run, name="fast clock", daemon=True)
        self._runner.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._runner.join()

    def monotonic_s(self) -> float:
        return self._now_s

    def utc_now(self) -> datetime:
        return self._start + timedelta(seconds=self._now_s)

    def sleep(self, for_s: float) -> None:
        """Wait until that much of this clock's time has passed; at once when it does not run."""
        with self._changed:
            wake_s = self._now_s + max(for_s, 0.0)
            self._wakes_s.append(wake_s)
            thread = threading.get_ident()
            self._sleepers.add(thread)
            try:
                self._changed.wait_for(lambda: self._now_s >= wake_s or self._is_over)
            finally:  # time never passes who sleeps, so one whom Ctrl-C woke must not stay listed
                self._sleepers.discard(thread)
                self._woken[thread] = Awake(self._now_s)
                self._wakes_s.remove(wake_s)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Time stands still inside."""
        owner = object()
        self.hold_at(owner, self._now_s)
        try:
            yield
        finally:
            self.let_go(owner)

    def hold_at(self, owner: object, limit_s: float) -> None:
        """Time does not pass `limit_s` until the owner says another limit, or lets go.

        While the thread that said it sleeps on this clock its limits do not count, for it could
        never lift them; nor after `bound_lasts_s` of real time.
        """
        with self._changed:
            self._bounds[owner] = _Bound(limit_s, threading.get_ident(), time.monotonic())

    def let_go(self, owner: object) -> None:
        """The owner sets no limit any more, and is not called any more."""
        with self._acting:
            self._followers.pop(owner, None)
        with self._changed:
            self._bounds.pop(owner, None)

    def follow(self, owner: object, act: Callable[[float], None]) -> None:
        """Call `act` with the time, in the clock's own thread, before each step of time.

        For what answers by itself, such as a controller on a port: no thread has to be woken.
        """
        with self._acting:
            self._followers[owner] = act

    def _run(self) -> None:
        before_s, beat_s = time.monotonic(), _BEAT_S
        try:
            while not self._is_over:
                time.sleep(beat_s)
                with self._acting:
                    longest_s = _FOLLOWED_S if self._followers else math.inf
                    for act in tuple(self._followers.values()):
                        act(self._now_s)
                real_s = time.monotonic()
                # No more than a few beats at once: a busy machine does not make up for its sleep.
                step_s = min(real_s - before_s, 4 * _BEAT_S) * self._speed
                before_s = real_s
                with self._changed:
                    has_advanced = self._advance(min(step_s, longest_s))
                # Held up by somebody who computes: leave the processor to them.
                beat_s = _BEAT_S if has_advanced else min(2 * beat_s, _LONGEST_BEAT_S)
        finally:  # whatever happened to a follower, nobody must sleep for ever
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _advance(self, step_s: float) -> bool:
        """Go on by so much, or to the next limit or sleeper; False if there is no room to go."""
        real_s = time.monotonic()
        bounds_s = [
            bound.limit_s
            for bound in self._bounds.values()
            if bound.thread not in self._sleepers and bound.said_s > real_s - self._bound_lasts_s
        ]
        reactions_s = [
            awake.woke_s + _REACTS_IN_S
            for thread, awake in self._woken.items()
            if thread not in self._sleepers and awake.is_awaited()
        ]
        goal_s = min((self._now_s + step_s, *self._wakes_s, *bounds_s, *reactions_s))
        has_advanced = goal_s > self._now_s
        self._now_s = max(goal_s, self._now_s)
        if any(wake_s <= self._now_s for wake_s in self._wakes_s):
            self._changed.notify_all()
        return has_advanced
