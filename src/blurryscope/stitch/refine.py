"""From a first layout to sub-pixel places: patch links within lanes and across them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from blurryscope.basics.image import Grey
from blurryscope.stitch.links import Link, Links, gathered, joined
from blurryscope.stitch.matching import MatchedPairs, PatchSettings, PlacedDetail
from blurryscope.stitch.trajectory import Trajectory

Match = Callable[[PlacedDetail, PlacedDetail], list[Link]]
"""Finds patches of one frame again in another."""


@dataclass(slots=True)
class _Neighbour:
    placed: PlacedDetail
    has_tissue: bool


def measure_links(
    details: Iterable[tuple[int, Grey]],
    trajectory: Trajectory,
    reduction: int,
    settings: PatchSettings,
    *,
    first_lane: int = 0,
    pairs: MatchedPairs | None = None,
) -> Links:
    """Match each frame with the two before it in its lane and with those above it.

    Parameters
    ----------
    details
        Frame index and detail picture, in order of the film; frames outside lanes may be left out.
        Only the frames of two lanes are held at a time.
    reduction
        How much smaller the detail pictures are than the camera's frames.
    first_lane
        Frames of lanes before this one are only matched with later ones.
    pairs
        Links found before, and by this look.
    """
    match = partial((pairs or MatchedPairs()).match, reduction=reduction, settings=settings)
    return gathered(_links(details, trajectory, reduction, settings, first_lane, match))


def _links(
    details: Iterable[tuple[int, Grey]],
    trajectory: Trajectory,
    reduction: int,
    settings: PatchSettings,
    first_lane: int,
    match: Match,
) -> Iterator[Link]:
    matrices = trajectory.matrices
    row_of = {int(frame): row for row, frame in enumerate(trajectory.frames)}
    above: list[_Neighbour] = []
    here: list[_Neighbour] = []
    lane = -1
    for frame, detail in details:
        row = row_of.get(frame)
        if row is None:
            continue
        if trajectory.lanes[row] != lane:
            above, here, lane = here, [], int(trajectory.lanes[row])
        placed = PlacedDetail(
            frame=frame,
            detail=detail,
            position=trajectory.positions[row] / reduction,
            matrix=matrices[row],
        )
        now = _Neighbour(placed, _may_hold_a_patch(detail, settings))
        if now.has_tissue and lane >= first_lane:
            yield from _links_back(here, placed, match)
            for other in _nearest(above, placed):
                if other.has_tissue:
                    yield from match(other.placed, placed)
        here.append(now)


def _may_hold_a_patch(detail: Grey, settings: PatchSettings) -> bool:
    """Whether a frame shows enough as a whole, and any cell of it that is smaller than a patch.

    A patch is hardly richer in detail than the richest of the cells that it covers, and to look
    into cells takes a tenth of the time of rectifying the frame: over glass, noise alone may be
    enough as a whole.
    """
    if cv2.meanStdDev(detail)[1].item() < 0.5 * settings.least_detail:
        return False
    rows, columns = detail.shape
    cells = max(columns // _CELL_PX[1], 1), max(rows // _CELL_PX[0], 1)
    energy = cv2.resize(cv2.multiply(detail, detail), cells, interpolation=cv2.INTER_AREA)
    return bool(cv2.minMaxLoc(energy)[1] >= settings.least_detail**2)


_CELL_PX = (10, 16)
"""(row, col); a quarter of a patch either way."""


def _links_back(here: list[_Neighbour], placed: PlacedDetail, match: Match) -> Iterator[Link]:
    """Links to the frame before; where these are few, to the one before that as well.

    Where there are none at all, a frame may have been lost although the times do not show it: then
    the two lie one step farther apart than expected.
    """
    before = [other for other in here[:-3:-1] if other.has_tissue]
    count = 0
    for other in before:
        if count < _ENOUGH_LINKS:
            for link in match(other.placed, placed):
                count += 1
                yield link
    if not count and before:
        step = placed.position - here[-1].placed.position
        farther = replace(placed, position=placed.position + step)
        yield from match(before[0].placed, farther)


_ENOUGH_LINKS = 3


def _nearest(above: list[_Neighbour], placed: PlacedDetail) -> list[_Neighbour]:
    """The frame of the lane above nearest on either side."""
    if not above:
        return []
    distance = np.array([other.placed.position[1] - placed.position[1] for other in above])
    left = np.where(distance <= 0, distance, -np.inf)
    right = np.where(distance > 0, distance, np.inf)
    chosen = []
    for index, gap in ((int(left.argmax()), left.max()), (int(right.argmin()), right.min())):
        if abs(gap) < 0.75 * max(placed.detail.shape):
            chosen.append(above[index])
    return chosen


def with_coarse(exact: Links, coarse: Links) -> Links:
    """Add the links of the first look for pairs of frames that have no exact link.

    They are worth about one coarse pixel, so they come with a low correlation.
    """
    linked = set(zip(exact.earlier.tolist(), exact.later.tolist(), strict=True))
    pairs = zip(coarse.earlier.tolist(), coarse.later.tolist(), strict=True)
    is_alone = np.array([pair not in linked for pair in pairs], np.bool_)
    alone = coarse.only(is_alone)
    worth = np.minimum(alone.correlation, _COARSE_CORRELATION)
    return joined(exact, replace(alone, correlation=worth))


_COARSE_CORRELATION = 0.3
