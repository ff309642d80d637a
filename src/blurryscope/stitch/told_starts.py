"""What the stage tells of its lanes while it scans: when it set off, and so when they are over."""

from collections import deque
from collections.abc import Sequence

from blurryscope.stitch.stage_so_far import StageSoFar

_FRAMES_LATE_S = 0.15
"""By which the last frames of a lane are there: less than a stage rests after it."""


class ToldStarts:
    """Times at which the stage set off on lanes, on the film's clock; `set_off` adds to them.

    Parameters
    ----------
    starts_s
        What was told beforehand.
    """

    def __init__(self, starts_s: Sequence[float]) -> None:
        self.starts_s = list(starts_s)
        self.over = 0
        """Frames until which, by what the stage told, no lane is under way any more."""
        self._handed_on = 0
        """So many of the starts have been handed on to who places lanes."""
        self._ends_s = deque(sorted(starts_s))
        """Times to come at which a lane is over: the next begins, or the stage came to its end."""
        self._now_s = 0.0

    def note_frame(self, time_s: float, frame_count: int) -> None:
        """Note that the film has come to this time, with so many frames."""
        self._now_s = time_s
        while self._ends_s and self._ends_s[0] <= time_s:
            self._ends_s.popleft()
            self.over = frame_count

    def set_off(self, time_s: float) -> None:
        """Take when the stage set off on the lane that it has come to the end of just now."""
        self.starts_s.append(time_s)
        self._ends_s.append(self._now_s + _FRAMES_LATE_S)

    def hand_on(self, stage: StageSoFar) -> None:
        """Tell who places lanes what was told since; no lane may be under way there."""
        for start_s in self.starts_s[self._handed_on :]:
            stage.set_off(start_s)
        self._handed_on = len(self.starts_s)
