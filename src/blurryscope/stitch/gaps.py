"""Stretches of lanes over glass, between two cores: how far the stage seems to have gone there."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
from numpy.typing import NDArray

from blurryscope.stitch.links import Links
from blurryscope.stitch.solve import Solution
from blurryscope.stitch.ties import tied_to_next
from blurryscope.stitch.trajectory import lane_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch of a lane that no link leads across."""

    lane: int
    is_bridged: bool
    """Whether links join both sides of it by way of other lanes."""
    low_px: float
    high_px: float
    """Lowest and highest x of the frames on either side."""
    frame_before: int
    """The last frame before it."""
    frame_behind: int
    """The first one behind it."""
    direction: int
    """+1 or -1 along x."""
    way_steps: float
    """Of the stage across it; steps from frame to frame."""
    excess_steps: float
    """By which that is longer than expected."""

    def is_beside(self, other: "Gap") -> bool:
        """Whether another lane shows it between the same cores."""
        return self.low_px < other.high_px and other.low_px < self.high_px


def gaps_of(
    solution: Solution, links: Links, along_px: NDArray[np.float64], step_px: float
) -> Iterator[list[Gap]]:
    """Of each lane, those with frames that hang together on either side.

    Parameters
    ----------
    along_px
        (n,) x that even motion would give each frame, up to a constant per lane.
    step_px
        The stage's way from one frame to the next.
    """
    trajectory = solution.trajectory
    is_tied = tied_to_next(solution, links)
    core_of = _joined_frames(solution, links)
    for rows in lane_rows(trajectory):
        tied = np.flatnonzero(is_tied[rows[:-1]])
        gaps = []
        for before, after in pairwise(tied.tolist()):
            if after == before + 1:
                continue
            first, last = rows[before + 1], rows[after]
            ends_px = trajectory.positions[[first, last], 1]
            expected_px = float(along_px[last] - along_px[first])
            direction = 1 if expected_px >= 0 else -1
            way_px = float(ends_px[1] - ends_px[0]) * direction
            gaps.append(
                Gap(
                    lane=int(trajectory.lanes[first]),
                    is_bridged=bool(core_of[first] == core_of[last]),
                    low_px=float(ends_px.min()),
                    high_px=float(ends_px.max()),
                    frame_before=int(trajectory.frames[first]),
                    frame_behind=int(trajectory.frames[last]),
                    direction=direction,
                    way_steps=way_px / step_px,
                    excess_steps=(way_px - abs(expected_px)) / step_px,
                )
            )
        yield gaps


def _joined_frames(solution: Solution, links: Links) -> NDArray[np.int64]:
    """(n,) frames that links join directly or by way of others have the same number."""
    trajectory = solution.trajectory
    first, second = trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)
    is_within = trajectory.lanes[first] == trajectory.lanes[second]
    least = np.where(is_within, _WITHIN_LANES, _ACROSS_LANES)
    is_sure = solution.is_kept & (links.correlation >= least)
    count = len(trajectory.frames)
    graph = scipy.sparse.coo_array(
        (np.ones(int(is_sure.sum())), (first[is_sure], second[is_sure])), (count, count)
    )
    _, numbers = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return np.asarray(numbers, np.int64)


_WITHIN_LANES, _ACROSS_LANES = 0.5, 0.7
"""Correlation of links that join: from lane to lane, weaker ones are found by chance too."""
