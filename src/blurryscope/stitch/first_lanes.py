"""When the first lanes are certain enough to be placed for good: the tries to lay them out.

The camera's mounting and read-out are measured from them, and where later lanes lie hangs on that.
Until then frames are held; where these come to take too much, a less certain camera does.
"""

from collections.abc import Sequence

import numpy as np

from blurryscope.stitch.lane_finder import LaneFinder, settled, with_those_told
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.placing import Placer
from blurryscope.stitch.told_starts import ToldStarts
from blurryscope.stitch.tracker import Tracker

_FIRST_TRY = 150
"""Frames before the first attempt to lay lanes out, and how much longer each next one waits."""
_LATER_TRY = 1.25
_MUCH_LATER_TRY = 2.0
_SETTLE_AGAIN = 2
"""Times as many frames make it worth while to estimate the shading anew."""
_RIM_SIGMA_PX = 0.6
"""How certain the camera must be before any lane is placed for good, at the rim of a frame: to wait
for 0.5 brought 15 films of real tissue no nearer to the truth, but for one (1.4 to 1.2 px)."""
_NEARLY_SURE = _LATER_TRY**0.5
"""Times that uncertain is certain enough: another try gains no more, and takes half a second."""
_MOST_HELD_BYTES = 450e6
"""Of frames that wait for the first lanes to be placed; beyond that a less certain camera does."""
_FULL_DOUBT = 3.0
"""Times as uncertain; it is known better than that from four lanes of tissue on."""
_EARLY_LINKS = 2
"""Pairs of lanes that must be seen to overlap before any lane is placed for good."""


class FirstLanes:
    """`try_to_place` after every frame, until they are placed.

    Where the film ends before that: `settle`, `found`, `lay_out` and `take` whatever there is.

    Parameters
    ----------
    tracker, finder, placer, told
        What is known of the film, of its lanes and where they lie, and of what the stage told.
    rest_s
        How long the stage usually does not move along the lanes between two of them.
    """

    def __init__(
        self,
        tracker: Tracker,
        finder: LaneFinder,
        placer: Placer,
        told: ToldStarts,
        rest_s: float,
    ) -> None:
        self._tracker = tracker
        self._finder = finder
        self._placer = placer
        self._told = told
        self._rest_s = rest_s
        self.are_placed = False
        self.shading = np.ones((1, 1, 3), np.float32)
        """Of the microscope, (row, col, rgb) grey levels; from `settle` on."""
        self._next_try = float(_FIRST_TRY)
        self._was_full = False
        self._settled_count = 0

    def try_to_place(self) -> bool:
        """Lay them out if it is time for another try; whether they are certain enough to be taken.

        Lets go of the oldest frames where too many are held and no lane has begun.
        """
        tracker = self._tracker
        if self._is_full and not self._was_full:
            # Large frames: look whether lanes have begun before any frame is let go.
            self._was_full, self._next_try = True, tracker.count
        if tracker.count >= self._next_try:
            self._next_try *= _LATER_TRY
            self._try()
        if self._finder.axis is None:
            # The stage has not set off yet, or scans glass that no core lies beside.
            tracker.forget_beyond(_MOST_HELD_BYTES)
        return self.are_placed

    def settle(self) -> None:
        """Estimate the shading from all frames so far; all pictures of detail change with it."""
        self.shading = self._tracker.settle()
        self._settled_count = self._tracker.count
        self._placer.forget_pairs()

    def found(self) -> list[Lane]:
        """All lanes of the film so far; the last may still be running."""
        tracker = self._tracker
        rest_frames = self._rest_s / tracker.interval_s
        lanes = self._finder.first(tracker.shifts, tracker.least_step_px, rest_frames)
        if lanes:
            lanes = with_those_told(lanes, self._told.starts_s, tracker.times_s)
        return [lane for lane in lanes if lane.first >= tracker.oldest]

    def lay_out(self, lanes: Sequence[Lane], least_links: int) -> bool:
        """Lay lanes out; False if fewer pairs of them are seen to overlap than wanted."""
        self._told.hand_on(self._placer.stage)
        longest_rest_s = self._finder.rest_frames * self._tracker.interval_s
        return self._placer.start(self._tracker.until_now(), lanes, least_links, longest_rest_s)

    def take(self) -> None:
        """Take the lanes for good, as they are laid out now."""
        self.are_placed = True
        self._placer.look_again(self._tracker.until_now())
        self._placer.forget_pairs()

    @property
    def _is_full(self) -> bool:
        return self._tracker.held_bytes >= _MOST_HELD_BYTES

    def _try(self) -> None:
        lanes = self._found_side_by_side()
        if not lanes or not self.lay_out(lanes, _EARLY_LINKS):
            return
        doubt = self._placer.rim_sigma_px(self._tracker.frame_shape) / _RIM_SIGMA_PX
        if doubt > (_FULL_DOUBT if self._is_full else _NEARLY_SURE):
            self._wait(doubt)
            return
        self.take()
        self._finder.goes_on_after(lanes[-1])

    def _found_side_by_side(self) -> list[Lane]:
        """The lanes that have ended, if enough neighbours among them were seen; else none."""
        if not self._tracker.shifts:
            return []
        lanes = self.found()
        is_old = self._tracker.count >= _SETTLE_AGAIN * self._settled_count
        if is_old and self._has_enough(lanes):
            self.settle()
            lanes = self.found()
        return settled(lanes[:-1]) if self._has_enough(lanes) else []

    def _has_enough(self, lanes: Sequence[Lane]) -> bool:
        # The last lane may still be running.
        return self._finder.enough(lanes[:-1], _EARLY_LINKS)

    def _wait(self, doubt: float) -> None:
        """Wait with the next try until what is so many times too uncertain may be certain."""
        # Certainty grows with the root of what has been seen.
        growth = float(np.clip(doubt**2, _LATER_TRY, _MUCH_LATER_TRY))
        room = 1.0 if self._is_full else _MOST_HELD_BYTES / self._tracker.held_bytes
        self._next_try = self._tracker.count * max(min(growth, room), _LATER_TRY)
