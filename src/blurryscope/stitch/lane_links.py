"""The links of a film lane by lane, as they are found while it runs."""

import numpy as np

from blurryscope.stitch.links import Links, joined
from blurryscope.stitch.trajectory import Trajectory


class LaneLinks:
    """Links within each lane and to the one before; the first lanes have theirs in common.

    Parameters
    ----------
    first
        Of the lanes that were laid out together.
    """

    def __init__(self, first: Links) -> None:
        self._parts = [first]

    def add(self, links: Links) -> None:
        """Take those of the next lane."""
        self._parts.append(links)

    def replace_last(self, links: Links) -> None:
        """Take others for the last lane that was added."""
        self._parts[-1] = links

    def take_back(self) -> None:
        """Forget those of the last lane; the first lanes keep theirs, however many are left."""
        if len(self._parts) > 1:
            self._parts.pop()

    def around(self, number: int, lane_count: int) -> Links:
        """Those of one lane and to both beside it, given how many lanes there are."""
        first = lane_count - len(self._parts)
        chosen = slice(max(number - first, 0), max(number + 1 - first, 0) + 1)
        return joined(*self._parts[chosen])

    def within(self, trajectory: Trajectory) -> Links:
        """Those between frames of some lanes, the last ones."""
        lanes_shown = int(trajectory.lanes[-1] - trajectory.lanes[0]) + 1
        return links_within(joined(self._parts[0], *self._parts[1:][-lanes_shown:]), trajectory)


def links_within(links: Links, trajectory: Trajectory) -> Links:
    """The links between frames of the trajectory."""
    frames = trajectory.frames
    return links.only(np.isin(links.earlier, frames) & np.isin(links.later, frames))
