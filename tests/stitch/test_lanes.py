from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurryscope.stitch.lanes import (
    Evidence,
    Lane,
    LaneSearch,
    Rhythm,
    evidence_of,
    find_lanes,
    scan_axis,
)
from blurryscope.stitch.motion import PairShift

MOVING, RESTING = 40, 34
"""Usual pairs of frames in a lane and between two lanes."""


@dataclass
class MadeUpFilm:
    """Pairs of frames of a zigzag, of which only some show tissue."""

    spans: list[tuple[int, int]] = field(default_factory=list)
    """First and last frame of each lane."""
    signs: list[int] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    count: int = 0

    def rest(self, pairs: int) -> None:
        self.count += pairs
        self.shown += [False] * pairs

    def lane(self, sign: int, pairs: int, shows: slice | None) -> None:
        self.spans.append((self.count, self.count + pairs))
        self.signs.append(sign)
        seen = np.zeros(pairs, np.bool_)
        if shows is not None:
            seen[shows] = True
        self.shown += seen.tolist()
        self.count += pairs

    def evidence(self, rng: np.random.Generator) -> Evidence:
        is_shown = np.array(self.shown) & (rng.random(self.count) < 0.95)
        sign = np.zeros(self.count)
        for (first, last), direction in zip(self.spans, self.signs, strict=True):
            sign[first:last] = direction
        trust = rng.uniform(0.6, 0.95, self.count)
        return Evidence(
            forward=np.where(is_shown & (sign > 0), trust, 0.0),
            backward=np.where(is_shown & (sign < 0), trust, 0.0),
            still=np.zeros(self.count),
        )


def _film(
    tissue: Sequence[slice | None], rng: np.random.Generator, *, jitter: int = 0, lead: int = 30
) -> MadeUpFilm:
    film = MadeUpFilm()
    film.rest(lead)
    for number, shows in enumerate(tissue):
        film.lane(1 if number % 2 == 0 else -1, MOVING + int(rng.integers(0, jitter + 1)), shows)
        last = number == len(tissue) - 1
        film.rest(lead if last else RESTING + int(rng.integers(-jitter, jitter + 1)))
    return film


def _assert_found(lanes: Sequence[Lane], film: MadeUpFilm) -> None:
    """Every lane, in its direction, in its place: where it ends over blank glass nobody sees."""
    _assert_hold_what_was_seen(lanes, film)
    middles = np.array([(lane.first + lane.last) / 2 for lane in lanes])
    assert np.abs(middles - np.mean(film.spans, axis=1)).max() < MOVING / 4


def _assert_hold_what_was_seen(lanes: Sequence[Lane], film: MadeUpFilm) -> None:
    assert [lane.direction for lane in lanes] == film.signs
    for lane, (first, last) in zip(lanes, film.spans, strict=True):
        shown = np.flatnonzero(film.shown[first:last]) + first
        assert not len(shown) or (lane.first <= shown[0] and shown[-1] < lane.last)


SEEN, ALL = slice(6, 34), slice(2, 38)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_lanes_are_found_where_tissue_is_seen_in_all_of_them(rng: np.random.Generator) -> None:
    film = _film([SEEN] * 6, rng)
    _assert_found(find_lanes(film.evidence(rng), RESTING)[0], film)


def test_lanes_over_blank_glass_at_both_ends_follow_the_rhythm(rng: np.random.Generator) -> None:
    film = _film([None, *[ALL] * 8, None], rng, lead=RESTING)
    _assert_found(find_lanes(film.evidence(rng), RESTING)[0], film)


def test_rows_of_cores_far_apart_tell_the_rhythm_by_the_glass_lanes_between_them(
    rng: np.random.Generator,
) -> None:
    """Of two lanes of one direction that follow each other, one at least shows next to nothing.

    A rhythm that is a twentieth too slow leaves no room for the first lane before them.
    """
    shown = {1: slice(12, 28), 2: slice(12, 28), 3: slice(18, 20)}
    film = _film([shown.get(n % 4) for n in range(8)], rng, lead=15)
    lanes, rhythm = find_lanes(film.evidence(rng), RESTING)
    assert rhythm.moving + rhythm.resting == pytest.approx(MOVING + RESTING, abs=1)
    _assert_found(lanes, film)


def test_a_blank_lane_in_the_middle_does_not_swallow_its_neighbours(
    rng: np.random.Generator,
) -> None:
    film = _film([SEEN, SEEN, SEEN, None, SEEN, SEEN, SEEN], rng)
    _assert_found(find_lanes(film.evidence(rng), RESTING)[0], film)


def test_lanes_need_not_last_equally_long(rng: np.random.Generator) -> None:
    film = _film([SEEN] * 8, rng, jitter=3)
    _assert_found(find_lanes(film.evidence(rng), RESTING)[0], film)


def test_each_lane_may_show_tissue_in_another_part(rng: np.random.Generator) -> None:
    parts = [slice(3, 15), slice(20, 36), slice(10, 14), slice(2, 38), slice(24, 34), slice(5, 30)]
    film = _film(parts, rng)
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
    film = _film([ALL] * 6, rng)
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


def test_a_long_pause_in_a_short_film_hides_no_lane(rng: np.random.Generator) -> None:
    film = _paused(130, lanes=4, after=2)
    lanes = find_lanes(film.evidence(rng), RESTING)[0]
    _assert_hold_what_was_seen([lane for lane in lanes if lane.is_seen], film)


def _paused(pause: int, lanes: int = 8, after: int = 4) -> MadeUpFilm:
    """Lanes, with a pause after so many of them."""
    film = MadeUpFilm()
    film.rest(30)
    for number in range(lanes):
        film.lane(1 if number % 2 == 0 else -1, MOVING, SEEN)
        film.rest(RESTING + (pause if number == after - 1 else 0))
    return film


def test_a_film_may_start_in_mid_lane(rng: np.random.Generator) -> None:
    film = MadeUpFilm()
    film.lane(-1, 22, slice(0, 16))
    film.rest(RESTING)
    for number in range(4):
        film.lane(1 if number % 2 == 0 else -1, MOVING, SEEN)
        film.rest(RESTING)
    lanes = find_lanes(film.evidence(rng), RESTING)[0]
    assert [lane.direction for lane in lanes] == film.signs
    assert lanes[0].first == 0


def test_a_film_may_stop_in_mid_lane(rng: np.random.Generator) -> None:
    film = _film([SEEN] * 4, rng)
    film.rest(RESTING - 20)
    film.lane(1, 20, slice(6, 20))
    lanes = find_lanes(film.evidence(rng), RESTING)[0]
    assert [lane.direction for lane in lanes] == film.signs
    assert lanes[-1].last == film.count


def test_a_lane_carries_the_weight_of_what_was_seen(rng: np.random.Generator) -> None:
    film = _film([None, *[ALL] * 8, None], rng, lead=RESTING)
    evidence = film.evidence(rng)
    lanes = find_lanes(evidence, RESTING)[0]
    total = evidence.forward.sum() + evidence.backward.sum()
    assert sum(lane.evidence for lane in lanes) == pytest.approx(total)
    assert [lane.evidence > 0 for lane in lanes] == [False, *[True] * 8, False]


def test_nothing_that_moves_gives_no_lane() -> None:
    nothing = np.zeros(200)
    assert find_lanes(Evidence(forward=nothing, backward=nothing, still=nothing + 1), 30)[0] == []


def test_movement_in_one_direction_only_gives_no_lane(rng: np.random.Generator) -> None:
    film = _film([SEEN, None, SEEN, None], rng)
    assert find_lanes(film.evidence(rng), RESTING)[0] == []


def _shift(moved: Iterable[float], correlation: float, stillness: float = 0.0) -> PairShift:
    row_px, col_px = moved
    return PairShift(row_px=row_px, col_px=col_px, correlation=correlation, stillness=stillness)


def _zigzag_shifts(angle_rad: float, rng: np.random.Generator) -> list[PairShift]:
    axis = np.array([np.sin(angle_rad), np.cos(angle_rad)])
    across = np.array([axis[1], -axis[0]])
    moves = [*([35 * axis] * 30), *([-28 * axis] * 30), *([30 * across] * 8)]
    noisy = [_shift(move + rng.normal(0, 0.3, 2), 0.9) for move in moves]
    return [*noisy, *(_shift(rng.uniform(-50, 50, 2), 0.2) for _ in range(60))]


@pytest.mark.parametrize("angle_deg", [0, 1.5, 47, 94.4, 170])
def test_the_scan_axis_is_the_line_along_which_most_pairs_move(
    angle_deg: float, rng: np.random.Generator
) -> None:
    axis = scan_axis(_zigzag_shifts(np.deg2rad(angle_deg), rng), least_step_px=3)
    assert axis is not None
    along = axis @ np.array([np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))])
    assert abs(along) > np.cos(np.deg2rad(0.5))


def test_a_film_that_stands_still_has_no_scan_axis(rng: np.random.Generator) -> None:
    still = [_shift(rng.normal(0, 0.2, 2), 0.99) for _ in range(50)]
    unsure = [_shift(rng.uniform(-40, 40, 2), 0.3) for _ in range(50)]
    assert scan_axis(still + unsure, least_step_px=3) is None


def test_pairs_are_sorted_by_what_they_show() -> None:
    axis: NDArray[np.float64] = np.array([0.0, 1.0])
    evidence = evidence_of(
        [
            _shift((0.5, -30), 0.9),  # the content goes left: the stage goes right
            _shift((-0.5, 30), 0.8),
            _shift((25, 2), 0.7),  # across the lanes
            _shift((0, 0.2), 0.99, stillness=0.99),
            _shift((10, -40), 0.2),  # a guess
            _shift((20, 22), 0.9),  # neither along nor across
            _shift((3, -30), 0.9),  # nearly along, as no stage goes
        ],
        axis,
        least_step_px=3,
    )
    assert evidence.forward.tolist() == [0.9, 0, 0, 0, 0, 0, 0]
    assert evidence.backward.tolist() == [0, 0.8, 0, 0, 0, 0, 0]
    assert evidence.still.tolist() == [0, 0, 0.7, 0.99, 0, 0, 0]


def test_a_weak_vote_that_no_pair_around_shares_is_chance() -> None:
    shifts = [_shift((0, 0), 0.0)] * 60
    shifts[10] = _shift((0.3, -30), 0.53)
    shifts[30] = _shift((0.3, -30), 0.9)  # a grain of dust tells it beyond doubt
    shifts[48] = shifts[50] = _shift((0.3, 30), 0.53)
    evidence = evidence_of(shifts, np.array([0.0, 1.0]), least_step_px=3)
    assert np.flatnonzero(evidence.forward).tolist() == [30]
    assert np.flatnonzero(evidence.backward).tolist() == [48, 50]


@pytest.mark.parametrize("last_direction", [None, 1, -1])
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 300))
def test_looking_at_many_frames_at_once_finds_the_same_lanes(
    last_direction: int | None, seed: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    film = _film([SEEN, ALL, None, ALL], rng, jitter=6)
    told = film.evidence(rng)
    still = np.where(rng.random(film.count) < 0.1, 0.9, 0.0)
    evidence = Evidence(
        forward=told.forward[:count], backward=told.backward[:count], still=still[:count]
    )
    rhythm = Rhythm(moving=MOVING * rng.uniform(0.8, 1.2), resting=RESTING * rng.uniform(0.5, 1.2))
    search = LaneSearch(evidence, rhythm, last_direction=last_direction)
    assert search.run() == search.run(at_once=1)
