from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.expectations import cruise_ends
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.trajectory import Trajectory, lane_rows
from blurryscope.stitch.turning_points import StageHabits
from blurryscope.stitch.turns import (
    Timetable,
    expected_motion,
    never_backwards,
    timed_lanes,
    timetable,
)

INTERVAL_S = 1 / 30
STAGE = StageHabits(speed_px_per_s=4000.0, rest_s=1.1, ramp_s=0.1, lane_s=1.6, turn_s=1.1)
LANE_S, REST_S = 1.6, 1.1
WIDTH_PX = STAGE.speed_px_per_s * (LANE_S - STAGE.ramp_s)
LANES = 6
PAUSE_S = 7.0


def _table(
    start_s: NDArray[np.float64], end_s: NDArray[np.float64], stage: StageHabits = STAGE
) -> Timetable:
    return Timetable(
        start_s=start_s,
        end_s=end_s,
        ramp_s=stage.ramp_s,
        speed_px_per_s=np.full(len(start_s), stage.speed_px_per_s),
        width_px=WIDTH_PX,
        left_px=0.0,
        lean=0.0,
        turn_sigma_px=np.nan,
        keeps_speed=False,
        is_seen=np.ones(len(start_s), np.bool_),
        told_s=np.full(len(start_s), np.nan),
    )


@given(st.floats(0, 5000))
def test_the_way_to_a_stop_takes_as_long_as_the_timetable_says(way_px: float) -> None:
    table = _table(np.array([0.0]), np.array([2.0]))
    whole_px = table.travelled_px(0, np.array([2.0]))
    before_s = STAGE.time_to_stop_s(way_px, STAGE.speed_px_per_s)
    assert whole_px - table.travelled_px(0, np.array([2.0 - before_s])) == pytest.approx(
        way_px, abs=1e-6
    )


def test_a_lane_begins_and_ends_with_even_ramps() -> None:
    stage = StageHabits(speed_px_per_s=100.0, rest_s=1.0, ramp_s=0.5, lane_s=2.0, turn_s=1.0)
    table = _table(np.array([1.0]), np.array([3.0]), stage)
    times_s = np.array([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
    assert table.travelled_px(0, times_s) == pytest.approx([0, 0, 25, 75, 125, 150, 150])


def test_a_lane_that_nobody_saw_goes_the_whole_width_in_its_time() -> None:
    table = replace(_table(np.array([0.0]), np.array([1.4])), is_seen=np.array([False]))
    assert table.travelled_px(0, np.array([0.0, 1.4])) == pytest.approx([0, WIDTH_PX])


class MadeUpZigzag:
    """Lanes whose middle part is seen and whose turns lie over blank glass."""

    def __init__(
        self,
        seen: slice,
        blank: tuple[int, ...] = (),
        paused_before: int | None = None,
        lane_count: int = LANES,
    ) -> None:
        self.start_s = np.asarray(0.5 + np.arange(lane_count) * (LANE_S + REST_S), np.float64)
        if paused_before is not None:
            self.start_s[paused_before:] += PAUSE_S
        self.end_s = np.asarray(self.start_s + LANE_S, np.float64)
        self.times_s = np.arange(0, self.end_s[-1] + 0.5, INTERVAL_S)
        self.truth = _table(self.start_s, self.end_s)
        self.lanes, frames, lanes, x_px, is_seen = [], [], [], [], []
        for number in range(lane_count):
            direction = 1 if number % 2 == 0 else -1
            inside = np.flatnonzero(
                (self.times_s > self.start_s[number]) & (self.times_s < self.end_s[number])
            )
            kept = inside[6:-5]  # the first look does not know where lanes end
            self.lanes.append(
                Lane(first=int(kept[0]), last=int(kept[-1]), direction=direction, evidence=1.0)
            )
            way = self.truth.travelled_px(number, self.times_s[kept])
            frames += kept.tolist()
            lanes += [number] * len(kept)
            x_px += (way if direction > 0 else WIDTH_PX - way).tolist()
            shown = np.zeros(len(kept), np.bool_)
            if number not in blank:
                shown[seen] = True
            is_seen += shown.tolist()
        self.is_seen = np.array(is_seen)
        rows = np.array(frames)
        self.trajectory = Trajectory(
            frames=rows,
            lanes=np.array(lanes),
            times_s=self.times_s[rows],
            positions=np.stack([np.array(lanes) * 400.0, np.array(x_px)], axis=1),
            camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
        )

    def moved(self, lane: int, by_px: float) -> "MadeUpZigzag":
        """With this lane and all after it elsewhere along x."""
        positions = self.trajectory.positions.copy()
        positions[self.trajectory.lanes >= lane, 1] += by_px
        self.trajectory = replace(self.trajectory, positions=positions)
        return self

    def table(self, is_linked: NDArray[np.bool_], stage: StageHabits = STAGE) -> Timetable:
        return timetable(self.trajectory, self.lanes, is_linked, self.is_seen, stage)


ALL_LINKED = np.ones(LANES - 1, np.bool_)


def test_turning_points_tell_when_lanes_began_and_ended() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    table = zigzag.table(ALL_LINKED)
    assert table.start_s == pytest.approx(zigzag.start_s, abs=0.01)
    assert table.end_s == pytest.approx(zigzag.end_s, abs=0.01)


def test_a_lane_over_blank_glass_gets_the_time_that_its_neighbours_leave() -> None:
    zigzag = MadeUpZigzag(slice(8, 25), blank=(3,))
    is_linked = np.array([True, True, False, False, True])
    table = zigzag.table(is_linked)
    assert table.start_s == pytest.approx(zigzag.start_s, abs=INTERVAL_S)
    assert table.end_s == pytest.approx(zigzag.end_s, abs=INTERVAL_S)


def test_turns_that_agree_by_chance_are_not_taken_for_sure_and_uneven_ones_for_less() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    usual_px = 0.008 * STAGE.speed_px_per_s
    even_px = zigzag.table(ALL_LINKED).turn_sigma_px
    assert even_px == pytest.approx(usual_px, rel=0.05)
    pairs_only = np.array([True, False, True, False, True])
    assert zigzag.table(pairs_only).turn_sigma_px == pytest.approx(usual_px)
    # Two of the five rests are 0.1 s too long: their turns seem to lie 200 px farther out.
    late_s = np.array([0.0, 0.1, 0.1, 0.1, 0.1, 0.2])[zigzag.trajectory.lanes]
    zigzag.trajectory = replace(zigzag.trajectory, times_s=zigzag.trajectory.times_s + late_s)
    assert 60 < zigzag.table(ALL_LINKED).turn_sigma_px < 300


def test_groups_that_show_one_turn_each_lie_right_though_the_rest_is_not_known() -> None:
    """The rest is taken to be 0.4 s longer than it is: turns seem to lie 800 px farther in."""
    film = MadeUpZigzag(slice(8, 25), paused_before=3)
    is_linked = np.array([True, False, True, True, False])  # a right turn, a pause, a left turn
    lefts = film.moved(lane=2, by_px=300.0).table(is_linked, replace(STAGE, rest_s=REST_S + 0.4))
    late_s = lefts.start_s - film.start_s
    assert late_s[:5] == pytest.approx(np.full(5, late_s[0]), abs=0.01)


def test_a_frame_held_twice_over_glass_moves_no_group() -> None:
    """It lies in the rest after the second of nine lanes; the first three hang together."""
    film = MadeUpZigzag(slice(8, 25), lane_count=9)
    is_later = np.arange(9) >= 2
    times_s = film.trajectory.times_s + INTERVAL_S * is_later[film.trajectory.lanes]
    film.trajectory = replace(film.trajectory, times_s=times_s)
    is_linked = np.array([True, True, False, True, True, True, True, True])
    table = film.moved(lane=3, by_px=300.0).table(is_linked)
    assert table.start_s == pytest.approx(film.start_s + INTERVAL_S * is_later, abs=0.005)


def test_a_lane_that_stalls_ends_where_the_others_do() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    stalled = replace(zigzag.truth, end_s=zigzag.end_s + np.array([0, 0, 0.2, 0, 0, 0]))
    ways_px = [
        table.ends_px(2, 1, zigzag.start_s[2] + 0.3, table.end_s[2] - 0.3)
        for table in (zigzag.truth, stalled)
    ]
    assert ways_px[1] == pytest.approx(ways_px[0])


@pytest.mark.parametrize("blank", [(4, 5), (4,), ()])
def test_lanes_after_a_pause_keep_the_time_that_they_have(blank: tuple[int, ...]) -> None:
    """What lies behind the pause is linked to nothing before it, and partly over glass."""
    film = MadeUpZigzag(slice(5, 30), blank, paused_before=4)
    is_linked = np.array([True, True, True, False, False])
    table = film.table(is_linked)
    assert table.start_s == pytest.approx(film.start_s, abs=0.15)
    assert table.end_s == pytest.approx(film.end_s, abs=0.15)
    # The pause tells of no turn, even between lanes that are linked.
    assert film.table(ALL_LINKED).width_px == pytest.approx(WIDTH_PX, rel=0.02)


def test_a_timetable_without_anything_seen_keeps_the_lanes_as_they_are() -> None:
    zigzag = MadeUpZigzag(slice(8, 25), blank=tuple(range(LANES)))
    table = zigzag.table(~ALL_LINKED)
    assert table.start_s == pytest.approx([zigzag.times_s[lane.first] for lane in zigzag.lanes])
    assert table.end_s == pytest.approx([zigzag.times_s[lane.last] for lane in zigzag.lanes])


def test_timed_lanes_hold_the_frames_that_moved_and_hardly_more() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    timed = timed_lanes(zigzag.lanes, zigzag.truth, zigzag.times_s)
    for lane, start_s, end_s in zip(timed, zigzag.start_s, zigzag.end_s, strict=True):
        assert start_s - 3 * INTERVAL_S < zigzag.times_s[lane.first] <= start_s
        assert end_s <= zigzag.times_s[lane.last] < end_s + 3.5 * INTERVAL_S


def test_lanes_hold_what_rests_may_be_shorter_however_many_frames_come_a_second() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    twice_s = np.arange(0, zigzag.times_s[-1], INTERVAL_S / 2)
    timed = timed_lanes(zigzag.lanes, zigzag.truth, twice_s)
    for lane, start_s, end_s in zip(timed, zigzag.start_s, zigzag.end_s, strict=True):
        assert twice_s[lane.first] <= start_s - 0.058
        assert twice_s[lane.last] >= end_s + 0.058


def test_a_lane_that_was_not_seen_gets_the_frames_of_a_ramp_more() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    is_seen = np.arange(LANES) != 3
    slow = replace(zigzag.truth, ramp_s=0.2)
    timed = timed_lanes(zigzag.lanes, replace(slow, is_seen=is_seen), zigzag.times_s)
    usual = timed_lanes(zigzag.lanes, slow, zigzag.times_s)
    more = round(slow.ramp_s / INTERVAL_S) - 2
    for number, (lane, other) in enumerate(zip(timed, usual, strict=True)):
        margin = 0 if is_seen[number] else more
        assert abs(other.first - lane.first - margin) <= (margin > 0)
        assert abs(lane.last - other.last - margin) <= (margin > 0)
    assert timed[3] != usual[3]


def test_lanes_that_would_begin_after_the_film_has_ended_share_its_last_frames() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    late = _table(zigzag.start_s + 2 * REST_S, zigzag.end_s + 2 * REST_S)
    times_s = zigzag.times_s[: zigzag.lanes[-1].first]
    timed = timed_lanes(zigzag.lanes, late, times_s)
    assert all(before.last < after.first for before, after in pairwise(timed))
    assert all(lane.first < lane.last < len(times_s) for lane in timed)


def test_what_is_expected_is_the_way_of_the_stage_with_its_ramps() -> None:
    zigzag = MadeUpZigzag(slice(8, 25))
    expected = expected_motion(zigzag.trajectory, zigzag.lanes, zigzag.truth, pitch_px=400.0)
    for number in range(LANES):
        rows = zigzag.trajectory.lanes == number
        apart = expected.along_px[rows] - zigzag.trajectory.positions[rows, 1]
        assert apart == pytest.approx(np.full(rows.sum(), apart[0]))
    times_s = zigzag.trajectory.times_s
    lane = zigzag.trajectory.lanes
    near_turn = (times_s < zigzag.start_s[lane] + 0.2) | (times_s > zigzag.end_s[lane] - 0.2)
    np.testing.assert_array_equal(expected.is_ramp, near_turn)


@pytest.mark.parametrize("direction", [1, -1])
def test_blank_frames_after_the_tissue_stand_rather_than_run_back(direction: int) -> None:
    way = np.array([30.0, 10.0, 20.0, 40.0, 60.0, 50.0, 55.0, 70.0])
    frames = np.arange(8) + 100
    film = Trajectory(
        frames=frames,
        lanes=np.zeros(8, np.int64),
        times_s=np.asarray(frames * INTERVAL_S, np.float64),
        positions=np.stack([np.zeros(8), direction * way], axis=1),
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
    )
    lane = Lane(first=100, last=107, direction=direction, evidence=3.0)
    held = never_backwards(film, [lane], np.array([102, 103, 104]))
    wanted = [10.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 70.0]
    assert (direction * held.positions[:, 1]).tolist() == wanted
    assert never_backwards(film, [lane], np.array([], np.int64)).positions.tolist() == (
        film.positions.tolist()
    )


@pytest.mark.parametrize("direction", [1, -1])
def test_frames_that_false_links_hold_beyond_the_next_ones_go_back_to_them(direction: int) -> None:
    x_px = np.array([1100.0, 1100.0, 1096.0, 357.0, 590.0, 820.0, 1050.0, 1280.0, 1510.0, 700.0])
    count = len(x_px)
    film = Trajectory(
        frames=np.arange(count),
        lanes=np.zeros(count, np.int64),
        times_s=np.asarray(np.arange(count) * INTERVAL_S, np.float64),
        positions=np.stack([np.zeros(count), direction * x_px], axis=1),
        camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
    )
    lane = Lane(first=0, last=count - 1, direction=direction, evidence=9.0)
    held = never_backwards(film, [lane], np.arange(count))
    wanted = [357.0, 357.0, 357.0, *x_px[3:9].tolist(), 1510.0]
    assert (direction * held.positions[:, 1]).tolist() == wanted


class ToldZigzag:
    """Rows of cores, two lanes each, that only the stage's own starts join; rests are uneven."""

    def __init__(self, late_s: float) -> None:
        rng = np.random.default_rng(5)
        rests_s = np.concatenate([[0.5], REST_S + rng.uniform(-0.2, 0.2, LANES - 1)])
        self.start_s = np.cumsum(rests_s + LANE_S) - LANE_S
        self.told_s = self.start_s + late_s
        even = MadeUpZigzag(slice(8, 25))
        # In the same lanes the stage was at the same places, only at other times; each row of
        # cores has coordinates of its own until the turns are known.
        lanes = even.trajectory.lanes
        self.moved_px = np.array([0.0, 0.0, 700.0, 700.0, -400.0, -400.0])
        self.is_linked = np.array([True, False, True, False, True])
        self.film = replace(
            even.trajectory,
            times_s=even.trajectory.times_s + (self.start_s - even.start_s)[lanes],
            positions=even.trajectory.positions
            + np.stack([np.zeros(len(lanes)), self.moved_px[lanes]], axis=1),
        )
        self.lanes, self.is_seen = even.lanes, even.is_seen

    def table(self, starts_s: tuple[float, ...], lean: float = 0.0) -> Timetable:
        stage = replace(STAGE, starts_s=starts_s, lean=lean)
        return timetable(self.film, self.lanes, self.is_linked, self.is_seen, stage)

    def off_px(self, table: Timetable) -> NDArray[np.float64]:
        """By how much each frame is expected beside where it truly lay."""
        expected = expected_motion(self.film, self.lanes, table, pitch_px=400.0)
        begin_px = np.array([0.0 if lane.direction > 0 else table.width_px for lane in self.lanes])
        lanes = self.film.lanes
        true_px = self.film.positions[:, 1] - self.moved_px[lanes]
        return np.asarray(begin_px[lanes] + expected.along_px - true_px)


@pytest.mark.parametrize("late_s", [0.0, 0.006])
def test_starts_that_the_stage_tells_join_rows_of_cores_however_long_it_rested(
    late_s: float,
) -> None:
    zigzag = ToldZigzag(late_s)
    told = zigzag.table(tuple(zigzag.told_s.tolist()))
    guessed = zigzag.table(())
    assert np.ptp(zigzag.off_px(told)) < 2
    assert np.ptp(zigzag.off_px(guessed)) > 100


def test_told_lanes_are_expected_where_they_were_however_fast_the_stage_gains_its_speed() -> None:
    """Tissue of one row reaches into what is thought to be the ramps."""
    zigzag = ToldZigzag(0.0)
    zigzag.is_seen[np.isin(zigzag.film.lanes, (2, 3))] = True
    stage = replace(STAGE, ramp_s=0.3, starts_s=tuple(zigzag.told_s.tolist()))
    table = timetable(zigzag.film, zigzag.lanes, zigzag.is_linked, zigzag.is_seen, stage)
    expected = expected_motion(zigzag.film, zigzag.lanes, table, pitch_px=400.0)
    assert expected.ends_px is not None
    ends = np.array([cruise_ends(rows, expected.is_ramp) for rows in lane_rows(zigzag.film)])
    true_px = zigzag.film.positions[ends, 1] - zigzag.moved_px[:, None]
    assert np.ptp((expected.ends_px - true_px).mean(axis=1)) < 2


def test_lanes_of_a_stage_whose_axes_lean_begin_farther_along_the_lower_they_lie() -> None:
    zigzag = ToldZigzag(0.0)
    lean, positions = 0.02, zigzag.film.positions.copy()
    positions[:, 1] += lean * positions[:, 0]
    zigzag.film = replace(zigzag.film, positions=positions)
    starts_s = tuple(zigzag.told_s.tolist())
    told, upright = zigzag.table(starts_s, lean), zigzag.table(starts_s)

    def ends_off_px(table: Timetable) -> NDArray[np.float64]:
        expected = expected_motion(zigzag.film, zigzag.lanes, table, pitch_px=400.0)
        assert expected.ends_px is not None
        first = np.flatnonzero(np.diff(zigzag.film.lanes, prepend=-1))
        return np.asarray(expected.ends_px[:, 0] + zigzag.moved_px - positions[first, 1])

    assert np.ptp(ends_off_px(told)) < 2
    assert np.ptp(ends_off_px(upright)) > 20


def test_a_lane_without_tissue_begins_when_the_stage_tells() -> None:
    zigzag = ToldZigzag(0.0)
    zigzag.is_seen[zigzag.film.lanes == 5] = False
    table = zigzag.table(tuple(zigzag.told_s.tolist()))
    assert table.start_s == pytest.approx(zigzag.start_s, abs=0.002)
    assert table.is_seen.tolist() == [True] * 5 + [False]


def test_a_lane_that_was_begun_twice_counts_from_its_last_start() -> None:
    zigzag = ToldZigzag(0.0)
    starts_s = [float(zigzag.told_s[3]) - 0.5, *zigzag.told_s.tolist()]
    assert zigzag.table(tuple(starts_s)).start_s == pytest.approx(zigzag.start_s, abs=0.002)


def test_all_lanes_of_a_stage_that_tells_its_starts_go_at_one_speed() -> None:
    zigzag = ToldZigzag(0.0)
    speeds = STAGE.speed_px_per_s * np.array([0.99, 1.0, 1.01, 1.0, np.nan, 1.0])
    stage = replace(STAGE, linked_speeds_px_per_s=tuple(speeds.tolist()))
    told = replace(stage, starts_s=tuple(zigzag.told_s.tolist()))
    args = zigzag.film, zigzag.lanes, zigzag.is_linked, zigzag.is_seen
    of_told, of_silent = timetable(*args, told), timetable(*args, stage)
    assert of_told.keeps_speed
    assert not of_silent.keeps_speed
    assert of_told.speed_px_per_s == pytest.approx(np.full(LANES, STAGE.speed_px_per_s))
    assert of_silent.speed_px_per_s[:4] == pytest.approx(speeds[:4])
