"""From a first layout to sub-pixel places: patch links within lanes and across them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.links import Link, Links, gathered, joined
from blurryscope.stitch.matching import MatchedPairs, PatchSettings, PlacedDetail
from blurryscope.stitch.trajectory import Trajectory

Match = Callable[[PlacedDetail, PlacedDetail], list[Link]]
"""Finds patches of one frame again in another."""


@dataclass(slots=True)
class _Neighbour:
    """A frame that others may be matched with."""

    placed: PlacedDetail
    has_tissue: bool
    is_nearest: bool = False
    """Whether it was the nearest to some frame of the lane below."""


def measure_links(  # noqa: PLR0913 - what is looked at, where it lies, and how it is matched
    frames: Sequence[int],
    detail_of: Callable[[int], Grey],
    trajectory: Trajectory,
    reduction: int,
    settings: PatchSettings,
    *,
    first_lane: int = 0,
    pairs: MatchedPairs | None = None,
) -> Links:
    """Match each frame with those before it in its lane and with those nearest to it in the next.

    Of those before it the last one counts, and where that shows little the one before as well.

    Parameters
    ----------
    frames
        In order of the film; those outside lanes may be left out.
    detail_of
        Gives the detail picture of a frame. It is asked only for those that have to be looked at,
        and the pictures of two lanes are held at a time.
    reduction
        How much smaller the detail pictures are than the camera's frames.
    first_lane
        Frames of lanes before this one are only matched with later ones.
    pairs
        Links found before, and by this look.
    """
    pairs = pairs or MatchedPairs()
    return gathered(_links(frames, detail_of, trajectory, reduction, settings, first_lane, pairs))


def _links(  # noqa: PLR0913 - as above
    frames: Sequence[int],
    detail_of: Callable[[int], Grey],
    trajectory: Trajectory,
    reduction: int,
    settings: PatchSettings,
    first_lane: int,
    pairs: MatchedPairs,
) -> Iterator[Link]:
    match = partial(pairs.match, reduction=reduction, settings=settings)
    reach_px = _FARTHEST * max(detail_of(frames[0]).shape) if frames else 0.0
    blur_px = settings.exposure_s / reduction * np.abs(trajectory.velocities[:, 1])
    matrices = trajectory.matrices
    row_of = {int(frame): row for row, frame in enumerate(trajectory.frames)}
    above: list[_Neighbour] = []
    above_x = np.zeros(0)
    here: list[_Neighbour] = []
    lane = -1
    for frame in frames:
        row = row_of.get(frame)
        if row is None:
            continue
        if trajectory.lanes[row] != lane:
            if lane >= first_lane:
                yield from _links_of_others(above, here, reach_px, match)
            above, here, lane = here, [], int(trajectory.lanes[row])
            above_x = np.array([other.placed.position[1] for other in above])
        placed = PlacedDetail(
            frame=frame,
            detail_of=detail_of,
            position=trajectory.positions[row] / reduction,
            matrix=matrices[row],
            blur_px=float(blur_px[row]),
        )
        now = _Neighbour(placed, pairs.may_hold_a_patch(placed, settings))
        if now.has_tissue and lane >= first_lane:
            yield from _links_back(here, placed, match)
            yield from _links_up(above, above_x, placed, reach_px, match)
        here.append(now)
    yield from _links_of_others(above, here, reach_px, match)


def _links_up(
    above: Sequence[_Neighbour],
    above_x: NDArray[np.float64],
    placed: PlacedDetail,
    reach_px: float,
    match: Match,
) -> Iterator[Link]:
    """Links to the frames of the lane above that lie nearest; `above_x` is where all of it lie."""
    for other in _nearest(above, above_x, placed, reach_px):
        other.is_nearest = True
        if other.has_tissue:
            yield from match(other.placed, placed)


def _links_of_others(
    above: Sequence[_Neighbour], here: Sequence[_Neighbour], reach_px: float, match: Match
) -> Iterator[Link]:
    """Links of the frames above that no frame of the lane below lay nearest to.

    Where the stage stood or went slowly they lie close together, and nothing else would hold those
    in the middle to the lane below.
    """
    here_x = np.array([other.placed.position[1] for other in here])
    for upper in above:
        if upper.has_tissue and not upper.is_nearest:
            for other in _nearest(here, here_x, upper.placed, reach_px):
                if other.has_tissue:
                    yield from match(upper.placed, other.placed)


def _links_back(here: list[_Neighbour], placed: PlacedDetail, match: Match) -> Iterator[Link]:
    """Links to the frame before; where these are few, to the one before that as well.

    Where there are none at all, a frame may have been lost although the times do not show it: then
    the two lie one step farther apart than expected. Or the stage stuck, and they lie nearer.
    """
    before = [other for other in here[:-3:-1] if other.has_tissue]
    count = 0
    for other in before:
        if count < _ENOUGH_LINKS:
            for link in match(other.placed, placed):
                count += 1
                yield link
    if count or not before:
        return
    last = here[-1].placed
    for share in _OTHER_STEPS:
        step = share * (placed.position - last.position)
        links = match(before[0].placed, replace(placed, position=last.position + step))
        steps = [link for link in links if _is_step(link, placed.matrix)]
        yield from steps
        if steps:
            return


def _is_step(link: Link, matrix: NDArray[np.float64]) -> bool:
    """Whether a link found elsewhere than expected tells of a step along the lane.

    Chance finds patches anywhere, and dirt on the sensor stands where it is.
    """
    _, _, first, second, correlation = link
    across_px, along_px = (np.abs(matrix @ (np.array(first) - second))).tolist()
    return correlation > _SURE and across_px < _STRAIGHT_PX and along_px > _STANDS_PX


_OTHER_STEPS = (2.0, 0.6, 0.25)
"""Of the expected one: a frame was lost, or the stage stuck. The search covers what is between."""
_SURE, _STRAIGHT_PX, _STANDS_PX = 0.65, 1.5, 5.0
"""Of 35 such links of five films 25 lie beyond these, 22 of them 12 px off and more; the others up
to 14, as the stage changed its speed meanwhile."""
_ENOUGH_LINKS = 3
_FARTHEST = 0.75
"""Of the longer side of a frame, along the lane: beyond that two frames share next to nothing."""


def _nearest(
    lane: Sequence[_Neighbour],
    lane_x: NDArray[np.float64],
    placed: PlacedDetail,
    reach_px: float,
) -> list[_Neighbour]:
    """The frames of another lane nearest on either side, given where all of them lie along it."""
    if not lane:
        return []
    distance = lane_x - placed.position[1]
    left = np.where(distance <= 0, distance, -np.inf)
    right = np.where(distance > 0, distance, np.inf)
    chosen = []
    for index, gap in ((int(left.argmax()), left.max()), (int(right.argmin()), right.min())):
        if abs(gap) < reach_px:
            chosen.append(lane[index])
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
