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


class SystemClock:
    """The clock of the machine."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc_now(self) -> datetime:
        return datetime.now(UTC)
