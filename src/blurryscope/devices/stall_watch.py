"""Tells a stage that moves from one that only says so."""

from blurryscope.basics.clock import Clock
from blurryscope.devices.contracts import StagePoint
from blurryscope.devices.grbl_meaning import point_of
from blurryscope.devices.grbl_words import Report

_STALLED_S = 1.0
_STALLED_REPORTS = 4


class StallWatch:
    """Tells when a stage that says it moves stays where it is.

    Goes by the controller's own time where it tells one: a report may have been on its way long.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._place: StagePoint | None = None
        self._since_s = 0.0
        self._alike_count = 0

    def sees_standing(self, report: Report) -> bool:
        place = point_of(report)
        now_s = self._clock.monotonic_s() if report.uptime_ms is None else report.uptime_ms / 1000
        if report.is_at_rest or place != self._place:
            self._place, self._since_s, self._alike_count = place, now_s, 0
        self._alike_count += 1
        return now_s - self._since_s > _STALLED_S and self._alike_count > _STALLED_REPORTS
