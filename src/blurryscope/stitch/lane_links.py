"""The links of a film lane by lane, as they are found while it runs."""

import numpy as np
from numpy.typing import NDArray

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


def links_across(links: Links, trajectory: Trajectory) -> Links:
    """The links between frames of two lanes of the trajectory."""
    here = links_within(links, trajectory)
    first, second = trajectory.rows_of(here.earlier), trajectory.rows_of(here.later)
    return here.only(trajectory.lanes[first] != trajectory.lanes[second])


def not_found_again(links: Links, again: Links, steps: NDArray[np.int64]) -> Links:
    """Those links that no other joins the same two pieces of lanes.

    A piece are frames that hang together by steps: step n leads from frame n to the next.
    """
    count = max((int(each.later.max(initial=0)) for each in (links, again)), default=0)
    breaks = np.setdiff1d(np.arange(count), steps)

    def pieces(of: Links) -> list[tuple[int, int]]:
        ends = (np.searchsorted(breaks, frames).tolist() for frames in (of.earlier, of.later))
        return list(zip(*ends, strict=True))

    known = set(pieces(again))
    return links.only(np.array([pair not in known for pair in pieces(links)], np.bool_))
