"""Time as an argument, so that a test can run an hour in a millisecond."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two readings of time: one for intervals, one for people."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary start; never runs backwards."""
        ...

    def utc_now(self) -> datetime:
        """The date and time, in UTC."""
        ...

    def sleep(self, for_s: float) -> None:
        """Wait, on this clock's own time."""
        ...


class SystemClock:
    """The clock of the machine."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc_now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, for_s: float) -> None:
        time.sleep(max(for_s, 0.0))
