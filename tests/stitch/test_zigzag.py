from collections.abc import Sequence

import numpy as np
import pytest

from blurryscope.stitch.evidence import Evidence
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.zigzag import find_lanes
from tests.stitch.zigzag_film import ALL, MOVING, RESTING, SEEN, ZigzagFilm, zigzag_film


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_lanes_are_found_where_tissue_is_seen_in_all_of_them(rng: np.random.Generator) -> None:
    film = zigzag_film([SEEN] * 6, rng)
    _assert_found(find_lanes(film.evidence(rng), RESTING)[0], film)


def test_lanes_over_blank_glass_at_both_ends_follow_the_rhythm(rng: np.random.Generator) -> None:
    film = zigzag_film([None, *[ALL] * 8, None], rng, lead=RESTING)
    _assert_found(find_lanes(film.evidence(rng), RESTING)[0], film)


def test_rows_of_cores_far_apart_tell_the_rhythm_by_the_glass_lanes_between_them(
    rng: np.random.Generator,
) -> None:
    """Of two lanes of one direction that follow each other, one at least shows next to nothing.

    A rhythm that is a twentieth too slow leaves no room for the first lane before them.
    """
    shown = {1: slice(12, 28), 2: slice(12, 28), 3: slice(18, 20)}
    film = zigzag_film([shown.get(n % 4) for n in range(8)], rng, lead=15)
    lanes, rhythm = find_lanes(film.evidence(rng), RESTING)
    assert rhythm.moving + rhythm.resting == pytest.approx(MOVING + RESTING, abs=1)
    _assert_found(lanes, film)


def test_a_blank_lane_in_the_middle_does_not_swallow_its_neighbours(
    rng: np.random.Generator,
) -> None:
    film = zigzag_film([SEEN, SEEN, SEEN, None, SEEN, SEEN, SEEN], rng)
    _assert_found(find_lanes(film.evidence(rng), RESTING)[0], film)


def test_lanes_need_not_last_equally_long(rng: np.random.Generator) -> None:
    film = zigzag_film([SEEN] * 8, rng, jitter=3)
    _assert_found(find_lanes(film.evidence(rng), RESTING)[0], film)


def test_each_lane_may_show_tissue_in_another_part(rng: np.random.Generator) -> None:
    parts = [slice(3, 15), slice(20, 36), slice(10, 14), slice(2, 38), slice(24, 34), slice(5, 30)]
    film = zigzag_film(parts, rng)
    _assert_hold_what_was_seen(find_lanes(film.evidence(rng), RESTING)[0], film)


@pytest.mark.parametrize("pause", [30, 60])
def test_a_pause_between_two_lanes_is_no_lane(rng: np.random.Generator, pause: int) -> None:
    film = _paused(pause)
    _assert_found(find_lanes(film.evidence(rng), RESTING)[0], film)


@pytest.mark.parametrize("pause", [90, 120, 1000])
def test_a_pause_over_glass_as_long_as_lanes_leaves_those_that_are_seen(
    rng: np.random.Generator, pause: int
) -> None:
    film = _paused(pause)
    lanes = find_lanes(film.evidence(rng), RESTING)[0]
    seen = [lane for lane in lanes if lane.is_seen]
    _assert_found(seen, film)
    assert [*seen[:4], *lanes[4:-4], *seen[4:]] == lanes
    assert len(lanes) % 2 == 0


@pytest.mark.parametrize("after", [7, 20, 33])
def test_a_stage_that_sticks_within_a_lane_makes_no_two_of_it(
    rng: np.random.Generator, after: int
) -> None:
    film = zigzag_film([ALL] * 6, rng)
    told = film.evidence(rng)
    stuck = film.spans[3][0] + after
    evidence = Evidence(
        forward=np.insert(told.forward, [stuck] * 50, 0.0),
        backward=np.insert(told.backward, [stuck] * 50, 0.0),
        still=np.insert(told.still, [stuck] * 50, 0.97),
    )
    film.spans = [
        (first + 50 * (number > 3), last + 50 * (number >= 3))
        for number, (first, last) in enumerate(film.spans)
    ]
    film.shown[stuck:stuck] = [False] * 50
    _assert_hold_what_was_seen(find_lanes(evidence, RESTING)[0], film)


def test_a_lane_over_glass_between_two_rests_over_tissue_is_no_stage_that_sticks(
    rng: np.random.Generator,
) -> None:
    """Lane 2 ends over tissue, and so begins lane 4; the one between them shows nothing."""
    film = zigzag_film([ALL, ALL, slice(2, 40), None, slice(0, 38), ALL], rng)
    evidence = film.evidence(rng)
    ended, begun = film.spans[2][1], film.spans[4][0]
    evidence.still[ended : ended + RESTING // 2] = 0.97
    evidence.still[begun - RESTING // 2 : begun] = 0.97
    _assert_found(find_lanes(evidence, RESTING)[0], film)


def test_a_long_pause_in_a_short_film_hides_no_lane(rng: np.random.Generator) -> None:
    film = _paused(130, lanes=4, after=2)
    lanes = find_lanes(film.evidence(rng), RESTING)[0]
    _assert_hold_what_was_seen([lane for lane in lanes if lane.is_seen], film)


def _paused(pause: int, lanes: int = 8, after: int = 4) -> ZigzagFilm:
    """Lanes, with a pause after so many of them."""
    film = ZigzagFilm()
    film.rest(30)
    for number in range(lanes):
        film.lane(1 if number % 2 == 0 else -1, MOVING, SEEN)
        film.rest(RESTING + (pause if number == after - 1 else 0))
    return film


def test_a_film_may_start_in_mid_lane(rng: np.random.Generator) -> None:
    film = ZigzagFilm()
    film.lane(-1, 22, slice(0, 16))
    film.rest(RESTING)
    for number in range(4):
        film.lane(1 if number % 2 == 0 else -1, MOVING, SEEN)
        film.rest(RESTING)
    lanes = find_lanes(film.evidence(rng), RESTING)[0]
    assert [lane.direction for lane in lanes] == film.signs
    assert lanes[0].first == 0


def test_a_film_may_stop_in_mid_lane(rng: np.random.Generator) -> None:
    film = zigzag_film([SEEN] * 4, rng)
    film.rest(RESTING - 20)
    film.lane(1, 20, slice(6, 20))
    lanes = find_lanes(film.evidence(rng), RESTING)[0]
    assert [lane.direction for lane in lanes] == film.signs
    assert lanes[-1].last == film.count


def test_a_lane_carries_the_weight_of_what_was_seen(rng: np.random.Generator) -> None:
    film = zigzag_film([None, *[ALL] * 8, None], rng, lead=RESTING)
    evidence = film.evidence(rng)
    lanes = find_lanes(evidence, RESTING)[0]
    total = evidence.forward.sum() + evidence.backward.sum()
    assert sum(lane.evidence for lane in lanes) == pytest.approx(total)
    assert [lane.evidence > 0 for lane in lanes] == [False, *[True] * 8, False]


def test_nothing_that_moves_gives_no_lane() -> None:
    nothing = np.zeros(200)
    assert find_lanes(Evidence(forward=nothing, backward=nothing, still=nothing + 1), 30)[0] == []


def test_movement_in_one_direction_only_gives_no_lane(rng: np.random.Generator) -> None:
    film = zigzag_film([SEEN, None, SEEN, None], rng)
    assert find_lanes(film.evidence(rng), RESTING)[0] == []


def _assert_found(lanes: Sequence[Lane], film: ZigzagFilm) -> None:
    """Every lane, in its direction, in its place: where it ends over blank glass nobody sees."""
    _assert_hold_what_was_seen(lanes, film)
    middles = np.array([(lane.first + lane.last) / 2 for lane in lanes])
    assert np.abs(middles - np.mean(film.spans, axis=1)).max() < MOVING / 4


def _assert_hold_what_was_seen(lanes: Sequence[Lane], film: ZigzagFilm) -> None:
    assert [lane.direction for lane in lanes] == film.signs
    for lane, (first, last) in zip(lanes, film.spans, strict=True):
        shown = np.flatnonzero(film.shown[first:last]) + first
        assert not len(shown) or (lane.first <= shown[0] and shown[-1] < lane.last)
