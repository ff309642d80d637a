"""Links are kept lane by lane, and asked for by lanes."""

from collections.abc import Sequence

import numpy as np

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.lane_links import LaneLinks, links_across, not_found_again
from blurryscope.stitch.links import Link, Links, gathered
from blurryscope.stitch.trajectory import Trajectory

LANE_FRAMES = 10


def _links(lane: int) -> Links:
    """One within the lane, and one to the lane before if there is any."""
    first, middle = lane * LANE_FRAMES, (0.0, 0.0)
    inside = (first, first + 1, middle, middle, 0.9)
    across = (first - 1, first, middle, middle, 0.9)
    return gathered([across, inside] if lane else [inside])


def _lanes(first: int, last: int) -> Trajectory:
    frames = np.arange(first * LANE_FRAMES, (last + 1) * LANE_FRAMES)
    return Trajectory(
        frames=frames,
        lanes=frames // LANE_FRAMES,
        times_s=frames / 30,
        positions=np.zeros((len(frames), 2)),
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
    )


def _kept(lanes: Sequence[int]) -> LaneLinks:
    """The first two lanes in common, then others one by one."""
    of_first = (_links(lane) for lane in (0, 1))
    rows = [
        (int(a), int(b), (0.0, 0.0), (0.0, 0.0), 0.9)
        for links in of_first
        for a, b in zip(links.earlier, links.later, strict=True)
    ]
    kept = LaneLinks(gathered(rows))
    for lane in lanes:
        kept.add(_links(lane))
    return kept


def test_links_within_some_lanes_lead_to_no_other() -> None:
    kept = _kept([2, 3, 4])
    assert kept.within(_lanes(3, 4)).earlier.tolist() == [30, 39, 40]
    assert kept.within(_lanes(0, 4)).earlier.tolist() == [0, 9, 10, 19, 20, 29, 30, 39, 40]


def test_links_across_lead_from_lane_to_lane_and_to_no_lane_that_is_not_there() -> None:
    links = _kept([2, 3]).within(_lanes(0, 3))
    assert links_across(links, _lanes(0, 2)).later.tolist() == [10, 20]


def test_a_link_counts_on_where_no_other_joins_the_same_pieces_of_lanes() -> None:
    def across(earlier: int, later: int) -> Link:
        return earlier, later, (0.0, 0.0), (0.0, 0.0), 0.9

    # Both lanes fall into two pieces, behind their frames 3 and 14.
    steps = np.setdiff1d(np.arange(20), [3, 9, 14])
    first = gathered([across(1, 17), across(6, 12)])
    again = gathered([across(2, 18), across(7, 16)])
    assert not_found_again(first, again, steps).earlier.tolist() == [6]
    assert len(not_found_again(first, gathered([]), steps)) == 2
    assert len(not_found_again(gathered([]), again, steps)) == 0


def test_a_lane_has_its_own_links_and_those_of_the_next_that_lead_to_it() -> None:
    kept = _kept([2, 3, 4])
    assert kept.around(3, 5).earlier.tolist() == [29, 30, 39, 40]
    assert kept.around(4, 5).earlier.tolist() == [39, 40]
    assert kept.around(0, 5).earlier.tolist() == kept.around(1, 5).earlier.tolist()[:3]


def test_lanes_taken_back_take_their_links_along_but_for_those_that_the_first_have_in_common() -> (
    None
):
    kept = _kept([2])
    kept.replace_last(_links(3))
    assert kept.within(_lanes(0, 3)).earlier.tolist() == [0, 9, 10, 29, 30]
    for _ in range(3):
        kept.take_back()
    assert kept.within(_lanes(0, 3)).earlier.tolist() == [0, 9, 10]
